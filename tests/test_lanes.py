"""Lanes: a bounded queue in front of some threads, and nothing done for who has gone."""

import asyncio
import base64
import os
import sys
import threading
import time

import numpy as np
import pytest

from models.images import Limits
from service.app import create_app
from service.errors import Busy
from service.incoming.json_body import HEADER_LENGTH
from service.incoming.rest import Rest
from service.network.front import Front
from service.network.lanes import Lane, Turns
from service.network.weight import is_heavy
from tests.conftest import encode_photo, paint_photo

PHOTO = encode_photo(paint_photo(24, 24))
LARGE = encode_photo(np.zeros((3000, 3000, 3), np.uint8))


def test_a_full_lane_refuses_at_once_and_has_room_again_later():
    async def scenario() -> list[object]:
        lane, go = Lane("x", threads=1, waiting=1), threading.Event()
        first = asyncio.create_task(lane.run(lambda: go.wait(30) and "first"))
        second = asyncio.create_task(lane.run(lambda: "second"))
        await asyncio.sleep(0.05)
        with pytest.raises(Busy, match="2 requests"):
            await lane.run(lambda: "third")
        go.set()
        return [await first, await second, await lane.run(lambda: "fourth")]

    assert asyncio.run(scenario()) == ["first", "second", "fourth"]


def test_work_that_waits_for_a_client_who_has_gone_is_never_done():
    async def scenario() -> list[str]:
        lane, go, done = Lane("x", threads=1, waiting=1), threading.Event(), []
        first = asyncio.create_task(lane.run(lambda: go.wait(30)))
        gone = asyncio.create_task(lane.run(lambda: done.append("gone")))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.sleep(0.05)
        last = asyncio.create_task(lane.run(lambda: done.append("last")))  # in the place left
        await asyncio.sleep(0.05)
        go.set()
        await asyncio.gather(first, last)
        return done

    assert asyncio.run(scenario()) == ["last"]


def test_work_that_has_begun_keeps_its_place_when_its_client_goes():
    async def scenario() -> None:
        lane, go = Lane("x", threads=1, waiting=0), threading.Event()
        gone = asyncio.create_task(lane.run(lambda: go.wait(30)))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.sleep(0.05)
        with pytest.raises(Busy):  # the thread is still at it
            lane.check()
        go.set()
        while lane.taken:
            await asyncio.sleep(0.01)
        lane.check()

    asyncio.run(scenario())


def test_work_that_fails_gives_its_place_back():
    async def scenario() -> None:
        lane = Lane("x", threads=1, waiting=0)
        with pytest.raises(ZeroDivisionError):
            await lane.run(lambda: 1 / 0)
        await asyncio.sleep(0.05)
        lane.check()

    asyncio.run(scenario())


@pytest.mark.parametrize(("needed", "least_s"), [(True, 0.1), (False, 0)])
def test_a_thread_that_gives_way_rests_between_two_works(needed, least_s):
    async def scenario() -> float:
        lane = Lane("x", threads=1, waiting=1, gives_way=lambda: needed)
        began = time.monotonic()
        await lane.run(lambda: sum(range(5_000_000)))  # over 50 ms of the processor
        assert time.monotonic() - began < 2
        asked = time.monotonic()
        return await lane.run(time.monotonic) - asked

    rested = asyncio.run(scenario())
    assert rested >= least_s if needed else rested < 0.05


def test_requests_of_a_kind_take_turns_while_photos_are_in_work():
    async def scenario(needed: bool) -> float:
        turns, began = Turns(0.02, lambda: needed), time.monotonic()
        await asyncio.gather(*(turns.take() for _ in range(10)))
        return time.monotonic() - began

    assert asyncio.run(scenario(True)) >= 0.2
    assert asyncio.run(scenario(False)) < 0.1


def test_nobody_waits_for_the_turns_of_those_who_have_gone():
    async def scenario() -> float:
        turns = Turns(0.05, lambda: True)
        gone = [asyncio.create_task(turns.take()) for _ in range(200)]  # ten seconds of turns
        await asyncio.sleep(0)
        for one in gone:
            one.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        began = time.monotonic()
        await turns.take()
        return time.monotonic() - began

    assert 0.05 <= asyncio.run(scenario()) < 5


def test_turns_that_are_due_after_a_long_round_of_the_loop_come_at_once():
    async def scenario() -> float:
        turns = Turns(0.01, lambda: True)
        taken = [asyncio.create_task(turns.take()) for _ in range(30)]
        await asyncio.sleep(0)
        time.sleep(0.4)  # something keeps the loop
        began = time.monotonic()
        await asyncio.gather(*taken)
        return time.monotonic() - began

    assert asyncio.run(scenario()) < 0.1


@pytest.mark.parametrize(
    ("method", "path", "places"),
    [("GET", "/models", 201), ("GET", "/v2/health/ready", 2_001), ("POST", "/predict", 17)],
)
def test_each_lane_has_its_places_and_not_one_more(method, path, places, tiny_bundle):
    async def scenario() -> None:
        front, go = Front(create_app([tiny_bundle])), threading.Event()
        lane = front._lane({"REQUEST_METHOD": method, "PATH_INFO": path})
        asking = [asyncio.create_task(lane.run(lambda: go.wait(30))) for _ in range(places - 1)]
        await asyncio.sleep(0.05)
        lane.check()
        asking.append(asyncio.create_task(lane.run(lambda: go.wait(30))))
        await asyncio.sleep(0.05)
        with pytest.raises(Busy, match=f"^{places} requests"):
            lane.check()
        go.set()
        await asyncio.gather(*asking)

    asyncio.run(scenario())


def form(*heads: str, line: str = "\r\n", preamble: bytes = b"") -> bytes:
    parts = [f"--b{line}{head}{line}{line}".encode() + PHOTO + line.encode() for head in heads]
    return preamble + b"".join(parts) + b"--b--\r\n"


FILE = 'Content-Disposition: form-data; name="image"; filename="a.png"'


@pytest.mark.parametrize(
    ("body", "heavy"),
    [
        (form(FILE), False),
        (form(FILE, FILE), True),
        (form(FILE.replace("filename", "FILENAME"), FILE.replace("filename", "FILENAME")), True),
        (form(*[FILE.replace('filename="a.png"', "filename*=UTF-8''a.png")] * 2), True),
        (form('Content-Disposition: form-data; name="note"', FILE), True),
        (form(FILE, FILE, line="\n"), True),
        (b"--b\r\nno blank line", True),
    ],
)
def test_what_is_not_clearly_one_part_goes_to_the_heavy_lane(body, heavy):
    for kind in ("multipart/form-data; boundary=b", 'Multipart/Form-Data; x=1; boundary="b"'):
        assert is_heavy({"CONTENT_TYPE": kind}, body, Limits()) is heavy, kind


def test_a_large_photo_is_heavy_wherever_its_form_begins():
    kind = {"CONTENT_TYPE": "multipart/form-data; boundary=b"}
    assert is_heavy({}, LARGE, Limits())
    for line in ("\r\n", "\n"):
        assert is_heavy(kind, form(FILE, line=line).replace(PHOTO, LARGE), Limits()), line
    after = form(FILE, preamble=b"some words\r\n\r\n").replace(PHOTO, LARGE)
    assert is_heavy(kind, after, Limits())


def infer(shape: str, data: bytes, more: bytes = b"") -> bytes:
    head = f'{{"inputs": [{{"name": "encoded", "datatype": "BYTES", "shape": {shape}, "data": '
    return head.encode() + data + b"}]" + more + b"}"


def base64_of(photo: bytes) -> bytes:
    return b'"' + base64.b64encode(photo) + b'"'


@pytest.mark.parametrize(
    ("version", "body", "heavy"),
    [
        ("/v2", infer("[1]", b"[" + base64_of(PHOTO) + b"]"), False),
        ("/v2", infer("[ 1 , 1]", b"[[" + base64_of(PHOTO) + b"]]"), False),
        ("/v2", infer("[2]", b"[]"), True),
        ("/v2", infer("[12]", b"[]"), True),
        ("/v2", infer("[1]", b"[" + base64_of(LARGE) + b"]"), True),
        ("/v2", infer("[1]", b"[]", b', "id": ' + base64_of(PHOTO)), False),
        ("/v2", infer("[1]", b"[" + base64_of(LARGE) + b"]", b', "id": ' + base64_of(PHOTO)), True),
        ("/v2", infer("[1]", b"[]").replace(b"shape", b"sh\\u0061pe"), True),
        ("/v2", infer("[1]", b"[" + b"1," * 700_000 + b"1]"), True),
        ("/v2", infer("[1]", b"[" + b"1," * 150_000 + b"1]"), False),  # one photo of 224 px
        ("/v1", b'{"instances": [{"b64": ' + base64_of(PHOTO) + b"}]}", False),
        ("/v1", b'{"instances": [{"b64": ' + base64_of(LARGE) + b"}]}", True),
        ("/v1", b'{"instances": [' + b'{"b64": ' * 2 + base64_of(PHOTO) * 2 + b"}]}", True),
        ("/v1", b"not JSON", False),
    ],
)
def test_json_that_is_not_clearly_one_photo_goes_to_the_heavy_lane(version, body, heavy):
    environ = {"PATH_INFO": f"{version}/models/x"}
    assert is_heavy(environ, body, Limits()) is heavy


def test_a_large_photo_behind_the_json_is_heavy():
    for shape, photo, heavy in (("[1]", PHOTO, False), ("[1]", LARGE, True), ("[2]", PHOTO, True)):
        text = infer(shape, b"[]")
        environ = {"PATH_INFO": "/v2/x", HEADER_LENGTH: str(len(text))}
        body = text + len(photo).to_bytes(4, "little") + photo
        assert is_heavy(environ, body, Limits()) is heavy


def test_a_form_is_searched_no_further_than_its_first_kilobytes():
    kind = {"CONTENT_TYPE": "multipart/form-data; boundary=b"}
    assert is_heavy(kind, form(FILE + "\r\nX-Long: " + "a" * 9_000), Limits())
    assert is_heavy(kind, form(FILE).replace(PHOTO, PHOTO + bytes(2_000_000)), Limits())
    assert not is_heavy(kind, form(FILE).replace(PHOTO, PHOTO + bytes(1_500_000)), Limits())


@pytest.mark.parametrize(
    ("asked", "lane"),
    [
        ("POST /predict", "photos"),
        ("POST /models/x/versions/1/predict/", "photos"),
        ("POST /v1/models/x:predict", "photos"),
        ("POST /v2/models/x/versions/1/infer", "photos"),
        ("POST /activations", "heavy"),
        ("POST /models/x/activations/block1_relu", "heavy"),
        ("POST /saliency", "heavy"),
        ("GET /predict", "pages"),
        ("GET /v2/health/ready", "health"),
    ],
)
def test_what_draws_delays_no_prediction(tiny_bundle, asked, lane):
    method, path = asked.split()
    front = Front(create_app([tiny_bundle]))
    assert front._lane({"REQUEST_METHOD": method, "PATH_INFO": path}).name == lane


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux'")
def test_threads_that_work_let_the_event_loop_go_first():
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    usual = niceness()
    assert asyncio.run(Lane("x", threads=1, waiting=0).run(niceness)) == min(19, usual + 5)
    assert niceness() == usual


def test_a_thread_that_gives_way_rests_twice_as_long_as_it_has_worked(monkeypatch):
    slept, spent = [], [0.0]
    monkeypatch.setattr("service.incoming.rest.time.sleep", slept.append)
    monkeypatch.setattr("service.incoming.rest.time.thread_time", lambda: spent[0])
    monkeypatch.setattr("service.incoming.rest.time.monotonic", lambda: 100.0)
    others = [True]
    rest = Rest(lambda: others[0], most_s=1.0)
    for seconds in (0.03, 0.0, 5.0, 0.0):
        with rest:
            spent[0] += seconds
    assert slept == pytest.approx([0, 0.06, 0.005, 1.0])
    others[0] = False
    with rest:
        pass
    assert len(slept) == 4

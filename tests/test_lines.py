"""Many photos, one line of JSON each: values and errors, and the pieces as a server sends them."""

import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from service.app import create_app
from service.settings import Settings
from tests.conftest import encode_photo
from tests.making import COLOURS, colour_bundle, picture
from tests.serving import Server, post_head, serving

LINES = {"Accept": "application/x-ndjson"}
PHOTOS = [picture(COLOURS[name]) for name in ("red", "green", "blue")]
PAGE = b"<html>no photo</html>"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_bundle(tmp_path_factory.mktemp("lines") / "colours")


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Server]:
    with serving(bundle, workers=1) as running:
        yield running


def post(client: Any, *photos: bytes, **headers: str) -> Any:
    data = {"image": [(io.BytesIO(photo), "a.png") for photo in photos]}
    return client.post("/predict?top=2", data=data, headers=LINES | headers)


def lines_of(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_photo_gets_the_line_that_its_answer_would_be(bundle):
    client = create_app([bundle]).test_client()
    answer = post(client, *PHOTOS)
    assert answer.mimetype == "application/x-ndjson"
    alone = [client.post("/predict?top=2", data=photo).json for photo in PHOTOS]
    numbered = [{"photo": number, **(one or {})} for number, one in enumerate(alone, start=1)]
    assert lines_of(answer.text) == numbered
    one = client.post("/predict?top=2", data=PHOTOS[0], headers=LINES)
    assert lines_of(one.text) == numbered[:1]


def test_a_photo_that_cannot_be_answered_is_a_line_and_the_rest_go_on(bundle):
    answer = post(create_app([bundle]).test_client(), PHOTOS[0], PAGE, b"", PHOTOS[2])
    lines = lines_of(answer.text)
    assert answer.status_code == 200
    assert [line["photo"] for line in lines] == [1, 2, 3, 4]
    assert [line["error"]["code"] for line in lines[1:3]] == ["image_unsupported", "image_empty"]
    assert lines[1]["error"]["request_id"] == answer.headers["X-Request-ID"]
    assert [lines[at]["predictions"][0]["label"] for at in (0, 3)] == ["red", "blue"]


def test_a_bug_at_one_photo_is_a_line_and_the_rest_go_on(bundle, monkeypatch):
    app = create_app([bundle])
    (model,) = app.extensions["shelf"]()
    read, calls = model.read, []

    def fail_once(photo):
        calls.append(1)
        return 1 / 0 if len(calls) == 1 else read(photo)

    monkeypatch.setattr(model, "read", fail_once)
    first, second = lines_of(post(app.test_client(), *PHOTOS[:2]).text)
    assert first["error"]["code"] == "internal"
    assert second["predictions"][0]["label"] == "green"
    monkeypatch.setattr(model, "describe", lambda *_: {"familiarity": float("nan")})  # no JSON
    for line in lines_of(post(app.test_client(), *PHOTOS[:2]).text):
        assert line["error"]["code"] == "internal"


def test_what_is_wrong_with_the_request_itself_keeps_its_status(bundle):
    client = create_app([bundle], Settings(photos_per_request=2)).test_client()
    for answer, status, code in (
        (post(client, *PHOTOS), 413, "too_many_images"),
        (client.post("/predict", data=b"", headers=LINES), 400, "image_missing"),
        (client.post("/predict?top=x", data=PHOTOS[0], headers=LINES), 400, "setting"),
        (client.post("/models/birds/predict", data=b"", headers=LINES), 404, "unknown_model"),
    ):
        assert (answer.status_code, answer.json["error"]["code"]) == (status, code)


def test_lines_come_only_if_they_are_preferred(bundle):
    client = create_app([bundle]).test_client()
    for accept in ("*/*", "application/json", "application/x-ndjson;q=0.5, application/json"):
        answer = post(client, *PHOTOS[:2], Accept=accept)
        assert len(answer.json["results"]) == 2


LARGE = encode_photo(np.zeros((4800, 5000), np.uint8))  # 24 Mpx, grey: takes long, in 24 kB


def form(*photos: bytes) -> bytes:
    """A whole request for lines."""
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    body = b"".join(head + photo + b"\r\n" for photo in photos) + b"--b--\r\n"
    kind = "Content-Type: multipart/form-data; boundary=b"
    return post_head("/predict", len(body), kind, "Accept: application/x-ndjson") + body


def read_until(connection: socket.socket, words: bytes) -> bytes:
    received = b""
    while words not in received:
        part = connection.recv(65536)
        assert part, received
        received += part
    return received


@pytest.mark.alone
def test_a_line_arrives_before_the_next_photo_is_answered(server):
    with server.connect(form(PHOTOS[0], *[LARGE] * 5, PHOTOS[2])) as one:
        received = read_until(one, b'"photo": 1')
        assert (
            b"Transfer-Encoding: chunked" in received or b"transfer-encoding: chunked" in received
        )
        assert b'"photo": 7' not in received
        received += read_until(one, b"\r\n0\r\n\r\n")
    assert [b'"photo": %d' % number in received for number in range(1, 8)] == [True] * 7


@pytest.mark.alone
def test_a_connection_lives_on_after_a_stream(server):
    files = [("image", ("a.png", photo)) for photo in [*PHOTOS, PAGE]]
    address = f"http://127.0.0.1:{server.port}/predict"
    with requests.Session() as session:
        for _ in range(3):
            answer = session.post(address, files=files, headers=LINES, timeout=60)
            lines = lines_of(answer.text)
            assert [line["photo"] for line in lines] == [1, 2, 3, 4]
            assert lines[3]["error"]["code"] == "image_unsupported"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.alone
def test_clients_that_leave_a_stream_take_no_thread_for_long(server):
    for _ in range(3):  # there are two threads for batches
        with server.connect(form(PHOTOS[0], *[LARGE] * 20)) as one:
            read_until(one, b'"photo": 1')
    with server.connect(form(*PHOTOS)) as one:
        assert b'"photo": 3' in read_until(one, b"\r\n0\r\n\r\n")


@pytest.mark.alone
def test_a_stream_that_takes_too_long_ends_with_a_line_that_says_so(bundle):
    with serving(bundle, workers=1, options=("--answer-seconds", "1")) as running:
        with running.connect(form(PHOTOS[0], *[LARGE] * 31)) as one:
            received = read_until(one, b"\r\n0\r\n\r\n").decode()
        assert '"photo": 1' in received
        assert '"photo": 32' not in received
        assert '"code": "busy"' in received
        assert "the answer took over 1 s" in received
        assert running.ask("/v2/health/live")[0] == 200


@pytest.mark.alone
def test_a_client_that_does_not_read_holds_nobody_up(bundle):
    options = ("--answer-seconds", "2")
    with (
        serving(bundle, workers=1, options=options) as running,
        running.connect(form(*[PHOTOS[0]] * 32), buffer=2_000),
        running.connect(form(*PHOTOS)) as other,
    ):
        assert b'"photo": 3' in read_until(other, b"\r\n0\r\n\r\n")

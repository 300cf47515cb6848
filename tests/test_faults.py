"""What goes wrong around the service: killed and frozen workers, stops, full disks, clocks."""

import os
import resource
import shutil
import signal
import socket
import sys
import threading
import time
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy as np
import pytest

from service.versions.arbiter import refuse_newcomers
from tests.conftest import encode_photo, paint_photo
from tests.serving import WAIT_S, Server, post_head, read_answer, serving

pytestmark = pytest.mark.alone

PHOTO = encode_photo(paint_photo(48, 48))
POST = post_head("/predict", len(PHOTO)) + PHOTO


class Load:
    """Clients that post without a pause, until they are stopped."""

    def __init__(self, server: Server, count: int = 4):
        self.good = 0
        self.failed: list[str] = []
        self.stop = threading.Event()
        self._server = server
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        self.wait_for(5)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int) -> None:
        """Wait until so many more have been answered."""
        aim, limit = self.good + more, time.monotonic() + WAIT_S
        while self.good < aim:
            assert time.monotonic() < limit, self.failed
            time.sleep(0.01)

    def _ask(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._server.port, timeout=30)
        while not self.stop.is_set():
            try:
                connection.connect()
            except OSError:  # nothing was accepted, so nothing is lost
                time.sleep(0.02)
                continue
            try:
                while not self.stop.is_set() and connection.sock:
                    connection.request("POST", "/predict", PHOTO)
                    response = connection.getresponse()
                    response.read()
                    if response.status == 200:
                        self.good += 1
                    else:
                        self.failed.append(str(response.status))
            except (OSError, HTTPException) as error:
                self.failed.append(type(error).__name__)
            connection.close()


def test_a_killed_worker_takes_only_what_it_had_in_hand(tiny_bundle):
    with serving(tiny_bundle) as server, Load(server, 8) as load:
        before = server.workers()
        os.kill(before[0], signal.SIGKILL)
        limit = time.monotonic() + WAIT_S
        while len(after := set(server.workers()) - {before[0]}) < 2:
            assert time.monotonic() < limit
            time.sleep(0.02)
        load.wait_for(100)
        assert before[1] in after
        assert len(load.failed) <= 8, load.failed  # one of each client, at most


def test_a_frozen_worker_leaves_new_clients_to_the_other(tiny_bundle):
    with serving(tiny_bundle) as server:
        frozen = server.workers()[0]
        os.kill(frozen, signal.SIGSTOP)
        try:
            for _ in range(20):
                assert server.ask("/v2/health/live")[0] == 200
                assert server.ask("/predict", PHOTO)[0] == 200
        finally:
            os.kill(frozen, signal.SIGCONT)


def test_a_stop_under_load_loses_nothing_that_was_accepted(tiny_bundle):
    half = post_head("/predict", 90_000) + b"some"
    with serving(tiny_bundle) as server, ExitStack() as open_ones:
        idle = [open_ones.enter_context(server.connect(POST)) for _ in range(10)]
        for one in idle:
            assert read_answer(one)[0] == 200  # and the connection stays open
        halves = [open_ones.enter_context(server.connect(half)) for _ in range(20)]
        with Load(server, 8) as load:
            started = time.monotonic()
            server.process.terminate()
            time.sleep(0.2)  # the parent tells the workers
            whole = []
            for one in idle[:5]:  # on connections that are open already
                one.sendall(POST)
                whole.append(read_answer(one))
            assert server.process.wait(WAIT_S) == 0
            assert time.monotonic() - started < 18  # not the 20 s after which gunicorn kills
            load.stop.set()
        assert load.failed == []
        assert [(status, headers["connection"]) for status, headers, _ in whole] == [
            (200, "close")
        ] * 5
        assert {read_answer(one)[0] for one in halves} == {503}


def test_whole_requests_are_answered_before_a_stop_though_halves_hang(tiny_bundle):
    slow = encode_photo(np.random.default_rng(0).integers(0, 255, (1000, 1000, 3), np.uint8))
    content = post_head("/predict", len(slow)) + slow
    options = ("--waiting", "20")
    with serving(tiny_bundle, workers=1, options=options) as server, ExitStack() as open_ones:
        halves = [open_ones.enter_context(server.connect(content[:-9])) for _ in range(5)]
        whole = [open_ones.enter_context(server.connect(content)) for _ in range(20)]
        time.sleep(0.3)
        server.process.terminate()
        assert [read_answer(one)[0] for one in whole] == [200] * 20
        assert [read_answer(one)[0] for one in halves] == [503] * 5


def test_a_stop_waits_only_a_moment_for_connections_that_say_nothing(tiny_bundle):
    with serving(tiny_bundle) as server, ExitStack() as open_ones:
        for content in (b"", POST) * 5:
            open_ones.enter_context(server.connect(content))
        time.sleep(1)
        started = time.monotonic()
        server.process.terminate()
        assert server.process.wait(WAIT_S) == 0
        assert time.monotonic() - started < 10  # not the 20 s that a request may take to arrive


def few_descriptors() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


@pytest.mark.parametrize("limit", [None, few_descriptors])
def test_connections_that_wait_to_be_accepted_are_answered_at_a_stop(limit, tiny_bundle):
    with (
        serving(tiny_bundle, workers=1, preexec_fn=limit) as server,
        ExitStack() as open_ones,
    ):
        (worker,) = server.workers()
        os.kill(worker, signal.SIGSTOP)  # so that nobody accepts
        get = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        waiting = [open_ones.enter_context(server.connect(get)) for _ in range(120)]
        server.process.terminate()
        time.sleep(0.5)  # the signal waits for the worker too
        os.kill(worker, signal.SIGCONT)
        assert [read_answer(one)[0] for one in waiting] == [200] * 120
        assert server.process.wait(WAIT_S) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can filter a listener")
def test_nobody_connects_once_newcomers_are_refused_and_those_that_wait_are_taken():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = listener.getsockname()
        with socket.create_connection(place) as early:
            refuse_newcomers(listener)
            with pytest.raises(TimeoutError):
                socket.create_connection(place, timeout=0.2)
            listener.settimeout(0)
            with listener.accept()[0] as taken:
                early.sendall(b"sent")
                taken.settimeout(30)
                assert taken.recv(9) == b"sent"
            with pytest.raises(BlockingIOError):
                listener.accept()


def test_few_descriptors_are_enough_for_honest_clients(tiny_bundle):
    with (
        serving(tiny_bundle, workers=1, preexec_fn=few_descriptors) as server,
        ExitStack() as open_ones,
    ):
        before = server.workers()
        for _ in range(150):
            open_ones.enter_context(server.connect())
        for _ in range(10):
            assert server.ask("/predict", PHOTO)[0] == 200
            assert server.ask("/v2/health/ready")[0] == 200
        assert server.workers() == before


def test_a_full_disk_for_the_log_stops_nothing(tiny_bundle, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bundle, copy)
    with (
        Path("/dev/full").open("wb", buffering=0) as full,
        serving(copy, stdout=full, stderr=full) as server,
    ):
        (copy / "layers.onnx").write_bytes(b"other bytes")
        for _ in range(10):
            server.process.send_signal(signal.SIGHUP)  # each writes a refusal to the log
            assert server.ask("/activations", PHOTO)[0] == 200
            assert server.ask("/predict", PHOTO)[0] == 200
            assert server.ask("/v2/health/live")[0] == 200


# libfaketime cannot be used: with it, time.sleep of Python 3.11 raises EINVAL.
JUMPING = """
import pathlib, time
real, offset = time.time, pathlib.Path(__file__).with_name("clock")
time.time = lambda: real() + float(offset.read_text() or 0)
"""


def test_a_clock_that_jumps_stops_nothing(tiny_bundle, tmp_path):
    clock = tmp_path / "clock"
    clock.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(JUMPING)  # Python runs it first in each process
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    options = ("--rate-limit", "1000000/hour")
    with serving(tiny_bundle, options=options, env=environment) as server, Load(server, 2) as load:
        before = server.workers()
        for jump in ("3600", "-7200", "40000000", "0"):
            clock.write_text(jump)
            load.wait_for(20)
            assert server.ask("/v2/health/live")[0] == 200
        time.sleep(1.5)
        assert server.workers() == before
    assert load.failed == []


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_mutated_photos_give_no_error_of_the_server(tiny_bundle, kind):
    random = np.random.default_rng(0)
    good = encode_photo(paint_photo(64, 64), kind)
    with serving(tiny_bundle, workers=1) as server:
        before = server.workers()
        for number in range(60):
            broken = bytearray(good)
            for place in random.integers(0, len(broken), 1 + number % 20):
                broken[place] = random.integers(256)
            status, answer = server.ask("/predict", bytes(broken[: len(broken) - number % 7]))
            assert status in (200, 400, 413, 415, 422), answer
        assert server.workers() == before


def test_signals_that_mean_nothing_here_end_nobody(tiny_bundle):
    with serving(tiny_bundle) as server:
        before = server.workers()
        server.process.send_signal(signal.SIGUSR2)
        for pid in (server.process.pid, *before):
            os.kill(pid, signal.SIGHUP)  # as a terminal that is closed does
        time.sleep(1)
        assert server.ask("/predict", PHOTO)[0] == 200
        assert server.workers() == before

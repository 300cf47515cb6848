"""GET /metrics of a real server: right whatever its workers and clients do."""

import http.client
import os
import signal
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import encode_photo, paint_photo
from tests.scraping import Samples, metrics_of, total, value
from tests.serving import Server, post_head, read_answer, serving
from tests.watching import wait_for

pytestmark = pytest.mark.alone
PHOTO = encode_photo(paint_photo(60, 80), "JPEG")


def test_every_answer_is_counted_by_its_route_and_status(tiny_bundle: Path):
    with serving(tiny_bundle, workers=2) as server:
        before = metrics_of(server)
        for _ in range(5):
            assert server.ask("/predict", PHOTO)[0] == 200
        assert server.ask("/models/tiny/predict", b"no photo")[0] == 415
        for number in range(30):
            assert server.ask(f"/no/such/{number}")[0] == 404
        assert server.ask("/predict")[0] == 405
        assert b"400" in server.raw(b"no http\r\n\r\n")
        found = metrics_of(server)
        told = "layerscope_requests_total"
        assert value(found, told, route="/predict", status="200") == 5
        assert value(found, told, route="/predict", status="405") == 1
        assert value(found, told, route="/models/<name>/predict", status="415") == 1
        assert value(found, told, route="(unknown)", status="404") == 30
        assert value(found, told, route="(broken)", status="400") == 1
        assert value(found, told, route="/metrics", status="200") == 1  # the one before
        assert value(found, "layerscope_request_seconds_count", route="/predict") == 6
        for stage in ("read", "wait", "decode", "network", "encode", "write"):
            count = value(found, "layerscope_stage_seconds_count", stage=stage)
            assert count >= 5, stage
        received = "layerscope_received_bytes_total"
        assert value(found, received) - value(before, received) == 5 * len(PHOTO) + len(b"no photo")
        assert value(found, "layerscope_workers") == 2
        assert total(found, "layerscope_memory_bytes") > 2 * 20_000_000
        assert len([name for name, _ in found if name == "layerscope_memory_bytes"]) == 2
        assert value(found, "layerscope_requests_waiting", lane="photos") == 0


class Crowd:
    """Clients that ask without a pause, and one that scrapes and remembers what fell."""

    def __init__(self, server: Server):
        self.answered = self.failed = 0
        self.falls: list[tuple[Any, float, float]] = []
        self.ended = threading.Event()
        self._server, self._lock = server, threading.Lock()

    def ask(self) -> None:
        while not self.ended.is_set():
            try:
                ok = self._server.ask("/predict", PHOTO)[0] == 200
            except (OSError, http.client.HTTPException):
                ok = False
            with self._lock:
                self.answered += ok
                self.failed += not ok

    def scrape(self) -> None:
        before: Samples = {}
        while not self.ended.is_set():
            try:
                found = metrics_of(self._server)
            except (OSError, http.client.HTTPException):
                continue
            for key, number in before.items():
                counts = key[0].endswith(("_total", "_count", "_bucket", "_sum"))
                if counts and found.get(key, -1) < number:
                    self.falls.append((key, number, found.get(key, -1)))
            before = found
            time.sleep(0.05)

    def wait_for_answers(self, count: int) -> None:
        goal = self.answered + count
        wait_for(lambda: self.answered >= goal or None, "answers")


def end_a_worker(server: Server, signal_number: int) -> None:
    """End one, and wait for another."""
    old = server.workers()
    os.kill(old[0], signal_number)
    wait_for(
        lambda: (len(new := server.workers()) == 2 and old[0] not in new) or None, "another worker"
    )


def descriptors(server: Server) -> int:
    """How many the parent has open."""
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def test_sums_never_fall_while_workers_are_killed_and_replaced(tiny_bundle: Path):
    with serving(tiny_bundle, workers=2, options=("--no-access-log",)) as server:
        crowd = Crowd(server)
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(crowd.ask) for _ in range(3)] + [pool.submit(crowd.scrape)]
            try:
                crowd.wait_for_answers(30)
                before = descriptors(server)
                for signal_number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
                    end_a_worker(server, signal_number)
                    crowd.wait_for_answers(30)
            finally:
                crowd.ended.set()
            for job in jobs:
                job.result()
        assert crowd.falls == []
        wait_for(lambda: descriptors(server) == before or None, "the parent to let go of its dead")
        found = metrics_of(server)
        counted = value(found, "layerscope_requests_total", route="/predict", status="200")
        assert crowd.answered <= counted <= crowd.answered + crowd.failed
        assert crowd.failed <= 2 * 3 * 3  # of three clients at each end: one under way, few more
        predicted = total(found, "layerscope_predictions_total")
        assert counted <= predicted <= crowd.answered + crowd.failed
        assert value(found, "layerscope_worker_starts_total") == 5
        wait_for(
            lambda: value(metrics_of(server), "layerscope_workers") == 2 or None, "two workers"
        )


def test_a_request_that_is_cut_and_one_whose_client_leaves_count_once(tiny_bundle: Path):
    told = "layerscope_requests_total"
    options = ("--read-seconds", "2")
    with serving(tiny_bundle, workers=1, options=options) as server:
        with server.connect(post_head("/predict", len(PHOTO)) + PHOTO[:50]) as half:
            assert read_answer(half)[0] == 408
        with server.connect(post_head("/predict", len(PHOTO)) + PHOTO[:50]) as leaving:
            wait_for(lambda: total(metrics_of(server), "layerscope_held_bytes"), "its half")
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        found = wait_for(
            lambda: (
                (told, frozenset({"route": "/predict", "status": "499"}.items()))
                in (now := metrics_of(server))
                and now
            ),
            "the one that left",
        )
        assert value(found, told, route="(broken)", status="408") == 1
        assert total(found, told, route="/predict") == 1


def test_metrics_do_not_wait_behind_photos(tiny_bundle: Path):
    slow = "/saliency?method=occlusion"
    with serving(tiny_bundle, workers=1) as server, ThreadPoolExecutor(16) as clients:
        jobs = [clients.submit(server.ask, slow, PHOTO, True) for _ in range(16)]
        seen = 0.0
        while not all(job.done() for job in jobs):
            found = metrics_of(server)  # whatever the photos do
            seen = max(seen, total(found, "layerscope_requests_running", lane="heavy"))
        assert {job.result()[0] for job in jobs} <= {200, 503}
        assert 0 <= seen <= 2  # threads of that lane

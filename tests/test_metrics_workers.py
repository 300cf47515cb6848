"""GET /metrics of a real server: right whatever its workers and clients do."""

import os
import signal
import socket
import struct
import threading
import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import encode_photo, paint_photo
from tests.scraping import Samples, metrics_of, total, value
from tests.serving import post_head, read_answer, serving
from tests.watching import wait_for

pytestmark = pytest.mark.alone


def test_every_answer_is_counted_by_its_route_and_status(tiny_bundle: Path):
    with serving(tiny_bundle, workers=2) as server:
        photo = encode_photo(paint_photo(60, 80), "JPEG")
        before = metrics_of(server)
        for _ in range(5):
            assert server.ask("/predict", photo)[0] == 200
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
        assert value(found, received) - value(before, received) == 5 * len(photo) + len(b"no photo")
        assert value(found, "layerscope_workers") == 2
        assert total(found, "layerscope_memory_bytes") > 2 * 20_000_000
        assert len([name for name, _ in found if name == "layerscope_memory_bytes"]) == 2
        assert value(found, "layerscope_requests_waiting", lane="photos") == 0


def test_sums_never_fall_while_workers_are_killed_and_replaced(tiny_bundle: Path):
    photo = encode_photo(paint_photo(60, 80), "JPEG")
    with serving(tiny_bundle, workers=2, options=("--no-access-log",)) as server:
        answered, failed = [0], [0]
        falls: list[tuple[Any, float, float]] = []
        ended = threading.Event()
        lock = threading.Lock()

        def ask() -> None:
            while not ended.is_set():
                try:
                    ok = server.ask("/predict", photo)[0] == 200
                except OSError:
                    ok = False
                except Exception:  # the answer broke off
                    ok = False
                with lock:
                    (answered if ok else failed)[0] += 1

        def watch() -> None:
            before: Samples = {}
            while not ended.is_set():
                try:
                    found = metrics_of(server)
                except (OSError, urllib.error.URLError):
                    continue
                for key, number in before.items():
                    counts = key[0].endswith(("_total", "_count", "_bucket", "_sum"))
                    if counts and found.get(key, -1) < number:
                        falls.append((key, number, found.get(key, -1)))
                before = found
                time.sleep(0.05)

        def replaced(signal_number: int) -> None:
            old = server.workers()
            os.kill(old[0], signal_number)
            wait_for(
                lambda: (len(new := server.workers()) == 2 and old[0] not in new) or None,
                "another worker",
            )
            goal = answered[0] + 30
            wait_for(lambda: answered[0] >= goal or None, "answers")

        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(ask) for _ in range(3)] + [pool.submit(watch)]
            try:
                wait_for(lambda: answered[0] >= 30 or None, "answers")
                for signal_number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
                    replaced(signal_number)
            finally:
                ended.set()
            for job in jobs:
                job.result()
        assert falls == []
        found = metrics_of(server)
        counted = value(found, "layerscope_requests_total", route="/predict", status="200")
        assert answered[0] <= counted <= answered[0] + failed[0]
        assert failed[0] <= 2 * 3 * 3  # of three clients at each kill: the one under way, few more
        predicted = total(found, "layerscope_predictions_total")
        assert counted <= predicted <= answered[0] + failed[0]
        assert value(found, "layerscope_worker_starts_total") == 5
        assert wait_for(
            lambda: value(metrics_of(server), "layerscope_workers") == 2 or None, "two workers"
        )


def test_a_request_that_is_cut_and_one_whose_client_leaves_count_once(tiny_bundle: Path):
    photo, told = encode_photo(paint_photo(60, 80), "JPEG"), "layerscope_requests_total"
    options = ("--read-seconds", "0.5")
    with serving(tiny_bundle, workers=1, options=options) as server:
        with server.connect(post_head("/predict", len(photo)) + photo[:50]) as half:
            assert read_answer(half)[0] == 408
        with server.connect(post_head("/predict", len(photo)) + photo[:50]) as leaving:
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
    photo = encode_photo(paint_photo(60, 80), "JPEG")
    with serving(tiny_bundle, workers=1) as server, ThreadPoolExecutor(16) as clients:
        jobs = [clients.submit(server.ask, slow, photo, True) for _ in range(16)]
        seen = 0.0
        while not all(job.done() for job in jobs):
            found = metrics_of(server)  # whatever the photos do
            seen = max(seen, total(found, "layerscope_requests_running", lane="photos"))
        assert {job.result()[0] for job in jobs} <= {200, 503}
        assert 0 <= seen <= 4

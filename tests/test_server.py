"""The real server: gunicorn with several workers, hostile clients, real kills."""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.bundle import Bundle
from models.classifier import Classifier
from models.inside import look_inside
from service.server import gunicorn_options
from service.settings import Settings
from tests.serving import ROOT, WAIT_S, Server, serving

pytestmark = pytest.mark.alone


def photo(seed: int) -> bytes:
    """A 48 px photo of noise; each seed gives another answer."""
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 48, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def server(tiny_bundle: Path) -> Iterator[Server]:
    with serving(tiny_bundle) as running:
        yield running


def test_every_photo_gets_its_own_answer_under_load(server, tiny_bundle):
    classifier = Classifier(Bundle(tiny_bundle))
    photos = [photo(seed) for seed in range(40)]
    expected = [float(classifier.predict(classifier.decode(one)[None])[0].max()) for one in photos]
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda one: server.ask("/predict", one), photos * 5))
    assert {status for status, _ in answers} == {200}
    found = [answer["predictions"][0]["probability"] for _, answer in answers]
    np.testing.assert_allclose(found, expected * 5, atol=1e-5)


def test_a_killed_worker_is_replaced_and_the_service_goes_on(server):
    before = server.workers()
    os.kill(before[0], signal.SIGKILL)
    limit = time.monotonic() + WAIT_S
    while len(after := server.workers()) < 2 or before[0] in after:
        assert time.monotonic() < limit
        time.sleep(0.05)
    server.wait_until_ready()
    assert server.ask("/predict", photo(1))[0] == 200


@pytest.mark.parametrize(
    "content",
    [
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nshort",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b"
        b"\r\nContent-Length: 9\r\n\r\n--b\r\nbrok",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data"
        b"\r\nContent-Length: 4\r\n\r\n--b\r",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"\x00\x01\x02 not http\r\n\r\n",
    ],
)
def test_a_broken_request_is_never_answered_with_500(server, content):
    answer = server.raw(content)
    assert not answer.startswith(b"HTTP/1.1 5"), answer[:200]
    assert server.ask("/predict", photo(2))[0] == 200


def test_damaged_photos_never_stop_a_worker(server):
    before = server.workers()
    random = np.random.default_rng(0)
    good = photo(3)
    for _ in range(200):
        broken = bytearray(good)
        for place in random.integers(0, len(broken), 8):
            broken[place] = random.integers(256)
        status, answer = server.ask("/predict", bytes(broken))
        assert status in (200, 413, 415, 422), answer
    assert server.workers() == before


def test_a_damaged_bundle_is_refused_in_one_line(tiny_bundle, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(tiny_bundle, broken)
    (broken / "predict.onnx").write_bytes(b"other bytes")
    command = [sys.executable, "-m", "service", str(broken), "--port", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "predict.onnx was altered" in done.stderr


def test_a_stop_lets_a_request_in_flight_end(tiny_bundle):
    with serving(tiny_bundle, workers=1) as server:
        body = photo(4)
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(head.encode() + body[:50])
            time.sleep(0.5)  # the worker now reads the body
            server.process.terminate()
            time.sleep(0.5)
            connection.sendall(body[50:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_whoever_sends_half_a_request_does_not_keep_a_thread(tiny_bundle):
    with serving(tiny_bundle, workers=1, options=("--read-seconds", "1.5")) as server:
        halves = [
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\nsome",
            b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            b"GET /models HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        ]
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(12)]
        try:
            for number, connection in enumerate(slow):  # three times the threads of the worker
                connection.sendall(halves[number % 3])
            time.sleep(0.5)
            started = time.monotonic()
            assert server.ask("/predict", photo(5))[0] == 200
            # Three rounds of 1.5 s, noticed within a second each, at most.
            assert time.monotonic() - started < 3 * 2.5 + 2
            assert server.ask("/v2/health/live")[0] == 200
        finally:
            for connection in slow:
                connection.close()


def test_a_long_answer_is_not_cut_off_by_the_limit_on_reading(tiny_bundle):
    with serving(tiny_bundle, workers=1, options=("--read-seconds", "0.1")) as server:
        status, answer = server.ask("/saliency?method=occlusion", photo(6), accept_json=True)
        assert (status, answer["height"]) == (200, 14)


def test_looking_inside_never_mixes_photos_or_models(insight_bundle, tiny_bundle):
    models = {"colours": insight_bundle, "tiny": tiny_bundle}
    photos = [photo(seed) for seed in range(6)]
    expected = {}
    for name, bundle in models.items():
        classifier = Classifier(Bundle(bundle))
        for seed, one in enumerate(photos):
            inside = look_inside(classifier, classifier.decode(one))
            strengths = inside.layers[-1].strengths
            expected[name, seed] = (float(inside.probabilities.max()), strengths, inside.heat)
    with serving(insight_bundle, tiny_bundle) as server, ThreadPoolExecutor(8) as clients:
        jobs = [key for _ in range(8) for key in expected]

        def ask(job: tuple[str, int]) -> dict[str, Any]:
            status, answer = server.ask(f"/models/{job[0]}/activations", photos[job[1]])
            assert status == 200
            return answer

        for job, answer in zip(jobs, clients.map(ask, jobs), strict=True):
            best, strengths, heat = expected[job]
            assert answer["model"] == job[0]
            assert answer["predictions"][0]["probability"] == pytest.approx(best, abs=1e-5)
            np.testing.assert_allclose(answer["layers"][-1]["strengths"], strengths, atol=2e-5)
            np.testing.assert_allclose(answer["saliency"]["map"], heat, atol=2e-5)


def test_connections_that_say_nothing_do_not_keep_the_threads(server):
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
    try:
        started = time.monotonic()
        assert server.ask("/v2/health/live")[0] == 200
        assert time.monotonic() - started < 4  # gunicorn's own 5 s for each would make 25 s
    finally:
        for connection in silent:
            connection.close()


def test_whoever_does_not_read_the_answer_does_not_keep_a_thread(tiny_bundle):
    body = photo(7)
    path = "/activations/block1_relu?overlay=1&tile=512&channels=all"  # megabytes of answer
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with serving(tiny_bundle, workers=1, options=("--answer-seconds", "2")) as server:
        deaf = []
        try:
            for _ in range(8):  # twice the threads of the worker
                connection = socket.socket()
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                connection.connect(("127.0.0.1", server.port))
                connection.sendall(head.encode() + body)
                deaf.append(connection)
            time.sleep(1)
            started = time.monotonic()
            assert server.ask("/v2/health/live")[0] == 200
            assert time.monotonic() - started < 15  # two rounds of 2 s and what drawing takes
        finally:
            for connection in deaf:
                connection.close()


def test_a_pause_within_a_body_may_last_as_long_as_the_body_may_take():
    with socket.create_server(("127.0.0.1", 0)) as one:
        for seconds, expected in ((20.0, 30), (60.0, 61)):
            options = gunicorn_options(one.dup(), Settings(read_s=seconds))
            os.close(int(options["bind"].removeprefix("fd://")))
            assert options["timeout"] == expected

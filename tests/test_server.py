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

import numpy as np
import pytest
from PIL import Image

from models.bundle import Bundle
from models.classifier import Classifier
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

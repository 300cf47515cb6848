"""What clients send that nobody will read, or that costs more than it carries: it takes nothing."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.conftest import encode_photo, paint_photo
from tests.serving import WAIT_S, memory_kb, post_head, read_answer, serving

pytestmark = pytest.mark.alone

PHOTO = encode_photo(paint_photo(48, 48))


def wait_until(reached: Callable[[], bool]) -> None:
    """Wait for what takes 3 s on a machine that is not busy."""
    limit = time.monotonic() + WAIT_S
    while not reached():
        assert time.monotonic() < limit
        time.sleep(0.1)


def code(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


def test_a_body_that_nobody_reads_takes_no_memory(tiny_bundle):
    head = b"GET %b HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
    with serving(tiny_bundle, workers=1) as server, ExitStack() as open_ones:
        server.ask("/models")
        before = memory_kb(server, "VmHWM")
        asking = [open_ones.enter_context(server.connect()) for _ in range(100)]
        for number, one in enumerate(asking):
            one.sendall(head % (b"/models", b"/v2/health/ready")[number % 2] + bytes(899_999))
        for one in asking:
            one.sendall(b"x")
            assert read_answer(one)[0] == 200
        assert memory_kb(server, "VmHWM") - before < 30_000  # of 90 MB


def test_memory_goes_back_when_clients_leave_their_requests_half_sent(tiny_bundle):
    half = post_head("/predict", 990_000) + bytes(980_000)
    with serving(tiny_bundle, workers=1) as server:
        assert server.ask("/predict", PHOTO)[0] == 200
        before = memory_kb(server, "VmRSS")
        with ExitStack() as open_ones:
            for _ in range(120):
                open_ones.enter_context(server.connect(half))
            wait_until(lambda: memory_kb(server, "VmRSS") - before > 80_000)
        wait_until(lambda: memory_kb(server, "VmRSS") - before < 25_000)


def test_chunks_that_cost_more_than_they_carry_hold_up_nobody(tiny_bundle):
    with serving(tiny_bundle, workers=1) as server:
        before = server.workers()
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        costly = head + (b"40" + b";a" * 4_000 + b"\r\n" + bytes(64) + b"\r\n") * 50
        dense = head + (b"100\r\n" + bytes(256) + b"\r\n") * 1_300
        with ExitStack() as open_ones:
            refused = [open_ones.enter_context(server.connect(costly)) for _ in range(20)]
            taken = [open_ones.enter_context(server.connect(dense)) for _ in range(20)]
            assert server.ask("/predict", PHOTO)[0] == 200
            for one in refused:
                assert read_answer(one)[0] == 400
            for one in taken:
                one.sendall(b"0\r\n\r\n")
                status, _, body = read_answer(one)
                assert (status, code(body)) in [(415, "image_unsupported"), (503, "busy")]
        assert server.workers() == before

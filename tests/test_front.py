"""How the front begins and ends an answer, without a network."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from service.app import create_app
from service.network.connection import CONNECTION
from service.network.front import Front
from service.network.readable import Phase
from tests.conftest import encode_photo, paint_photo


class Slow:
    """Stands for a connection; notes what is done with it."""

    ended, unparsed, came_ahead, gone, received, req_count = False, 0, False, False, 0, 1

    def __init__(self, phase: Phase):
        self.phase = phase
        self.worker = SimpleNamespace(stopping=False, is_full=lambda small: False)
        self.steps: list[Any] = []
        self.content = b""

    def drop_body(self):
        pass

    def hold(self, size):
        pass

    async def sent(self):
        self.steps.append("sent")

    def release(self):
        self.steps.append("released")

    def enter(self, phase):
        self.phase = phase
        self.steps.append(phase)

    async def send(self, message):
        self.content += message.get("body", b"")
        self.steps.append(message["type"] + ("" if message.get("more_body") else " ends"))


def scope_of(connection: Slow, asked: str, headers: dict[bytes, bytes]) -> dict[str, Any]:
    method, path = asked.split()
    return {
        CONNECTION: connection, "method": method, "raw_path": path.encode(), "query_string": b"",
        "headers": list(headers.items()), "http_version": "1.1", "scheme": "http",
        "client": None, "server": None,
    }  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"content"])
def test_a_request_ends_when_all_has_left_before_the_next_of_its_connection_may_begin(body):
    """gunicorn begins the next when an answer ends; the bytes of a HEAD wait in the system, too."""
    slow: Any = Slow(Phase.SENDING)
    asyncio.run(Front.__new__(Front)._send((200, [], body), slow, slow.send))
    assert slow.steps[-4:] == ["sent", "released", Phase.IDLE, "http.response.body ends"]
    assert slow.steps[1:-4] == (["http.response.body"] if body else [])


def test_a_request_that_is_refused_by_its_head_has_the_time_of_an_answer(tiny_bundle):
    """Not that of a request, whose body may never come."""
    slow: Any = Slow(Phase.ARRIVING)
    headers = {b"host": b"x", b"origin": b"http://y", b"content-length": b"4"}
    asyncio.run(
        Front(create_app([tiny_bundle]))(scope_of(slow, "POST /predict", headers), None, slow.send)
    )
    assert slow.steps[:2] == [Phase.SENDING, "http.response.start ends"]
    assert slow.phase is Phase.IDLE


@pytest.mark.parametrize("route", ["GET /models", "POST /activations"])
@pytest.mark.parametrize("accepted", [b"*/*", b"application/x-ndjson"])
def test_an_answer_too_large_to_be_kept_until_it_has_left_is_refused(
    route, accepted, tiny_bundle, monkeypatch
):
    monkeypatch.setattr("service.network.environ.SENT_BYTES", 300)
    body = encode_photo(paint_photo(40, 40)) if route.startswith("POST") else b""
    slow: Any = Slow(Phase.ANSWERING)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    scope = scope_of(slow, route, {b"host": b"x", b"accept": accepted})
    asyncio.run(Front(create_app([tiny_bundle]))(scope, receive, slow.send))
    error = json.loads(slow.content)["error"]
    assert error["code"] == "bad_request"
    assert error["message"].endswith("bytes; the limit is 300: ask for less")

"""How the front ends an answer, without a network."""

import asyncio
from typing import Any

import pytest

from service.network.front import Front
from service.network.readable import Phase


@pytest.mark.parametrize("body", [b"", b"content"])
def test_a_request_ends_when_all_has_left_before_the_next_of_its_connection_may_begin(body):
    """gunicorn begins the next when an answer ends; the bytes of a HEAD wait in the system, too."""
    steps = []

    async def send(message):
        steps.append(message["type"] + ("" if message.get("more_body") else " ends"))

    class Slow:
        ended, unparsed, phase = False, 0, Phase.SENDING

        def drop_body(self):
            pass

        def hold(self, size):
            pass

        async def sent(self):
            steps.append("sent")

        def release(self):
            steps.append("released")

        def enter(self, phase):
            steps.append(phase)

    slow: Any = Slow()
    asyncio.run(Front.__new__(Front)._send((200, [], body), slow, send))
    assert steps[-4:] == ["sent", "released", Phase.IDLE, "http.response.body ends"]
    assert steps[1:-4] == (["http.response.body"] if body else [])

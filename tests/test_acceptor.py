"""New connections are taken evenly, and in a flood no faster than leaves time for photos."""

import asyncio
import socket
import struct
import time
from types import SimpleNamespace
from typing import Any

import pytest

from service.network import acceptor
from service.network.acceptor import FEW_ROUNDS, REST, Acceptor

COST_S = 0.003  # of the processor, that each connection takes


class Costly(asyncio.Protocol):
    """Stands for a connection: keeps the event loop for a while."""

    def __init__(self, worker):
        self.worker = worker

    def connection_made(self, transport):
        self.worker.connections.append(transport)
        until = time.thread_time() + COST_S
        while time.thread_time() < until:
            pass


def take(clients: int, busy: int, monkeypatch, leave: int = 0) -> tuple[int, list[float]]:
    """How many of so many that wait were taken, of whom some have left, and the rests meanwhile."""
    monkeypatch.setattr(acceptor, "Connection", Costly)
    rests: list[float] = []

    async def scenario() -> int:
        metrics = SimpleNamespace(
            set=lambda *_: None, values=SimpleNamespace(of_others=lambda _: [])
        )
        worker = SimpleNamespace(
            loop=asyncio.get_running_loop(), connections=[], most=1000, stopping=False,
            asgi=SimpleNamespace(busy=busy, watch=SimpleNamespace(metrics=metrics)),
        )  # fmt: skip
        tested = Acceptor(worker)
        pause = tested._pause

        def note(listener: Any, seconds: float, then: Any) -> None:
            rests.append(seconds)
            pause(listener, seconds, then)

        monkeypatch.setattr(tested, "_pause", note)
        with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
            listener.setblocking(False)
            waiting = [socket.create_connection(listener.getsockname()) for _ in range(clients)]
            for one in waiting[:leave]:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.close()
            tested.listen(listener)
            until = time.monotonic() + 20
            while len(worker.connections) < clients - leave and time.monotonic() < until:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            worker.loop.remove_reader(listener.fileno())
            for one in [*worker.connections, *waiting]:
                one.close()
            await asyncio.sleep(0)
        return len(worker.connections)

    return asyncio.run(scenario()), rests


def test_in_a_flood_nobody_is_taken_for_most_of_the_time_while_photos_are_in_work(monkeypatch):
    taken, rests = take(60, busy=1, monkeypatch=monkeypatch)
    assert taken == 60
    flood = 60 - FEW_ROUNDS - 2 * acceptor.MOST_AT_ONCE
    assert sum(rests) >= flood * COST_S * REST / 2


@pytest.mark.parametrize(("clients", "busy"), [(60, 0), (FEW_ROUNDS - 1, 1)])
def test_few_connections_and_those_of_an_idle_service_are_taken_at_once(clients, busy, monkeypatch):
    assert take(clients, busy, monkeypatch) == (clients, [])


def test_who_has_left_while_waiting_is_not_taken(monkeypatch):
    assert take(40, 1, monkeypatch, leave=40) == (0, [])
    assert take(40, 0, monkeypatch, leave=30) == (10, [])

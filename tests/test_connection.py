"""What one connection counts, without a network."""

from types import SimpleNamespace

import pytest

from service.network.connection import Connection, Phase
from service.network.worker import NetworkWorker
from service.settings import Settings


def connected(worker, since, unparsed, phase=Phase.ANSWERING):
    """A connection whose client has sent `unparsed` bytes ahead; `cuts` are those that are cut."""
    one = Connection.__new__(Connection)
    one.worker, one.since, one.phase, one.held, one.unparsed = worker, since, phase, 0, unparsed
    one.transport = SimpleNamespace(abort=lambda: worker.cuts.append(one))
    worker.connections.add(one)
    worker.hold(unparsed)
    return one


@pytest.fixture
def worker():
    one = NetworkWorker.__new__(NetworkWorker)
    one.settings, one.connections = Settings(buffer_bytes=1_000_000), set()
    one.held, one.cuts = 0, []
    return one


def test_requests_far_ahead_give_way_where_a_worker_holds_too_many_bytes(worker):
    connected(worker, 1, 65_536)  # the oldest; an honest client may be as far ahead
    far = connected(worker, 2, 65_537)
    for since in range(3, 17):
        connected(worker, since, 65_000)
    assert (worker.cuts, worker.held) == ([far], 65_536 + 14 * 65_000)


def test_nobody_is_cut_while_a_worker_holds_few_bytes(worker):
    for since in range(3):
        connected(worker, since, 300_000)
    connected(worker, 3, 100_000)
    assert (worker.cuts, worker.held) == ([], 1_000_000)

"""Of many that send each is read a little, laborious ones rest; after a flood memory goes back."""

from types import SimpleNamespace
from typing import Any

import pytest

from service.network.readable import Readable
from service.network.rounds import Rounds
from service.network.worker import NetworkWorker
from service.settings import Settings


class Clock:
    """A loop that keeps what is to be called, and a clock of the processor's time."""

    def __init__(self):
        self.soon, self.later, self.now = [], [], 0.0

    def call_soon(self, work, *arguments):
        self.soon.append(lambda: work(*arguments))

    def call_later(self, seconds, work, *arguments):
        self.later.append((seconds, lambda: work(*arguments)))


@pytest.fixture
def clock(monkeypatch):
    one = Clock()
    monkeypatch.setattr("service.network.rounds.time.thread_time", lambda: one.now)
    return one


def test_the_more_connections_send_the_less_is_read_of_each_at_once(clock):
    rounds: Any = Rounds()
    assert rounds.read_bytes == 262_144
    for senders, expected in ((100, 10_000), (2_000, 4_096), (1, 262_144)):
        for _ in range(senders):
            with rounds.part(None, clock):
                pass
        (end,) = clock.soon  # one round, however many take part
        end()
        clock.soon.clear()
        assert rounds.read_bytes == expected
    assert clock.later == []


def test_who_takes_long_to_read_rests_twice_as_long(clock):
    rounds, told = Rounds(), []
    sender: Any = SimpleNamespace(rest=told.append, whole=False)
    for seconds in (0.01, 0.05):
        with rounds.part(sender, clock):
            clock.now += seconds
        clock.soon.pop()()
    ((pause, wake),) = clock.later  # the first round was not long
    assert pause == pytest.approx(0.1)
    assert told == [True]
    wake()
    assert told == [True, False]


def test_who_sends_what_is_quickly_read_goes_on_beside_laborious_senders(clock):
    rounds, told = Rounds(), {"quick": [], "laborious": []}
    for name, seconds in (("laborious", 0.02), ("quick", 0.001), ("laborious", 0.03)):
        with rounds.part(SimpleNamespace(rest=told[name].append), clock):
            clock.now += seconds
    clock.soon.pop()()
    assert told == {"quick": [], "laborious": [True, True]}
    assert clock.later[0][0] == pytest.approx(2 * 0.051)


def test_beside_senders_of_single_bytes_a_whole_request_is_not_laborious(clock):
    rounds, told = Rounds(), {"drip": [], "photo": []}
    for name, seconds in [("drip", 0.0001)] * 200 + [("photo", 0.0003)]:
        with rounds.part(SimpleNamespace(rest=told[name].append, whole=name == "photo"), clock):
            clock.now += seconds
    clock.soon.pop()()
    assert told == {"drip": [True] * 200, "photo": []}


def test_who_sends_many_small_pieces_of_a_request_is_read_less_often(clock):
    told: list[bool] = []
    one: Any = SimpleNamespace(drips=0, rest=told.append, worker=SimpleNamespace(loop=clock))
    for size in [5_000] * 100 + [1] * 16:
        Readable.note_piece(one, size)
    assert told == []  # a few small ones are nothing unusual
    Readable.note_piece(one, 1)
    ((seconds, wake),) = clock.later
    wake()
    assert (seconds, told) == (0.1, [True, False])


def test_memory_is_given_back_once_when_a_flood_is_over():
    worker: Any = NetworkWorker.__new__(NetworkWorker)
    worker.connections, worker.held = set(), 0
    given = []
    worker.loop = SimpleNamespace(run_in_executor=lambda _, work: given.append(work.__name__))
    worker.settings = Settings()
    for held in (0, 33_000_000, *[1_000_000] * 7, 3_000_000):
        worker.hold(held - worker.held)
        worker._give_back()
    assert given == []  # it was not calm for long enough
    for _ in range(20):
        worker.hold(-worker.held)
        worker._give_back()
    assert given == ["give_back_memory"]

"""What one connection counts, keeps and refuses, without a network."""

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from gunicorn.config import Config

from service.network.connection import Connection
from service.network.readable import Phase
from service.network.rounds import Rounds
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
    one.held, one.cuts, one.rounds = 0, [], Rounds()
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


class Transport:
    """What a connection needs of asyncio's."""

    def __init__(self):
        self.written, self.aborted, self.max_size = b"", False, 0

    def get_extra_info(self, name, default=None):
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def write(self, data):
        self.written += data

    def abort(self):
        self.aborted = True

    def nothing(self, *_, **__):
        """Neither limits nor pauses matter here."""

    set_write_buffer_limits = write_eof = close = pause_reading = resume_reading = nothing


@pytest.fixture
def connect(worker) -> Iterator:
    """Make connections of a worker, whose requests nobody answers."""
    loop = asyncio.new_event_loop()
    worker.cfg, worker.log, worker.loop, worker.nr_conns = Config(), None, loop, 0
    worker.asgi = SimpleNamespace(watch=SimpleNamespace(broken=lambda *_: None))

    def connect_one(content=b"", worker=worker):
        one = Connection(worker)
        one.connection_made(Transport())
        if content:
            one.data_received(content)
        return one

    yield connect_one
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
HALF = HEAD + b"Content-Length: 900000\r\n\r\n"


def kept(one):
    """Bytes that a connection keeps, by what it holds in its hands."""
    receiver = one._body_receiver
    return sum(map(len, receiver._chunks if receiver else ())) + len(one._callback_parser._buffer)


@pytest.mark.parametrize(
    "unit",
    [
        b"100" + b";a" * 60 + b"\r\n" + bytes(256) + b"\r\n",  # half as much beside as inside
        b"0000000000000100\r\n" + bytes(256) + b"\r\n",
        b"40\r\n" + bytes(64) + b"\r\n",
    ],
)
def test_what_stands_beside_the_content_of_chunks_counts(connect, unit):
    one = connect(CHUNKED)
    sent = 0
    while not one.gone and sent < 1_000_000:
        one.data_received(unit * 50)
        sent += len(unit) * 50
    assert one.transport.written.startswith(b"HTTP/1.1 400")
    assert b"chunks of a few bytes" in one.transport.written
    assert sent < 280_000
    assert kept(one) == 0


def test_chunks_of_256_bytes_are_few_enough_and_so_are_large_ones_with_an_extension(connect):
    for unit in (b"100\r\n" + bytes(256) + b"\r\n", b"400;a=b\r\n" + bytes(1024) + b"\r\n"):
        one = connect(CHUNKED + unit * 600)
        assert not one.gone
        assert one.taken == len(unit) * 600
        assert one.received == kept(one) == one.held


def test_trailers_count_likewise(connect):
    assert not connect(CHUNKED + b"0\r\nX-Sum: 1\r\n\r\n").gone
    one = connect(CHUNKED + b"0\r\n" + (b"X: " + b"a" * 1_000 + b"\r\n") * 10 + b"\r\n")
    assert one.transport.written.startswith(b"HTTP/1.1 400")


def test_a_few_empty_lines_are_passed_over_and_a_flood_is_refused(connect):
    one = connect(b"\r\n" * 4 + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert one.phase is Phase.ANSWERING
    one = connect(b"\r\n" * 2_000)
    assert one.transport.written.startswith(b"HTTP/1.1 400")

    one = connect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"\r\n" * 3)  # behind one
    assert (one.phase, one.unparsed, one._callback_parser.remaining()) == (Phase.ANSWERING, 0, b"")


def test_of_a_connection_so_much_is_read_as_the_last_round_allows(connect, worker):
    one = connect()
    assert one.transport.max_size == 262_144
    worker.rounds._last = 1_000  # sent something
    one.data_received(b"GET")
    assert one.transport.max_size == 4_096


@pytest.mark.parametrize("end", ["lost", "cut", "refused", "dropped"])
def test_the_bytes_of_a_body_are_let_go_when_nobody_will_read_them(connect, worker, end):
    one = connect(HALF + bytes(500_000))
    assert kept(one) == one.held == worker.held - one.unparsed == 500_000
    if end == "lost":
        one.connection_lost(None)
    elif end == "cut":
        one.cut(408, "request_timeout", "too slow")
    elif end == "refused":
        one._close_transport()
    else:
        one.drop_body()
    assert (kept(one), one.held, worker.held) == (0, 0, one.unparsed)
    one.data_received(bytes(100_000))
    assert (kept(one), one.held, worker.held) == (0, 0, one.unparsed)


def test_a_chunk_for_which_its_own_connection_is_cut_is_not_kept(connect, worker):
    one = connect(HALF + bytes(899_900))
    other = connect(HALF + bytes(99_900))
    one.data_received(bytes(100))  # its last bytes: ANSWERING, it cannot be cut
    other.data_received(bytes(800_100))  # its last bytes, for which there is no room
    assert other.transport.written.startswith(b"HTTP/1.1 503")
    assert (kept(other), other.held, other.phase) == (0, 0, Phase.LINGERING)
    assert worker.held == kept(one) == 900_000


def test_a_dropped_body_is_read_to_its_end_and_the_next_request_is_kept(connect, worker):
    one = connect(HALF + bytes(100_000))
    one.drop_body()
    one.enter(Phase.SENDING)  # it was refused by its head
    one.data_received(bytes(800_000))
    assert (one.whole, one.received, worker.held) == (True, 900_000, 0)
    assert one.phase is Phase.SENDING
    one._callback_parser.reset()
    one._body_receiver, one.phase = None, Phase.IDLE
    one.data_received(HALF + bytes(5))
    assert (kept(one), one.held) == (5, 5)


@pytest.mark.parametrize(("small", "refused"), [(True, 5 / 6), (False, 4 / 6)])
def test_what_waits_to_be_answered_leaves_room_and_a_little_more_for_small_bodies(
    worker, small, refused
):
    one = connected(worker, 1, 0)
    one.held = worker.held = int(refused * 1_000_000)
    assert not worker.is_full(small)
    one.held = worker.held = int(refused * 1_000_000) + 1
    assert worker.is_full(small)
    one.phase = Phase.ARRIVING
    assert not worker.is_full(small)


def test_while_it_rests_nothing_makes_a_connection_read_on(connect):
    one = connect(HALF)
    reads = []
    one.transport.pause_reading = lambda: reads.append(False)
    one.transport.resume_reading = lambda: reads.append(True)
    one.transport.is_closing = lambda: False
    one.rest(True)
    one._resume_reading()  # as gunicorn does when a part of the body is taken
    one.data_received(b"a")  # was on its way
    assert reads == [False]
    one.rest(False)
    assert reads == [False, True]


AHEAD_OF_IT = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "half", [b"POST /b HTTP/1.1", b"POST /b HTTP/1.1\r\n", b"POST /b HTTP/1.1\r\nHost: x"]
)
def test_a_line_end_that_comes_after_the_answer_belongs_to_its_head(connect, half):
    rest = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".removeprefix(half)
    one = connect(AHEAD_OF_IT + half)
    answer_one(one)
    one.data_received(rest[:2])
    one.data_received(rest[2:])
    assert (one._callback_parser.path, one.received) == (b"/b", 3)
    assert one.phase is Phase.ANSWERING


def answer_one(one):
    """What gunicorn does once an answer has left: the next request is looked for."""
    one.enter(Phase.IDLE)
    rest = one._callback_parser.remaining()
    one._callback_parser.reset()
    one._body_receiver = one._current_request = None
    if rest:
        one._feed_callback_parser(rest)


def test_of_requests_sent_ahead_none_is_copied_for_the_one_before_it(connect):
    one = connect(AHEAD_OF_IT * 3 + b"GET /half")
    buffer = one._callback_parser._buffer
    for left in (2, 1, 0):
        assert len(buffer) == left * len(AHEAD_OF_IT) + 9
        assert one.came_ahead == (left < 2)
        answer_one(one)
        assert one._callback_parser._buffer is buffer
    assert one.phase is Phase.IDLE
    one.data_received(b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert one._callback_parser.path == b"/half"
    assert (one.came_ahead, one.taken, len(buffer)) == (False, 0, 0)


def test_a_number_of_too_many_digits_is_refused_behind_another_request_too(connect):
    long = b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n"
    one = connect(AHEAD_OF_IT + long)
    answer_one(one)
    assert one.transport.written.startswith(b"HTTP/1.1 400")
    assert one.gone


def test_what_came_of_a_body_is_let_go_where_it_cannot_be_read_on(connect):
    one = connect(CHUNKED + b"4\r\nabcd")
    receiver = one._body_receiver
    one.data_received(b"no line end")
    assert one.transport.written.startswith(b"HTTP/1.1 400")
    assert receiver._disconnected  # whoever reads the body is told
    assert (one.told, one.held) == (True, 0)


def test_a_request_that_is_cut_keeps_the_id_that_a_proxy_gave_it(connect):
    one = connect(HALF.replace(b"\r\n\r\n", b"\r\nX-Request-ID: mine-1\r\n\r\n"))
    one.cut(408, "request_timeout", "too late")
    assert b"\r\nX-Request-ID: mine-1\r\n" in one.transport.written


def test_an_answer_without_a_body_has_left_when_the_system_has_its_head(connect, worker):
    one = connect(AHEAD_OF_IT)
    one.pause_writing()
    left = worker.loop.create_task(one.sent())
    worker.loop.run_until_complete(asyncio.sleep(0.01))
    assert not left.done()
    one.resume_writing()
    worker.loop.run_until_complete(left)


def test_small_pieces_are_counted_for_each_request_alone(connect):
    one = connect(HEAD)
    one.data_received(b"Content-Length: 1\r\n\r\n")
    assert one.drips == 2
    one.data_received(b"x")
    assert one.drips == 0

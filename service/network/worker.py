"""The gunicorn worker: cuts what is overdue, and stops in order.

gunicorn's own threads read and write in a blocking way, so whoever sends half a request keeps
one. Its ASGI worker reads and writes in an event loop, but limits neither the time that a
request may take to arrive nor the bytes that are waiting. This one does both, from the moment
a connection is accepted.
"""

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import sys
import time
from typing import Any

from gunicorn.workers.gasgi import ASGIWorker

from service.memory import give_back_memory, resident_bytes
from service.network.acceptor import Acceptor
from service.network.connection import LINGER_S, Connection
from service.network.readable import Phase
from service.network.rounds import Rounds
from service.settings import Settings

SWITCH_S = 0.001  # that a thread keeps the interpreter; Python's own 5 ms would delay the loop
M_MMAP_THRESHOLD = -3  # of glibc's mallopt
MAPPED_BYTES = 1_000_000  # blocks from here on go back to the system when a photo is decoded
FLOOD_BYTES = 32_000_000  # held at once: afterwards the system gets its memory back
CALM_BYTES = 2_000_000  # held: the flood is over
CALM_TICKS = 8  # in a row
TICK_S = 0.25  # between two looks at what is overdue; all workers look at the same moments
SPARE_DESCRIPTORS = 30  # for files, the event loop, what the worker was born with, and a swap
MODELS = 1_000  # that are reckoned with: each keeps a descriptor, and more may come later
HALF_S = 2.0  # that a stop waits for a request to arrive whole
IDLE_S = 1.0  # and for one more, which a connection that is kept open may be about to send


def ask_for_descriptors(connections: int) -> None:
    """Raise this process's limit, which workers inherit, as far as is wanted and allowed.

    Args:
        connections: of a worker. The parent needs fewer: one for each model and each worker.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_DESCRIPTORS + MODELS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class NetworkWorker(ASGIWorker):
    """gunicorn's ASGI worker with deadlines, bounded memory and an orderly stop."""

    settings: Settings  # set on the class before gunicorn starts
    _flood = False  # more than FLOOD_BYTES were held, and no memory was given back since
    _calm = 0  # ticks since then with little held

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self.connections: set[Connection] = set()
        self.rounds = Rounds()
        self.held = 0  # bytes that requests which arrive and answers which leave keep in memory
        self.acceptor = Acceptor(self)
        self._descriptors = 0  # that this process may have
        self._told_to_stop = asyncio.Event()

    def init_process(self) -> None:
        """Take fewer connections if there are fewer descriptors than are wanted."""
        sys.setswitchinterval(SWITCH_S)
        with contextlib.suppress(OSError, AttributeError):  # no glibc
            ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)
        self._descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        super().init_process()

    def init_signals(self) -> None:
        """As gunicorn does; a terminal that is closed says SIGHUP, and that is for the parent."""
        super().init_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    @property
    def most(self) -> int:
        """How many connections may be open, beside the models that are served now."""
        free = self._descriptors - SPARE_DESCRIPTORS - self.app.follower.held
        return max(8, min(self.settings.connections, free))

    @property
    def quick(self) -> bool:
        """Whether it stops at once."""
        return bool(self._quick_shutdown)

    @property
    def stopping(self) -> bool:
        """Whether every answer from now on is the last of its connection.

        `alive` stays true meanwhile: gunicorn would close connections by it at once, also those
        whose last answer had promised to take another request.
        """
        return self._told_to_stop.is_set()

    def handle_exit_signal(self) -> None:
        """SIGTERM: stop in order."""
        self._told_to_stop.set()

    def handle_quit_signal(self) -> None:
        """SIGINT, SIGQUIT: stop at once."""
        super().handle_quit_signal()
        self._told_to_stop.set()

    def is_full(self, small: bool) -> bool:
        """Whether what waits to be answered leaves no room for what arrives, and for answers.

        Args:
            small: the last sixth of that room is for small bodies.
        """
        room = self.settings.buffer_bytes * (5 if small else 4) // 6
        if self.held <= room:
            return False
        return sum(one.held for one in self.connections if one.phase is Phase.ANSWERING) > room

    def hold(self, size_bytes: int) -> None:
        """Count bytes in memory; beyond the limit the oldest that arrives or leaves is cut."""
        self.held += size_bytes
        self._flood |= self.held > FLOOD_BYTES
        if self.held > self.settings.buffer_bytes and size_bytes > 0:
            holders = [one for one in self.connections if one.in_the_way]
            if holders:
                oldest = min(holders, key=lambda one: one.since)
                oldest.cut(503, "busy", "too many bytes are on their way; try again in a second")
                oldest.release_all()

    async def _serve(self) -> None:
        for listener in self.sockets:
            listener.setblocking(False)
            self.acceptor.listen(listener)
        while not self.stopping and self.ppid == os.getppid():
            self.notify()
            self._cut_overdue()
            self._tell()
            self._give_back()
            with contextlib.suppress(TimeoutError):
                to_next = TICK_S - time.monotonic() % TICK_S
                await asyncio.wait_for(self._told_to_stop.wait(), to_next)
        await self._stop()
        self.asgi.watch.end()

    def _give_back(self) -> None:
        """Give memory back when a flood is over; in a thread, because that may take a while."""
        self._calm = self._calm + 1 if self._flood and self.held < CALM_BYTES else 0
        if self._calm >= CALM_TICKS:
            self._flood, self._calm = False, 0
            self.loop.run_in_executor(None, give_back_memory)

    def _tell(self) -> None:
        """Set this worker's gauges."""
        metrics, row = self.asgi.watch.metrics, str(self.asgi.watch.metrics.values.row)
        metrics.set("layerscope_connections", len(self.connections))
        self.acceptor.lately /= 2
        self.acceptor.tell_load()
        metrics.set("layerscope_held_bytes", self.held, row)
        metrics.set("layerscope_memory_bytes", resident_bytes(), row)
        for lane in self.asgi.lanes:
            metrics.set("layerscope_requests_waiting", lane.waiting, lane.name)
            metrics.set("layerscope_requests_running", lane.taken - lane.waiting, lane.name)

    def evict(self, *able: Phase) -> None:
        """Cut the connections that have waited longest for their clients: one in twenty."""
        able = able or (Phase.LINGERING, Phase.IDLE, Phase.ARRIVING, Phase.SENDING)
        waiting = [one for one in self.connections if one.phase in able]
        waiting.sort(key=lambda one: one.since)
        for one in waiting[: 1 + self.most // 20]:
            one.transport.abort()

    def _cut_overdue(self) -> None:
        limits = {
            Phase.ARRIVING: self.settings.read_s,
            Phase.SENDING: self.settings.answer_s,
            Phase.IDLE: self.cfg.keepalive + 1,  # gunicorn closes it before, unless it cannot
            Phase.LINGERING: LINGER_S,
        }
        now = time.monotonic()
        message = f"the request did not arrive whole within {self.settings.read_s:g} s"
        for one in list(self.connections):
            if now - one.since > limits.get(one.phase, float("inf")):
                one.cut(408, "request_timeout", message)

    async def _stop(self) -> None:
        """Take what waits to be accepted, cut half requests first, answer the whole ones."""
        self._told_to_stop.set()  # also where the parent is gone
        for listener in self.sockets:
            self.loop.remove_reader(listener.fileno())
            await self.acceptor.take_all(listener)
            listener.close()
        began = time.monotonic()
        while (self.connections or self.acceptor.opening) and not self.quick:
            now = time.monotonic()
            if now - began > self.cfg.graceful_timeout - 1:
                break
            for one in list(self.connections):
                waited = now - max(began, one.since)
                if one.phase is Phase.ARRIVING and one.heard and now - began > HALF_S:
                    one.cut(503, "busy", "the service is stopping and the request was not whole")
                elif waited > IDLE_S and one.silent:
                    one.transport.close()
            self.notify()
            self._cut_overdue()
            self._tell()
            await asyncio.sleep(0.05)
        for one in list(self.connections):
            one.transport.abort()

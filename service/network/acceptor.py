"""Takes new connections: evenly among workers, and no more than leaves time for others.

A connection that asks one thing and leaves costs its sender a tenth of what it costs the event
loop. So where photos are in work and the queue does not get empty, nobody is taken for a while
after each few; who has left meanwhile costs next to nothing.
"""

import asyncio
import errno
import math
import socket
import time
from typing import Any

from service.network.connection import Connection
from service.network.readable import Phase

STEP_BACK_S = 0.005  # for a worker that has less to do to take the next connection
LOAD = ("layerscope_load",)  # a metric; each worker sees those of the others
NO_ROOM_S = 0.05  # to the next try when no descriptor is left
FEW_ROUNDS = 16  # of one connection each, in which the queue did not get empty: then it is a flood
MOST_AT_ONCE = 4  # while photos are in work: an answer passes through the loop several times
REST = 4.0  # times as long as the loop was busy, nobody is taken in a flood
LONGEST_REST_S = 0.25
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)  # what accept says of it


class Acceptor:
    """Takes the connections of one worker."""

    def __init__(self, worker: Any):
        self.lately = 0.0  # connections taken; each tick, the same in all workers, forgets half
        self.opening: set[asyncio.Task[Any]] = set()
        self._worker = worker
        self._rounds = 0  # in which connections were taken, since none was left to take
        self._spent = 0.0  # of the processor by the loop, until the last of them

    def listen(self, listener: Any) -> None:
        """Take connections from now on."""
        if not self._worker.stopping:
            self._worker.loop.add_reader(listener.fileno(), self._take_soon, listener)

    def tell_load(self) -> float:
        """Tell the other workers how much this one has to do: idle connections are nothing."""
        load = self.lately + self._worker.asgi.busy
        self._worker.asgi.watch.metrics.set(*LOAD, load)
        return float(load)

    async def take_all(self, listener: Any) -> None:
        """Take all that wait: closing the listener would reset them, and what they have sent."""
        worker = self._worker
        ends = time.monotonic() + worker.cfg.graceful_timeout / 2
        while time.monotonic() < ends and not worker.quick:
            full = len(worker.connections) + len(self.opening) >= worker.most
            try:
                if not full:
                    self._take(listener)
            except BlockingIOError:
                break
            except OSError as error:
                full = error.errno in NO_ROOM
            if full:
                worker.evict(Phase.LINGERING)  # they have their answers; the others get theirs
                worker.notify()
                await asyncio.sleep(NO_ROOM_S)

    def _take_soon(self, listener: Any) -> None:
        """Take what waits; first leave it for a moment to workers that have less to do."""
        others = self._worker.asgi.watch.metrics.values.of_others(LOAD)
        if self._rounds > FEW_ROUNDS or self.tell_load() <= min(others, default=math.inf):
            self._take_some(listener)
            return
        self._pause(listener, STEP_BACK_S, self._take_late)

    def _take_late(self, listener: Any) -> None:
        self.listen(listener)
        if not self._worker.stopping:
            self._take_some(listener)

    def _take_some(self, listener: Any) -> None:
        """Take one connection, so that workers share them; more at a time in a flood."""
        self._rounds += 1
        before, self._spent = self._spent, time.thread_time()
        at_once = 1 + len(self._worker.connections) // 50
        wanted = 1 + self._rounds // FEW_ROUNDS * at_once
        if busy := self._worker.asgi.busy > 0:
            wanted = min(wanted, MOST_AT_ONCE)
        try:
            while wanted:
                wanted -= self._take(listener)
        except BlockingIOError:
            self._rounds = 0
        except OSError as error:
            if error.errno in NO_ROOM:
                self._worker.evict()
                self._pause(listener, NO_ROOM_S, self.listen)
        else:
            if busy and self._rounds > FEW_ROUNDS:
                rest = min(LONGEST_REST_S, REST * (self._spent - before))
                self._pause(listener, rest, self.listen)

    def _take(self, listener: Any) -> bool:
        """Take one connection; False: it has left. Raises OSError: none waits, or no room."""
        client, _ = listener.accept()
        if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            client.close()
            return False
        client.setblocking(False)
        if len(self._worker.connections) >= self._worker.most:
            self._worker.evict()
        task = self._worker.loop.create_task(self._open(client))
        self.opening.add(task)
        task.add_done_callback(self.opening.discard)
        self.lately += 1
        self.tell_load()
        return True

    async def _open(self, client: Any) -> None:
        try:
            loop = self._worker.loop
            await loop.connect_accepted_socket(lambda: Connection(self._worker), client)
        except OSError:  # it left at once
            client.close()

    def _pause(self, listener: Any, seconds: float, then: Any) -> None:
        """Take nobody for a while."""
        self._worker.loop.remove_reader(listener.fileno())
        self._worker.loop.call_later(seconds, then, listener)

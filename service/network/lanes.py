"""Threads in lanes, each with a bounded queue: what waits in one lane delays no other."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from service.errors import Busy
from service.incoming.rest import Rest

T = TypeVar("T")
LATELY_S = 0.5  # since the last work: clients who wait for an answer are about to ask again
NICENESS = 5  # of threads that work, more than that of the event loop


class Turns:
    """Lets one request begin after another: what costs its sender nothing takes no core."""

    def __init__(self, seconds: float, needed: Callable[[], bool]):
        """Begin with nobody waiting.

        Args:
            seconds: between two of them.
            needed: whether that much must lie between them.
        """
        self._seconds, self._needed = seconds, needed
        self._last = 0.0  # when the last turn is that was given away

    async def take(self) -> None:
        """Wait for a turn, first come first served; after a long round of the loop, all due.

        Who is cancelled while waiting has taken none: later ones do not wait for it.
        """
        now = time.monotonic()
        own = self._seconds if self._needed() else 0
        self._last = max(self._last, now) + own
        try:
            await asyncio.sleep(self._last - now)
        except asyncio.CancelledError:
            self._last -= own
            raise


class Lane:
    """Some threads and some places to wait for them. Used from one event loop."""

    def __init__(
        self,
        name: str,
        threads: int,
        waiting: int,
        niceness: int = NICENESS,
        gives_way: Callable[[], bool] = lambda: False,
    ):
        """Start nothing yet.

        Args:
            threads: requests that are answered at once.
            waiting: requests that may wait for a thread.
            niceness: of the threads, more than that of the event loop.
            gives_way: whether a thread rests before its next work, so that others get on.
        """
        self.name = name
        self.threads = threads
        self._rest = Rest(gives_way)
        self._pool = ThreadPoolExecutor(threads, name, _step_back, (niceness,))
        self._turns = asyncio.Semaphore(threads)
        self._places = threads + waiting
        self.taken = 0
        self._left = -LATELY_S  # when work ended last

    def check(self) -> None:
        """Raise Busy if no place is free."""
        if self.taken >= self._places:
            raise Busy(
                f"{self.taken} requests are in work or waiting, which is the limit; "
                "try again in a second"
            )

    @property
    def in_use(self) -> bool:
        """Whether there is work, or was until a moment ago."""
        return self.taken > 0 or time.monotonic() - self._left < LATELY_S

    @property
    def waiting(self) -> int:
        """How many requests wait for a thread."""
        return max(0, self.taken - self.threads)

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread of this lane, first come first served.

        A caller that is cancelled while it waits gives its place up at once; one whose work
        has begun keeps it until the work ends, because a thread cannot be stopped.

        Raises:
            Busy: no place is free.
        """
        self.check()
        self.taken += 1
        begun = False
        try:
            await self._turns.acquire()
            loop = asyncio.get_running_loop()
            done: asyncio.Future[T] = loop.create_future()
            self._pool.submit(self._answer, work, loop, lambda end: self._leave(done, end))
            begun = True
        finally:
            if not begun:
                self.taken -= 1
        return await done

    def _answer(
        self,
        work: Callable[[], T],
        loop: asyncio.AbstractEventLoop,
        leave: Callable[[Callable[[], T]], None],
    ) -> None:
        """Work in a thread, and wake the loop once: for the result, or the error, and the place."""
        future: Future[T] = Future()
        with self._rest:
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
        if not loop.is_closed():  # one that has ended no longer counts places
            loop.call_soon_threadsafe(leave, future.result)

    def _leave(self, done: asyncio.Future[T], end: Callable[[], T]) -> None:
        self.taken -= 1
        self._left = time.monotonic()
        self._turns.release()
        if done.done():  # nobody waits any more
            return
        try:
            done.set_result(end())
        except BaseException as error:
            done.set_exception(error)


def _step_back(niceness: int) -> None:
    """Let the event loop go first: it refuses, and answers whether the service lives."""
    with contextlib.suppress(OSError, AttributeError):  # only Linux has priorities of threads
        thread = threading.get_native_id()
        usual = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, usual + niceness)

"""Threads in lanes, each with a bounded queue: what waits in one lane delays no other."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from service.errors import Busy

T = TypeVar("T")
NICENESS = 5  # of threads that work, more than that of the event loop


class Lane:
    """Some threads and some places to wait for them. Used from one event loop."""

    def __init__(self, name: str, threads: int, waiting: int):
        """Start nothing yet.

        Args:
            threads: requests that are answered at once.
            waiting: requests that may wait for a thread.
        """
        self.name = name
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, name, initializer=_step_back)
        self._turns = asyncio.Semaphore(threads)
        self._places = threads + waiting
        self.taken = 0

    def check(self) -> None:
        """Raise Busy if no place is free."""
        if self.taken >= self._places:
            raise Busy(
                f"{self.taken} requests are in work or waiting, which is the limit; "
                "try again in a second"
            )

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
            future = self._pool.submit(work)
            begun = True
            future.add_done_callback(lambda done: _call(loop, self._leave))
        finally:
            if not begun:
                self.taken -= 1
        return await asyncio.shield(asyncio.wrap_future(future))

    def _leave(self) -> None:
        self.taken -= 1
        self._turns.release()


def _step_back() -> None:
    """Let the event loop go first: it refuses, and answers whether the service lives."""
    with contextlib.suppress(OSError, AttributeError):  # only Linux has priorities of threads
        thread = threading.get_native_id()
        usual = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, usual + NICENESS)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    """Call on the loop's thread; a loop that has ended no longer counts places."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(function)

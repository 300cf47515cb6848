"""How much of each connection is read in one round of the event loop, before others have a turn."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

ROUND_BYTES = 1_000_000  # of all connections that send, more or less
LEAST_READ, MOST_READ = 4_096, 262_144  # of one
LONG_S = 0.01  # of the processor, for one round
LABORIOUS_S = 0.0005  # likewise, for one sender: the head and the body of a photo take half of it
REST = 2.0  # times as long nobody is read who has made a round long


class Sender(Protocol):
    """A connection that can be left unread for a while."""

    @property
    def whole(self) -> bool:
        """Whether the last byte of the request has arrived."""

    def rest(self, resting: bool) -> None:
        """Read nothing, or go on."""


class Rounds:
    """Counts who sent anything in the last round; idle connections do not count."""

    def __init__(self) -> None:
        self._last = 0
        self._now: list[tuple[Sender, float]] = []  # and the seconds that each one's bytes took

    @property
    def read_bytes(self) -> int:
        """The most to read of a connection at once."""
        return min(MOST_READ, max(LEAST_READ, ROUND_BYTES // max(1, self._last)))

    @contextmanager
    def part(self, sender: Sender, loop: asyncio.AbstractEventLoop) -> Iterator[int]:
        """Count a connection that has sent something, and what reading that costs.

        Yields:
            The most to read of it next.
        """
        began = time.thread_time()
        try:
            yield self.read_bytes
        finally:
            if not self._now:
                loop.call_soon(self._end, loop)
            self._now.append((sender, time.thread_time() - began))

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave time for others after a long round; who sent what is quickly read goes on.

        Where that is everybody, those go on whose requests are whole.
        """
        parts, self._now, self._last = self._now, [], len(self._now)
        spent = sum(cost for _, cost in parts)
        if spent > LONG_S:
            least = max(LABORIOUS_S, spent / len(parts) / 2)
            laborious = [sender for sender, cost in parts if cost > least]
            laborious = laborious or [sender for sender, _ in parts if not sender.whole]
            for one in laborious:
                one.rest(True)
            loop.call_later(REST * spent, self._wake, laborious)

    def _wake(self, senders: list[Sender]) -> None:
        for one in senders:
            one.rest(False)

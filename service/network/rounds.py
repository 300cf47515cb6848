"""How much of each connection is read in one round of the event loop, before others have a turn."""

import asyncio
import time
from typing import Protocol

ROUND_BYTES = 1_000_000  # of all connections that send, more or less
LEAST_READ, MOST_READ = 4_096, 262_144  # of one
LONG_S = 0.01  # of the processor, for one round
REST = 2.0  # times as long nobody is read who has sent in a long round


class Sender(Protocol):
    """A connection that can be left unread for a while."""

    def rest(self, resting: bool) -> None:
        """Read nothing, or go on."""


class Rounds:
    """Counts who sent anything in the last round; idle connections do not count."""

    def __init__(self) -> None:
        self._last = 0
        self._now: list[Sender] = []
        self._began = 0.0

    @property
    def read_bytes(self) -> int:
        """The most to read of a connection at once."""
        return min(MOST_READ, max(LEAST_READ, ROUND_BYTES // max(1, self._last)))

    def take_part(self, sender: Sender, loop: asyncio.AbstractEventLoop) -> int:
        """Count a connection that has sent something; the most to read of it next."""
        if not self._now:
            loop.call_soon(self._end, loop)
            self._began = time.thread_time()
        self._now.append(sender)
        return self.read_bytes

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave time for others: what costs this much comes from senders of laborious bytes."""
        senders, self._now, self._last = self._now, [], len(self._now)
        spent = time.thread_time() - self._began
        if spent > LONG_S:
            for one in senders:
                one.rest(True)
            loop.call_later(REST * spent, self._wake, senders)

    def _wake(self, senders: list[Sender]) -> None:
        for one in senders:
            one.rest(False)

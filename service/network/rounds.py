"""How much of each connection is read in one round of the event loop, before others have a turn."""

import asyncio

ROUND_BYTES = 2_000_000  # of all connections that send, more or less
LEAST_READ, MOST_READ = 4_096, 262_144  # of one


class Rounds:
    """Counts who sent anything in the last round; idle connections do not count."""

    def __init__(self) -> None:
        self._last = self._now = 0

    @property
    def read_bytes(self) -> int:
        """The most to read of a connection at once."""
        return min(MOST_READ, max(LEAST_READ, ROUND_BYTES // max(1, self._last)))

    def take_part(self, loop: asyncio.AbstractEventLoop) -> int:
        """Count a connection that has sent something; the most to read of it next."""
        if not self._now:
            loop.call_soon(self._end)
        self._now += 1
        return self.read_bytes

    def _end(self) -> None:
        self._last, self._now = self._now, 0

"""One line of the log for each request, written by a thread of its own.

Whoever reads the log may be slow, or stand still: the event loop must not wait for that. Lines
that find no place in the queue are dropped and counted.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

LINES = 1_000  # that may wait to be written
PAUSE_S = 0.05  # lines of that time are written at once: to wake a thread for each takes longer
FLUSH_S = 2.0  # for the last ones, when the worker ends


class AccessLog:
    """A queue of lines and the thread that empties it."""

    def __init__(self, dropped: Callable[[], None]):
        """Start the thread; `dropped` is told of each line that finds no place."""
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._dropped = dropped
        log.setLevel(logging.INFO)  # whatever level the other messages have
        self._thread = threading.Thread(target=self._write, name="access", daemon=True)
        self._thread.start()

    def put(self, fields: dict[str, Any]) -> None:
        """Have a line written, soon."""
        if self._lines.qsize() < LINES:
            self._lines.put(fields)
        else:
            self._dropped()

    def end(self) -> None:
        """Write what waits, and stop."""
        self._lines.put(None)
        self._thread.join(FLUSH_S)

    def _write(self) -> None:
        while (fields := self._lines.get()) is not None:
            log.info("%s", Words(fields), extra={"fields": fields})
            if self._lines.empty():
                time.sleep(PAUSE_S)


class Words:
    """The fields of a line, for people; put together only where they are wanted so."""

    def __init__(self, fields: dict[str, Any]):
        self._fields = fields

    def __str__(self) -> str:
        parts = []
        for name, value in self._fields.items():
            if isinstance(value, dict):
                parts += [f"{stage}={ms}ms" for stage, ms in value.items()]
            elif name in ("method", "path", "status"):
                parts.append(str(value))
            elif value is not None:
                parts.append(f"{name}={value}")
        return " ".join(parts)

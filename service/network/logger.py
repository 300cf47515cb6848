"""gunicorn's logger, and how it writes, as the service's own messages do.

Whoever reads the log may be slow, or stand still. Neither the event loop nor the parent may wait
for that: a thread writes, and what finds no place in its queue is dropped.
"""

import contextlib
import logging
import os
import queue
import sys
import threading
from typing import Any

from gunicorn import glogging

from service.logs import Form, formatter

OURS = "service"
ACCESS = "service.watching.access"  # has a thread and a queue of its own
MESSAGES = 1_000  # that may wait to be written
FLUSH_S = 2.0  # for the last ones, when the process ends


class Direct(logging.Handler):
    """Writes to a descriptor, under no lock: neither a fork nor an end waits for a stuck write."""

    def __init__(self, descriptor: int):
        super().__init__()
        self._descriptor = descriptor

    def createLock(self) -> None:  # noqa: N802
        """Have none; the system writes a line in one piece."""
        self.lock = contextlib.nullcontext()  # type: ignore[assignment]

    def acquire(self) -> None:
        """Wait for nobody."""

    def release(self) -> None:
        """Nobody waits."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; where that cannot be done, as on a full disk, it is lost."""
        content = f"{self.format(record)}\n".encode(errors="backslashreplace")
        with contextlib.suppress(OSError):
            while content:
                content = content[os.write(self._descriptor, content) :]


class Unhurried(logging.Handler):
    """Has a thread of this process write what it is given."""

    def __init__(self, direct: Direct):
        super().__init__()
        self._direct = direct
        self._begin()
        os.register_at_fork(after_in_child=self._begin)  # threads do not come along

    def _begin(self) -> None:
        self._waiting: queue.SimpleQueue[logging.LogRecord | threading.Event] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Have it written, soon."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="log", daemon=True)
            self._thread.start()
        if self._waiting.qsize() < MESSAGES:
            self._waiting.put(record)

    def flush(self) -> None:
        """Wait a moment until all is written: Python calls it at the end of a process."""
        if self._thread is not None and self._thread is not threading.current_thread():
            written = threading.Event()
            self._waiting.put(written)
            written.wait(FLUSH_S)

    def _write(self) -> None:
        while True:
            record = self._waiting.get()
            if isinstance(record, threading.Event):
                record.set()
            else:
                self._direct.handle(record)


class Logger(glogging.Logger):
    """Writes where gunicorn's settings say, in the form that `logs.py` was told."""

    def setup(self, cfg: Any) -> None:
        """Set our handlers and formatter; what `say` tells is no longer waited for, either."""
        super().setup(cfg)
        direct, told = Direct(_descriptor(sys.stderr)), Direct(_descriptor(sys.stdout))
        direct.setFormatter(formatter(self.error_fmt, self.datefmt))
        unhurried, telling = Unhurried(direct), Unhurried(told)
        self.error_log.handlers = [unhurried]
        for name, handler in ((OURS, unhurried), (ACCESS, direct)):
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [handler], False
        Form.write = lambda line: telling.handle(logging.makeLogRecord({"msg": line}))


def _descriptor(stream: Any) -> int:
    """Return the descriptor of a standard stream, or of nothing where that was closed."""
    return int(stream.fileno()) if stream else os.open(os.devnull, os.O_WRONLY)

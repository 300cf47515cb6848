"""Memory for decoding, shared by all workers: large photos wait for room, small ones do not.

A page of shared memory has one cell for each worker: the bytes it uses now. A file that is
locked, never written, keeps two workers from counting at the same time. The system gives up
the locks of a worker that is killed: whoever finds no room empties the cells that nobody locks.
"""

import fcntl
import mmap
import os
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import Busy

SMALL_BYTES = 32_000_000  # a photo up to here needs no room: the threads bound how many there are
CELLS = 512  # workers at the same time, those of a reload too; a cell takes 8 bytes
POLL_S = 0.01
WAIT_S = 20.0  # less than the time for an answer: the thread is then free again


class DecodeMemory:
    """A limit on the bytes that decoding may use at once. Made before the workers are forked."""

    def __init__(self, limit_bytes: int, waiters: int = 3):
        """Share one page; `waiters` threads of a worker may use it or wait for it."""
        self._limit = limit_bytes
        self._cells = mmap.mmap(-1, CELLS * 8)
        self._file, name = tempfile.mkstemp(prefix="layerscope-")
        os.unlink(name)  # it is known by its descriptor
        self._lock = threading.Lock()
        self._waiters = threading.BoundedSemaphore(waiters)
        self._cell = 0
        self._owner = 0  # the process that has taken the cell

    def __del__(self) -> None:
        """Close the file, and with it this process's locks."""
        os.close(self._file)

    @contextmanager
    def room(self, size_bytes: int) -> Iterator[None]:
        """Keep room while a photo of `size_bytes` is decoded; one over the limit goes alone.

        Raises:
            Busy: too many large photos are being decoded or wait already.
        """
        if size_bytes <= SMALL_BYTES:
            yield
            return
        if not self._waiters.acquire(blocking=False):
            raise Busy("large photos are being decoded; try again in a second")
        try:
            size = min(size_bytes, self._limit)
            self._wait(size)
            try:
                yield
            finally:
                self._add(-size)
        finally:
            self._waiters.release()

    def used(self) -> int:
        """The bytes that all workers use now."""
        return sum(struct.unpack(f"{CELLS}q", self._cells[:]))

    def _wait(self, size: int) -> None:
        end = time.monotonic() + WAIT_S
        while not self._try(size):
            if time.monotonic() > end:
                raise Busy("large photos are being decoded; try again in a second")
            time.sleep(POLL_S)

    def _try(self, size: int) -> bool:
        with self._lock:
            if self._owner != os.getpid():
                self._take_cell()
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, CELLS)
            try:
                if self.used() + size > self._limit:
                    self._empty_dead_cells()
                if self.used() + size > self._limit:
                    return False
                self._write(self._cell, self._read(self._cell) + size)
                return True
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, CELLS)

    def _add(self, size: int) -> None:
        with self._lock:  # nobody else writes this cell
            self._write(self._cell, self._read(self._cell) + size)

    def _take_cell(self) -> None:
        """Lock the first free cell for the life of this process."""
        for cell in range(CELLS):
            if self._lock_cell(cell):
                self._write(cell, 0)
                self._cell, self._owner = cell, os.getpid()
                return
        raise Busy("more workers than the service has cells for")

    def _empty_dead_cells(self) -> None:
        for cell in range(CELLS):
            if cell != self._cell and self._read(cell) and self._lock_cell(cell):
                self._write(cell, 0)
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, cell)

    def _lock_cell(self, cell: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, cell)
        except OSError:  # of a worker that lives
            return False
        return True

    def _read(self, cell: int) -> int:
        return int(struct.unpack_from("q", self._cells, cell * 8)[0])

    def _write(self, cell: int, size: int) -> None:
        struct.pack_into("q", self._cells, cell * 8, size)

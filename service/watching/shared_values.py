"""Numbers in memory that all workers share: each adds to a row of its own, any reads all rows.

The parent makes the memory before it forks, and gives each worker a row. A worker that takes the
place of another takes its row too and counts on, so that sums never fall, whatever a worker died
of, and the memory never grows. prometheus-client's own mode for several processes keeps files
instead, one more for each process that ever lived, in a folder that may be a full tmpfs: there a
write ends the process with SIGBUS.

A row is a count, a directory (where each series begins, and its name) and the numbers. An entry
counts once the count says so; a worker that is killed in between leaves nothing behind.
"""

import itertools
import mmap
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from service.logs import printable

SERIES = 4_096  # of a row
NUMBERS = 12_288  # of a row; a histogram takes one for each bucket, and one for the sum
LABEL_BYTES = 100  # longer ones are cut
_ENTRY = struct.Struct("<II248s")  # where it begins, how many numbers, its name
_HEAD_BYTES = 16  # how many series; whether a worker has the row
_ROW_BYTES = _HEAD_BYTES + NUMBERS * 8 + SERIES * _ENTRY.size
_SEPARATOR = "\x1f"  # no label has control characters

Key = tuple[str, ...]  # the metric's name, then its labels


class Values(NamedTuple):
    """One series of one worker."""

    row: int
    alive: bool  # whether a worker has this row now
    key: Key
    numbers: Sequence[float]


class SharedValues:
    """The rows. A process writes to the one it took; safe to use from several threads."""

    def __init__(self, rows: int = 1):
        """Reserve memory, which the system gives when it is first written to; take row 0."""
        self.rows = rows
        self._memory = mmap.mmap(-1, rows * _ROW_BYTES)
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._names: list[list[tuple[Key, int, int]]] = [[] for _ in range(rows)]
        self.take(0)

    def take(self, row: int) -> None:
        """Write to this row from now on, and go on where its last worker ended."""
        self.row = row
        self._head = self._head_of(row)
        self._numbers = self._numbers_of(row)
        self._places = {key: start for key, start, _ in self._directory(row)}
        self._head[1] = 1

    def leave(self, row: int) -> None:
        """Note, in any process, that no worker has this row now."""
        self._head_of(row)[1] = 0

    def add(self, key: Key, amounts: Sequence[tuple[int, float]], width: int = 1) -> bool:
        """Add to numbers of a series; whether there was a place for it.

        Args:
            amounts: which of its numbers, and how much.
            width: how many numbers it has.
        """
        with self._lock:
            start = self._place(key, width)
            if start is not None:
                for offset, amount in amounts:
                    self._numbers[start + offset] += amount
            return start is not None

    def set(self, key: Key, number: float) -> None:
        """Replace the number of a series."""
        with self._lock:
            start = self._place(key, 1)
            if start is not None:
                self._numbers[start] = number

    def of_others(self, key: Key) -> list[float]:
        """The number of a series in every other row that a worker has."""
        found = []
        for row in range(self.rows):
            if row != self.row and self._head_of(row)[1]:
                places = (start for known, start, _ in self._directory(row) if known == key)
                found += [self._numbers_of(row)[start] for start in itertools.islice(places, 1)]
        return found

    def read(self) -> Iterator[Values]:
        """Every series of every row."""
        for row in range(self.rows):
            alive, series = bool(self._head_of(row)[1]), self._directory(row)
            used = series[-1][1] + series[-1][2] if series else 0
            numbers = self._numbers_of(row)[:used].tolist()
            for key, start, width in series:
                yield Values(row, alive, key, numbers[start : start + width])

    def _place(self, key: Key, width: int) -> int | None:
        """Where a series of this row begins; None: the row is full."""
        start = self._places.get(key)
        if start is not None:
            return start
        count = self._head[0]
        end = 0
        if count:
            begins, had, _ = self._entry(self.row, count - 1)
            end = begins + had
        if count == SERIES or end + width > NUMBERS:
            return None
        name = _SEPARATOR.join(key).encode()
        place = self.row * _ROW_BYTES + _HEAD_BYTES + NUMBERS * 8 + count * _ENTRY.size
        _ENTRY.pack_into(self._memory, place, end, width, name)
        self._head[0] = count + 1
        self._places[key] = end
        return int(end)

    def _directory(self, row: int) -> list[tuple[Key, int, int]]:
        """The series of a row; what was read before is not read again, as it never changes."""
        known = self._names[row]
        with self._reading:  # two threads that read on at once would add an entry twice
            for index in range(len(known), self._head_of(row)[0]):
                start, width, name = self._entry(row, index)
                if not width:  # its bytes have not arrived at this processor yet
                    break
                known.append((tuple(name.rstrip(b"\0").decode().split(_SEPARATOR)), start, width))
        return known

    def _entry(self, row: int, index: int) -> tuple[int, int, bytes]:
        place = row * _ROW_BYTES + _HEAD_BYTES + NUMBERS * 8 + index * _ENTRY.size
        start, width, name = _ENTRY.unpack_from(self._memory, place)
        return start, width, name

    def _head_of(self, row: int) -> memoryview:
        begin = row * _ROW_BYTES
        return memoryview(self._memory)[begin : begin + _HEAD_BYTES].cast("Q")

    def _numbers_of(self, row: int) -> "memoryview[float]":
        begin = row * _ROW_BYTES + _HEAD_BYTES
        return memoryview(self._memory)[begin : begin + NUMBERS * 8].cast("d")


def label(text: str) -> str:
    """A label on one line, in UTF-8, and not too long for an entry."""
    cut = printable(text).encode("utf-8", "replace")[:LABEL_BYTES]
    return cut.decode("utf-8", "ignore")

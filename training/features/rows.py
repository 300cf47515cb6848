"""Rows of features: in memory where they fit, else in a file that is read block by block.

Fitting a head on an array takes some ten times the array. So features that pass a share of the
machine's memory stay in a file. It is read, not mapped: what has been read is let go of, and a
process is as large as the blocks that it holds. A file without a name disappears with the process,
however that ends.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from models.errors import PhotosError

SHARE = 1 / 16  # of the memory: beyond it, features stay in a file
PHOTO_BYTES = 1600  # of a photo in all steps after features: `python -m benchmarks.scale`
BLOCK = 8192  # rows read at once: 42 MB of 1,280 numbers
RUN = 32  # neighbouring rows that a shuffled block takes together: 160 kB a read
# Linux, cgroup v2: bytes, or "max".
MEMORY_MAX = Path("/sys/fs/cgroup/memory.max")


class HasDescriptor(Protocol):
    """An open file."""

    def fileno(self) -> int:
        """Return the system's number of it."""


class Rows:
    """(N, F) numbers in a file; what is read of them is float32."""

    def __init__(
        self,
        file: HasDescriptor,
        width: int,
        dtype: type[np.floating] = np.float32,
        index: np.ndarray | None = None,
    ):
        """Read rows of a file.

        Args:
            file: rows one after another, `width` numbers each.
            index: (N,) int, which rows, in which order; None: all.
        """
        self.file, self.dtype, self._width = file, np.dtype(dtype), width
        self._row_bytes = width * self.dtype.itemsize
        if index is None:
            index = np.arange(os.fstat(file.fileno()).st_size // max(1, self._row_bytes))
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    @property
    def shape(self) -> tuple[int, int]:
        """Return how many rows there are, and how long they are."""
        return len(self._index), self._width

    def __getitem__(self, wanted: slice | Sequence[int] | np.ndarray) -> np.ndarray:
        """Read some rows: (n, F) float32."""
        places = self._index[wanted]
        if not len(places):
            return np.zeros((0, self._width), np.float32)
        first, last = int(places.min()), int(places.max())
        if last - first < 2 * len(places):  # reading what lies between is faster than leaping
            span = self._read(first, last - first + 1)
            whole = last - first + 1 == len(places) and bool((np.diff(places) == 1).all())
            return span.astype(np.float32, copy=False) if whole else _float32(span, places - first)
        found = np.empty((len(places), self._width), np.float32)
        order = np.argsort(places, kind="stable")
        ascending = places[order]
        ends = np.flatnonzero(np.diff(ascending, append=ascending[-1] + 2) != 1) + 1
        start = 0
        for end in ends.tolist():  # runs of neighbours
            found[order[start:end]] = self._read(int(ascending[start]), end - start)
            start = end
        return found

    def select(self, rows: Sequence[int] | np.ndarray) -> "Rows":
        """Return some of the rows without reading any."""
        return Rows(self.file, self._width, self.dtype.type, self._index[np.asarray(rows, int)])

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield all rows in order, some at a time: where they stand, and (n, F) float32."""
        for start in range(0, len(self), size):
            place = slice(start, min(start + size, len(self)))
            yield place, self[place]

    def shuffled(
        self, rng: np.random.Generator, size: int = BLOCK
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield all rows once, in random blocks of runs: (n,) where they stand, and (n, F).

        Photos lie class by class, so a block is put together from short runs all over the file.
        """
        starts = rng.permutation(np.arange(0, len(self), RUN))
        step = max(1, size // RUN)
        for first in range(0, len(starts), step):
            runs = np.sort(starts[first : first + step])
            places = (runs[:, None] + np.arange(RUN)).ravel()
            places = places[places < len(self)]
            order = rng.permutation(len(places))
            yield places[order], self[places][order]

    def _read(self, first: int, count: int) -> np.ndarray:
        found = np.empty((count, self._width), self.dtype)
        view, done = found.data.cast("B"), 0
        while done < len(view):  # the system reads 2 GB at most
            read = os.preadv(self.file.fileno(), [view[done:]], first * self._row_bytes + done)
            if not read:
                raise OSError(f"the file of features ends before row {first + count}")
            done += read
        return found


def _float32(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    return rows[places].astype(np.float32, copy=False)


class _Unnamed:
    """A file that no name leads to: the system removes it with its last user."""

    def __init__(self, folder: Path):
        self._descriptor, name = tempfile.mkstemp(prefix="features-", dir=folder)
        os.unlink(name)

    def __del__(self) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def write(self, content: memoryview) -> None:
        while len(content):
            content = content[os.write(self._descriptor, content) :]


class RowWriter:
    """Rows written one block after another: into an array, or into a file where that is large."""

    def __init__(self, count: int, width: int, folder: Path, limit: int | None = None):
        """Make room.

        Args:
            folder: on a disk with room for them.
            limit: most rows that are kept in memory; None: `rows_in_memory`.

        Raises:
            OSError: the file cannot be written.
        """
        most = rows_in_memory(width) if limit is None else limit
        self._array = None if count > most else np.empty((count, width), np.float32)
        self._file = _Unnamed(folder) if self._array is None else None
        self._width, self._done = width, 0

    def add(self, rows: np.ndarray) -> None:
        """Write (n, F) rows behind those that are there."""
        if self._array is not None:
            self._array[self._done : self._done + len(rows)] = rows
        if self._file:
            self._file.write(np.ascontiguousarray(rows, np.float32).data.cast("B"))
        self._done += len(rows)

    def finish(self) -> "np.ndarray | Rows":
        """Return what was written."""
        if self._file:
            return Rows(self._file, self._width)
        assert self._array is not None  # one of the two
        return self._array


def blocks_of(rows: "np.ndarray | Rows", size: int = BLOCK) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield all rows in order, some at a time, wherever they are kept."""
    if isinstance(rows, Rows):
        yield from rows.blocks(size)
        return
    for start in range(0, len(rows), size):
        place = slice(start, min(start + size, len(rows)))
        yield place, rows[place]


def refuse_beyond_memory(count: int) -> None:
    """Refuse more photos than memory holds facts of. Raises PhotosError."""
    need, has = count * PHOTO_BYTES, memory_bytes()
    if need > has:
        raise PhotosError(
            f"{count:,} photos take {need / 1e9:,.1f} GB of memory after their features, and this "
            f"machine has {has / 1e9:,.1f} GB: give up to {int(has / PHOTO_BYTES):,}, or take a "
            "larger machine"
        )


def rows_in_memory(width: int) -> int:
    """Return how many rows of float32 may stay in memory: what `SHARE` of it holds, 1 or more."""
    return max(1, int(memory_bytes() * SHARE / (4 * max(1, width))))


def memory_bytes() -> int:
    """Return the memory that this process may use: the machine's, in a container what that has."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int(MEMORY_MAX.read_text()))
    except (OSError, ValueError):  # not Linux, or no limit
        return machine

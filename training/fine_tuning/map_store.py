"""Feature maps of many views on disk: one flat file of float16, and an index of its rows.

Rows are written first and entered in the index afterwards, so what a kill leaves half
written is overwritten, never read. Half the bytes of float32: rounding to 11 bits moves a
feature map less than any random crop does.
"""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from models.errors import StorageError

STORES = 3  # that a cache folder keeps: each may take a gigabyte
LOCKED_S = 60.0  # to wait for another process that writes the same index

Key = tuple[bytes, int]  # digest of a photo, number of the view


def forget_old(folder: Path, name: str) -> None:
    """Remove the stores used longest ago, so that `name` and the newest others stay.

    A run that has one of them open goes on with it: its files vanish when it ends.
    """
    others = [path for path in folder.glob("views-*.rows") if path.stem != name]
    newest = sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)
    for index in newest[STORES - 1 :]:
        index.unlink(missing_ok=True)
        index.with_suffix(".maps").unlink(missing_ok=True)


class MapStore:
    """(digest, view) -> a feature map (h, w, C), for one recipe of maps."""

    def __init__(self, folder: Path, name: str, shape: tuple[int, int, int]):
        """Open or make the store `name`; one that is cut short is made anew.

        Args:
            shape: height, width and channels of each map.

        Raises:
            StorageError: the folder cannot be written.
        """
        self.shape = shape
        self.row_bytes = 2 * int(np.prod(shape))
        self.path = folder / f"{name}.maps"
        self.renewed = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._open()
            if self.path.stat().st_size < len(self.rows) * self.row_bytes:
                raise sqlite3.DatabaseError("maps are missing")
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise StorageError(f"cache {self.path}: {error}") from error
            self.close()
            self._index.unlink()
            self.renewed = True
            self._open()
        except OSError as error:
            raise StorageError(f"cache {self.path}: {error.strerror}") from error

    @property
    def _index(self) -> Path:
        return self.path.with_suffix(".rows")

    def _open(self) -> None:
        self.path.touch()
        self._file = self.path.open("r+b")
        self._db = sqlite3.connect(self._index, timeout=LOCKED_S)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS rows "
            "(digest BLOB, view INTEGER, row INTEGER, PRIMARY KEY (digest, view))"
        )
        self.rows = self._known()

    def _known(self) -> dict[Key, int]:
        found = self._db.execute("SELECT digest, view, row FROM rows")
        return {(digest, view): row for digest, view, row in found}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Write while no other run does, and know what others have written until then."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            self.rows = self._known()
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def missing(self, keys: Sequence[Key]) -> list[Key]:
        """List the keys that are not there yet, in order, each once."""
        return [key for key in dict.fromkeys(keys) if key not in self.rows]

    def check_space(self, count: int) -> str:
        """Check that `count` more maps fit. Returns what they take, in words.

        Raises:
            StorageError: with what is needed and what is free.
        """
        needed, free = count * self.row_bytes, shutil.disk_usage(self.path.parent).free
        if needed > 0.95 * free:
            raise StorageError(
                f"feature maps need {needed / 1e6:,.0f} MB in {self.path.parent}, where "
                f"{free / 1e6:,.0f} MB are free: free some, take fewer --views, or set "
                "LAYERSCOPE_CACHE to another folder"
            )
        return f"{needed / 1e6:,.0f} MB of {free / 1e6:,.0f} MB free"

    def add(self, entries: Sequence[tuple[Key, np.ndarray]]) -> None:
        """Keep new maps. Raises StorageError; what was there before stays."""
        try:
            with self._alone():
                first = len(self.rows)
                fresh = [(key, maps) for key, maps in entries if key not in self.rows]
                self._file.seek(first * self.row_bytes)
                for _, maps in fresh:
                    self._file.write(np.ascontiguousarray(maps, np.float16).tobytes())
                self._file.flush()
                new = {key: first + number for number, (key, _) in enumerate(fresh)}
                with self._db:
                    self._db.executemany(
                        "INSERT INTO rows VALUES (?, ?, ?)",
                        [(*key, row) for key, row in new.items()],
                    )
                self.rows |= new
        except (OSError, sqlite3.OperationalError) as error:
            needed = len(entries) * self.row_bytes / 1e6
            raise StorageError(
                f"cache {self.path}: {error}; the next {needed:,.0f} MB do not fit: free some "
                "space and run it again, what was computed is kept"
            ) from error

    def read(self, keys: Sequence[Key]) -> np.ndarray:
        """Read maps that are there: (N, h, w, C) float32."""
        batch = np.empty((len(keys), *self.shape), np.float32)
        for place, key in enumerate(keys):
            data = os.pread(self._file.fileno(), self.row_bytes, self.rows[key] * self.row_bytes)
            batch[place] = np.frombuffer(data, np.float16).reshape(self.shape)
        return batch

    def close(self) -> None:
        """Close both files."""
        with suppress(OSError):  # what a full disk left in the buffer is in no index
            self._file.close()
        self._db.close()

"""Keep pooled features on disk: one SQLite file for each backbone and framing.

The key is the content of the photo, so a file may be moved, renamed or copied. The cache also
keeps size and time of change of each file: a photo that did not change is not even opened
again. A damaged cache is deleted and made anew.
"""

import fcntl
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np
import PIL

from models.errors import StorageError
from models.images import Framing, Limits
from training.features.rows import BLOCK, Rows, RowWriter
from training.features.summaries import SUMMARY, LayerSummaries
from training.features.thumbnails import Appearance, as_pixels
from training.settings.recipe import name_of

WAIT_S = 60.0  # for another run to finish writing
FORMAT = 4  # raise it when the cache or the decoder changes
_TABLES = """
CREATE TABLE IF NOT EXISTS features (digest BLOB PRIMARY KEY, vector BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, size INTEGER NOT NULL, changed_ns INTEGER NOT NULL, digest BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS findings (key BLOB PRIMARY KEY, rows TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS summaries (
    layers TEXT, digest BLOB, record BLOB NOT NULL, PRIMARY KEY (layers, digest)
);
CREATE TABLE IF NOT EXISTS looks (
    digest BLOB PRIMARY KEY, width INTEGER NOT NULL, height INTEGER NOT NULL,
    kind TEXT NOT NULL, spread REAL NOT NULL, alpha_ignored INTEGER NOT NULL,
    thumbnail BLOB NOT NULL
);
"""


class FeatureCache:
    """Features by digest, for one backbone, its weights, one framing and its limits."""

    def __init__(
        self,
        folder: Path,
        backbone: str,
        weights_identity: str,
        framing: Framing,
        limits: Limits = Limits(),
    ):
        """Open or make the cache. Raises StorageError if it cannot be written."""
        parts = (FORMAT, PIL.__version__, backbone, weights_identity, framing, limits)
        name = name_of(parts)
        self.framing, self.limits = framing, limits
        self.path = folder / f"{backbone}-{name}.sqlite"
        self.renewed = False  # whether a damaged cache was deleted
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self.path.with_suffix(".lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # of two runs, one makes it and one finds it
                self._open_or_renew()
        except (sqlite3.OperationalError, OSError) as error:
            raise StorageError(self._hint(error)) from error

    def _open_or_renew(self) -> None:
        try:
            self._open()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self.path.unlink()
            self.renewed = True
            self._open()

    def _open(self) -> None:
        self._db = sqlite3.connect(self.path, timeout=WAIT_S)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA wal_autocheckpoint = 10000")  # pages: 40 MB
            self._db.executescript(_TABLES)
            if self._db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("damaged")
        except BaseException:
            self._db.close()
            raise

    def _hint(self, error: Exception) -> str:
        return f"cache {self.path}: {error}; free space, or set LAYERSCOPE_CACHE to another folder"

    def known_files(self) -> dict[bytes, tuple[int, int, bytes]]:
        """Map the path of every file seen before to its size, time of change and digest."""
        rows = self._db.execute("SELECT path, size, changed_ns, digest FROM files")
        return {path: (size, changed, digest) for path, size, changed, digest in rows}

    def digests(self) -> set[bytes]:
        """Return the digests of all photos whose features are here."""
        return {digest for (digest,) in self._db.execute("SELECT digest FROM features")}

    def vectors(self, digests: Sequence[bytes], limit: int | None = None) -> np.ndarray | Rows:
        """Return the features of these photos, (N, F) float32, in this order.

        Args:
            limit: most rows that are kept in memory, as in `RowWriter`; else they are in a file
                beside the cache.

        Raises:
            StorageError: that file cannot be written.
        """
        find, writer = "SELECT vector FROM features WHERE digest = ?", None
        try:
            for start in range(0, len(digests), BLOCK):
                some = digests[start : start + BLOCK]
                content = b"".join(self._db.execute(find, (each,)).fetchone()[0] for each in some)
                rows = np.frombuffer(content, np.float32).reshape(len(some), -1)
                writer = writer or RowWriter(len(digests), rows.shape[1], self.path.parent, limit)
                writer.add(rows)
            return writer.finish() if writer else np.zeros((0, 0), np.float32)
        except OSError as error:
            raise StorageError(self._hint(error)) from error

    def appearances(self) -> dict[bytes, Appearance]:
        """Map the digest of every photo seen before to its size, type and spread."""
        rows = self._db.execute(
            "SELECT digest, width, height, kind, spread, alpha_ignored FROM looks"
        )
        return {
            digest: Appearance(width, height, intern(kind), *rest)
            for digest, width, height, kind, *rest in rows
        }

    def thumbnails(self, digests: Sequence[bytes]) -> np.ndarray:
        """Return the thumbnails of these photos, (N, SIDE, SIDE, 3) uint8."""
        find = "SELECT thumbnail FROM looks WHERE digest = ?"
        return as_pixels([self._db.execute(find, (each,)).fetchone()[0] for each in digests])

    def digests_with(self, record: LayerSummaries) -> set[bytes]:
        """Return the digests of the photos that have summaries of these layers."""
        find = "SELECT digest FROM summaries WHERE layers = ?"
        return {digest for (digest,) in self._db.execute(find, (record.key,))}

    def summaries(
        self, record: LayerSummaries, layer: str, digests: Sequence[bytes], channels: range
    ) -> np.ndarray:
        """Return the summaries of some channels of `layer`, (N, len(channels)) of SUMMARY."""
        start, size = record.place(layer, channels)
        find = "SELECT substr(record, ?, ?) FROM summaries WHERE layers = ? AND digest = ?"
        parts = [
            self._db.execute(find, (start + 1, size, record.key, digest)).fetchone()[0]
            for digest in digests
        ]
        return np.frombuffer(b"".join(parts), SUMMARY).reshape(len(parts), -1)

    def add(
        self,
        vectors: Iterable[tuple[bytes, np.ndarray]],
        files: Iterable[tuple[bytes, int, int, bytes]],
        records: Iterable[tuple[str, bytes, bytes]] = (),
        appearances: Iterable[tuple[bytes, Appearance, bytes]] = (),
    ) -> None:
        """Write new features, their files, summaries, and appearances with thumbnails.

        Raises:
            StorageError: the cache cannot be written.
        """
        rows = [(digest, vector.astype(np.float32).tobytes()) for digest, vector in vectors]
        try:
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO features VALUES (?, ?)", rows)
                self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", files)
                keep = "INSERT OR REPLACE INTO summaries VALUES (?, ?, ?)"
                self._db.executemany(keep, records)
                seen = [
                    (digest, *appearance, thumbnail)
                    for digest, appearance, thumbnail in appearances
                ]
                self._db.executemany(
                    "INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?, ?, ?, ?)", seen
                )
        except sqlite3.OperationalError as error:
            raise StorageError(self._hint(error)) from error

    def kept_rows(
        self, what: str, digests: Sequence[bytes], find: Callable[[], Sequence[tuple[Any, ...]]]
    ) -> list[tuple[Any, ...]]:
        """Return the rows of plain values that `find` makes for these photos, in this order.

        They are made once, then kept.

        Raises:
            StorageError: they cannot be written.
        """
        key = hashlib.sha256(b"".join([what.encode(), *digests])).digest()
        kept = self._db.execute("SELECT rows FROM findings WHERE key = ?", (key,)).fetchone()
        if kept:
            return [tuple(row) for row in json.loads(kept[0])]
        rows = [tuple(row) for row in find()]
        try:
            with self._db:
                keep = "INSERT OR REPLACE INTO findings VALUES (?, ?)"
                self._db.execute(keep, (key, json.dumps(rows)))
        except sqlite3.OperationalError as error:
            raise StorageError(self._hint(error)) from error
        return rows

    def close(self) -> None:
        """Write everything out and close the file; on a full disk the rest stays in its log."""
        with closing(self._db), suppress(sqlite3.OperationalError):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

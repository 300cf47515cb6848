"""Keep the results of each shard as one Parquet file, until its results are safe elsewhere.

A shard is some photos next to each other in the list. Its file is named after all that its
results depend on, written aside and renamed: a run that was killed finds it and goes on. A node
that sees the folder writes there itself; for one that does not, the driver does.
"""

import hashlib
import io
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from models.bundle import writing
from training.scale.engine import Row

OLD_S = 7 * 86_400  # a killed run that nobody took up again leaves its shards for a week


def write_rows(rows: Sequence[Row]) -> bytes:
    """Write rows of plain values, all with the same columns, as a Parquet file."""
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist(list(rows))
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, use_dictionary=False)  # no two values are equal
    return buffer.getvalue()


def read_rows(content: bytes, count: int) -> list[Row] | None:
    """Read the rows of a Parquet file; None: it is damaged, or has not `count` of them."""
    import pyarrow
    from pyarrow import parquet

    try:
        rows: list[Row] = parquet.read_table(io.BytesIO(content)).to_pylist()
    except (pyarrow.ArrowException, OSError):
        return None
    return rows if len(rows) == count else None


def write_aside(path: Path, content: bytes) -> None:
    """Write a file that nobody ever sees half of. Raises OSError."""
    half = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        half.write_bytes(content)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


class Shards:
    """The files of the shards of one work, in a folder of their own."""

    def __init__(self, folder: Path, identity: str):
        self.folder = folder / hashlib.sha256(identity.encode()).hexdigest()[:24]
        self.mark = f".seen-{uuid.uuid4().hex}"  # a node that finds it sees the folder

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder, and leave it as it should be. Raises StorageError."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / self.mark).touch()
        self._forget_old()
        try:
            yield
        finally:
            (self.folder / self.mark).unlink(missing_ok=True)
            with suppress(OSError):  # not empty: what is left is for the next run
                self.folder.rmdir()

    def name(self, keys: Iterable[bytes]) -> str:
        """Name the shard of the photos with these keys."""
        together = hashlib.sha256()
        for key in keys:
            together.update(len(key).to_bytes(8) + key)
        return f"{together.hexdigest()}.parquet"

    def read(self, name: str) -> bytes | None:
        """Read what a shard's file holds; None where there is none."""
        try:
            return (self.folder / name).read_bytes()
        except OSError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a shard's file. Raises StorageError."""
        with writing(self.folder):
            write_aside(self.folder / name, content)

    def forget(self, name: str) -> None:
        """Remove a shard's file, where there is one."""
        with suppress(OSError):
            (self.folder / name).unlink()

    def _forget_old(self) -> None:
        """Remove files of runs that were killed and never taken up again."""
        for path in self.folder.parent.glob("*/*.parquet"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > OLD_S:
                    path.unlink()

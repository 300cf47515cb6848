"""The place of a photo inside a shard: `train-000.tar!/cat/7.jpg`, read alone by its range."""

import errno
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from training.places.place import Fact, Place, read_range, token_of


class Source(Protocol):
    """Where the bytes of one photo are."""

    def read(self) -> bytes:
        """Read them. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One photo of a shard, with what its shard says of it."""

    photo: "Packed"
    label: str | None  # None: it has none
    side: str = ""  # as it is called there
    group: str = ""


class Packed(Place):
    """A photo inside a shard; a path made of one, such as its parent, can only be shown."""

    __slots__ = ("_source",)
    _source: Source

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.parts, self._source, self.fact)

    def _look(self) -> Fact:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))

    def read_bytes(self) -> bytes:
        """Read the photo alone, not its shard. Raises OSError."""
        return self._source.read()

    def read_range(self, start: int, end: int) -> bytes:
        """Read a part of the photo. Raises OSError."""
        return self.read_bytes()[start:end]

    def absolute(self) -> "Packed":
        """Name the shard as seen from the root; links on its way stay."""
        here = self.parts[0] == "/" or self.parts[0].endswith(":")
        return self if here else Packed(os.getcwd(), *self.parts)


def pack(shard: Path, name: str, source: Source, fact: Fact) -> Packed:
    """Make the place of a photo; what leads out of a shard counts for nothing in its name."""
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    return _again((*shard.parent.parts, f"{shard.name}!", *parts), source, fact)


def _again(parts: Sequence[str], source: Source, fact: Fact) -> Packed:
    photo = Packed(*parts)
    photo._source, photo._fact = source, fact
    return photo


def stamp(shard: Path, place: str) -> int:
    """Return a number for a photo's token: another one when its shard changed."""
    status = shard.stat()
    return token_of(f"{status.st_size} {status.st_mtime_ns} {place}")


class RangeFile(io.RawIOBase):
    """A shard as a file object: whatever is read is asked for by its range."""

    def __init__(self, path: Path):
        self._path, self._at, self.size = path, 0, path.stat().st_size

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return where the next byte is read from."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another byte."""
        begin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, begin + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read as much as fits, in one request. Raises OSError."""
        end = min(self._at + len(buffer), self.size)
        data = read_range(self._path, self._at, end) if end > self._at else b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

"""A path to bytes that are no file of this machine: an object in a store, a member of a shard.

Names, parents, order and comparison are those of pathlib, so whatever works on the paths of
photos works on these; reading is each kind's own. A place remembers what a listing said of it,
so that a photo which did not change costs no request.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PosixPath
from typing import Any, NamedTuple


class Fact(NamedTuple):
    """What a listing says of a place."""

    size: int  # bytes
    token: int  # another one when the content changed; from the ETag, else the time of change
    folder: bool = False


def token_of(facts: str) -> int:
    """Make a token of what changes with the content: 63 bits, as a time of change in ns has."""
    return int.from_bytes(hashlib.sha256(facts.encode()).digest()[:8], "big") >> 1


class Place(PosixPath):
    """A path that a subclass knows how to read; nothing can be written through it."""

    __slots__ = ("_fact",)

    def _look(self) -> Fact:
        """Ask what is there. Raises OSError."""
        raise NotImplementedError

    def children(self) -> Iterator["Place"]:
        """Yield what lies directly in this folder, each with its fact. Raises OSError."""
        raise NotImplementedError

    def read_bytes(self) -> bytes:
        """Read the whole content. Raises OSError."""
        raise NotImplementedError

    def read_range(self, start: int, end: int) -> bytes:
        """Read the bytes from `start` up to `end`. Raises OSError."""
        raise NotImplementedError

    @property
    def fact(self) -> Fact:
        """What is there, asked once. Raises OSError."""
        known: Fact | None = getattr(self, "_fact", None)
        if known is None:
            known = self._fact = self._look()
        return known

    def with_fact(self, fact: Fact) -> "Place":
        """Remember what a listing said; returns the place itself."""
        self._fact = fact
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.parts, getattr(self, "_fact", None))

    def __str__(self) -> str:
        text = super().__str__()
        scheme, mark, rest = text.partition(":/")
        is_address = mark and "/" not in scheme and self.parts[0] == f"{scheme}:"
        return f"{scheme}://{rest}" if is_address else text

    def __fspath__(self) -> str:
        """Refuse to be taken for a file of this machine, as functions of `os` would."""
        raise TypeError(f"{self} is no file of this machine")

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Size, kind and, as the time of change in ns, the token. Raises OSError."""
        fact = self.fact
        mode = stat.S_IFDIR | 0o755 if fact.folder else stat.S_IFREG | 0o644
        plain = (mode, 0, 0, 1, 0, 0, fact.size, 0, 0, 0)  # inode 0: none
        return os.stat_result(plain, {"st_mtime_ns": fact.token})

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether something is there that can be asked for."""
        try:
            return bool(self.fact)
        except OSError:
            return False

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a folder that can be asked for."""
        return self.exists() and self.fact.folder

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a file that can be asked for."""
        return self.exists() and not self.fact.folder

    def is_symlink(self) -> bool:
        """Say no: there are no links elsewhere."""
        return False

    def is_absolute(self) -> bool:
        """Say yes: a place does not depend on the current folder."""
        return True

    def absolute(self) -> "Place":
        """Return the place itself."""
        return self

    def resolve(self, strict: bool = False) -> "Place":
        """Return the place itself."""
        return self


def _again(kind: type[Place], parts: tuple[str, ...], fact: Fact | None) -> Place:
    place = kind(*parts)
    return place if fact is None else place.with_fact(fact)


def real(path: Path) -> Path:
    """Resolve the links on the way to a path; elsewhere there are none."""
    return path if isinstance(path, Place) else Path(os.path.realpath(path))


def absolute(path: Path) -> str:
    """Write a path without `..`, and as seen from the root; an address as it is."""
    return str(path.absolute()) if isinstance(path, Place) else os.path.abspath(path)


def read_range(path: Path, start: int, end: int) -> bytes:
    """Read some bytes of a file, wherever it lies. Raises OSError."""
    if isinstance(path, Place):
        return path.read_range(start, end)
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)

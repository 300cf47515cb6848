"""Addresses of photos and bundles: `s3://bucket/photos` as a path.

Credentials never stand in an address: they would end in logs and lists. One that has some is
refused, and shown without them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from models.errors import SettingError
from training.places.place import Fact, Place
from training.places.system import SYSTEMS, attempt, find_system
from training.places.tree import Branch, grow
from training.settings.printable import without_secrets

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_DEFAULT = "default"  # the host of hdfs:///: what Hadoop's own configuration names


class Url(Place):
    """An object, or a folder of objects, in a store of the network."""

    __slots__ = ("_branch",)

    @property
    def scheme(self) -> str:
        """The part in front of `://`."""
        return self.parts[0].removesuffix(":")

    @property
    def key(self) -> str:
        """The name that the store's file system knows it by."""
        return SYSTEMS[self.scheme].key(self.parts[2:])

    @property
    def environment(self) -> str:
        """Where the store's credentials are taken from."""
        return SYSTEMS[self.scheme].environment

    @property
    def branch(self) -> Branch:
        """What lies below, listed once. Raises OSError."""
        known: Branch | None = getattr(self, "_branch", None)
        if known is None:
            known = self._branch = grow(self)
        return known

    def __truediv__(self, key: str | Path) -> "Url":  # type: ignore[override]
        """Join; what a listing knows of the folder, it knows of what lies in it."""
        child = super().__truediv__(key)
        known: Branch | None = getattr(self, "_branch", None)
        if known and key in known.folders:
            child._branch, child._fact = known.folders[str(key)], Fact(0, 0, folder=True)
        elif known and key in known.files:
            child._fact = known.files[str(key)]
        return child

    def _look(self) -> Fact:
        return attempt(self, lambda store: store.look(self.key))

    def children(self) -> Iterator[Place]:
        """Yield folders, then files, each with its fact. Raises OSError."""
        folders = self.branch.folders
        yield from (self / name for name in folders)
        files = self.branch.files.items()  # an empty one named as a folder only marks it
        yield from (self / name for name, fact in files if fact.size or name not in folders)

    def read_bytes(self) -> bytes:
        """Read the object, in one request. Raises OSError."""
        return attempt(self, lambda store: store.read(self.key))

    def read_range(self, start: int, end: int) -> bytes:
        """Read a part of the object, in one request. Raises OSError."""
        end = min(end, self.fact.size)  # a range that begins at the end is an error
        return attempt(self, lambda store: store.read(self.key, start, end)) if start < end else b""


class Listed:
    """What is known of the places that a list names: each folder is listed once."""

    def __init__(self) -> None:
        self._grown: dict[Url, Branch] = {}

    def find(self, place: Url) -> Fact | None:
        """Find the fact of a place; None: it is not there. Raises OSError."""
        folders = [folder for folder in place.parents if folder in self._grown]
        folder = folders[0] if folders else place.parent
        if not folders:
            self._grown[folder] = folder.branch
        return self._grown[folder].at(place.relative_to(folder).parts)


def as_place(text: str) -> Path:
    """Make a path of what a person wrote: an address, or a path of this machine.

    Raises:
        SettingError: the address has credentials, is of no system that is known, or of one
            whose package is not installed.
    """
    begins = _ADDRESS.match(text)
    if not begins:
        return Path(text)
    scheme, rest = begins[1].lower(), text[begins.end() :]
    shown = without_secrets(text)
    if scheme == "file":
        host, slash, below = rest.partition("/")
        if host not in ("", "localhost") or not slash:
            raise SettingError(f"{shown}: expected file:/// and a path of this machine")
        return Path(unquote(f"/{below}"))
    if scheme not in SYSTEMS:
        known = ", ".join(f"{name}://" for name in SYSTEMS if name != "memory")
        raise SettingError(
            f"{shown} is no address that can be read: expected {known} or file://; "
            "download it first"
        )
    system = SYSTEMS[scheme]
    if shown != text:
        raise SettingError(
            f"{shown} came with credentials or a query: leave them out, addresses end in logs; "
            f"they belong in {system.environment}"
        )
    parts = [part for part in rest.split("/") if part not in ("", ".")]
    if scheme == "hdfs" and rest.startswith("/"):
        parts.insert(0, _DEFAULT)
    if not parts:
        raise SettingError(f"{shown} names no bucket or host: expected {scheme}://NAME/FOLDER")
    find_system(shown, scheme)
    return Url(f"{scheme}:", *parts)


def is_address(text: str) -> bool:
    """Whether somebody wrote an address rather than a path."""
    return _ADDRESS.match(text) is not None

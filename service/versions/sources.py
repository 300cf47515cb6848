"""Where versions come from: bundles given by name, or a folder of them.

In a folder each model is `NAME/` with a bundle in it, or `NAME/VERSION/` where versions are
whole numbers: the highest is served, or the one that the file `NAME/PIN` names.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from models.bundles.folder import read_file
from models.bundles.names import MANIFEST, NAME
from models.errors import SettingError

PIN = "PIN"
VERSION = re.compile(r"[0-9]{1,18}")
UNFINISHED = f"no {MANIFEST} in it, or none yet; is this a bundle?"
_MOST_ENTRIES = 20_000  # of a folder: looking at it must not take long
_FEW_ENTRIES = 100  # of any

Stamp = tuple[object, ...]
NO_MANIFEST: Stamp = ("no manifest",)


@dataclass(frozen=True)
class Candidate:
    """A folder that may hold a version of a model."""

    path: Path
    name: str | None = None  # what it is to be called; None: what its manifest says
    version: str | None = None


@dataclass(frozen=True)
class Offer:
    """What there is of one model: the first candidate that can be served is the one to serve."""

    candidates: tuple[Candidate, ...]
    problem: str | None = None  # why there are none


class NamedBundles:
    """Bundles given on the command line. Each stays, whatever becomes of its folder."""

    lasting = True

    def __init__(self, paths: list[Path]):
        self._paths = [path.absolute() for path in paths]

    def look(self) -> dict[str, Offer]:
        """What there is now, by path."""
        return {str(path): Offer((Candidate(path),)) for path in self._paths}


class ModelFolder:
    """A folder of models. One that is taken out is no longer served."""

    lasting = False

    def __init__(self, folder: Path):
        """Raises SettingError: no such folder."""
        self._folder = folder.absolute()
        if not self._folder.is_dir():
            raise SettingError(f"--models {folder} is not a folder")

    def look(self) -> dict[str, Offer]:
        """What there is now, by name. Raises OSError: the folder cannot be read."""
        found = {}
        with os.scandir(self._folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if not entry.name.startswith(".") and _may_be_folder(entry):
                    found[entry.name] = self._offer(entry.name)
        return found

    def _offer(self, name: str) -> Offer:
        place = self._folder / name
        if not re.fullmatch(NAME, name):
            return Offer((), "its folder cannot name a model: use letters, digits, '.', '_', '-'")
        try:
            with os.scandir(place) as entries:
                inside = {entry.name for entry in entries}
            versions = [part for part in inside if VERSION.fullmatch(part)]
            if MANIFEST in inside:
                return Offer((Candidate(place, name),))
            if not versions:  # said without a trial: there may be thousands of such folders
                return Offer((), f"it has no {MANIFEST}, nor folders of versions")
            if PIN in inside:
                pinned = read_file(place, PIN, 100).decode("ascii").strip()
                if pinned not in versions:
                    return Offer((), f"{PIN} names version {pinned[:20]!r}, which is not there")
                versions = [pinned]
        except (OSError, ValueError) as error:
            return Offer((), f"its folder cannot be read: {type(error).__name__}")
        versions.sort(key=lambda version: (int(version), version), reverse=True)
        return Offer(tuple(Candidate(place / v, name, v) for v in versions))


def _may_be_folder(entry: os.DirEntry[str]) -> bool:
    """Whether to look into it: what a link leads to may be closed to us, which is to be said."""
    try:
        return entry.is_dir()
    except OSError:
        return True


def stamp_of(path: Path, rank: int = 0) -> Stamp:
    """What changes when anything below a bundle's folder is written, replaced or renamed.

    Args:
        rank: how many versions are looked at before it: each has half the entries, so that all of
            them take no longer than two.
    """
    try:
        manifest = _facts(MANIFEST, os.lstat(path / MANIFEST))  # whether among the first or not
    except FileNotFoundError:  # the last file to be written; it may be any folder
        return NO_MANIFEST
    except OSError as error:  # it is closed to us, which is for a trial to say
        return ("unreadable", error.errno)
    try:
        most = max(_FEW_ENTRIES, _MOST_ENTRIES >> rank)
        return (manifest, *sorted(islice(_walk(os.fspath(path), ""), most)))
    except OSError as error:
        return ("unreadable", error.errno)


def _walk(folder: str, below: str) -> Iterator[tuple[str, int, int, int, int, int]]:
    yield _facts(below, os.stat(folder))
    with os.scandir(folder) as entries:
        for entry in entries:
            facts = entry.stat(follow_symlinks=False)
            name = f"{below}/{entry.name}"
            if stat.S_ISDIR(facts.st_mode) and name.count("/") < 6:
                yield from _walk(entry.path, name)
            else:
                yield _facts(name, facts)


def _facts(name: str, facts: os.stat_result) -> tuple[str, int, int, int, int, int]:
    times = facts.st_mtime_ns, facts.st_ctime_ns
    return name, facts.st_mode, facts.st_ino, facts.st_size, *times

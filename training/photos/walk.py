"""The files below a folder, each once: links followed, whatever cannot be a photo named.

Nothing here opens a file, so that a pipe or a device among the photos never holds a run up.
"""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from training.photos.listing import Skipped
from training.photos.system_files import own_output, system_name
from training.places.place import Place

_Identity = tuple[int, int]  # device and inode


@dataclass
class Level:
    """What lies directly in one folder, in order of name."""

    path: Path
    folders: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


@dataclass
class Found:
    """What lies below a folder."""

    files: list[Path] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    outside: list[Path] = field(default_factory=list)  # links that lead out of the photos


def look_into(folder: Path) -> Level:
    """List one folder, and set apart what is no photo. Raises OSError if it cannot be read."""
    level = Level(folder)
    for path in _inside(folder):
        if kind := system_name(path.name):
            reason = f"kept by a system or a program: {kind}"
            level.skipped.append(Skipped(path, reason, kind="system"))
            continue
        try:
            mode = path.stat().st_mode
        except OSError as error:
            level.skipped.append(_no_access(path, error))
            continue
        if stat.S_ISDIR(mode):
            if output := own_output(path):
                reason = f"{output}, not a folder of photos"
                level.skipped.append(Skipped(path, reason, kind="bundle"))
            else:
                level.folders.append(path)
        elif stat.S_ISREG(mode):
            level.files.append(path)
        else:
            level.skipped.append(Skipped(path, f"{_special(mode)}, not a file", kind="special"))
    return level


def _inside(folder: Path) -> list[Path]:
    """Whatever lies directly in a folder, in order of name."""
    if isinstance(folder, Place):
        return sorted(folder.children())
    return [folder / name for name in sorted(os.listdir(folder))]


def walk(top: Path, root: Path) -> Found:
    """Find every file below `top`, in order of name; one file under several names once.

    Args:
        root: the folder of all photos; links that lead out of it are followed, and returned.

    Raises:
        OSError: `top` itself cannot be read.
    """
    if isinstance(top, Place):
        return _walk_elsewhere(top)
    found, base = Found(), os.path.realpath(root)
    found.outside += [top] if top.is_symlink() and _out(top, base) else []
    seen: dict[tuple[int, ...], Path] = {}
    entered = _above(top, root)
    files: list[Path] = []
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            identity = _identity(folder)
            if identity in entered:
                reason = f"a link to {entered[identity]}, which is read already or holds it"
                found.skipped.append(Skipped(folder, reason, kind="loop"))
                continue
            level = look_into(folder)
        except OSError as error:
            if folder == top:
                raise
            found.skipped.append(_no_access(folder, error))
            continue
        entered[identity] = folder
        found.skipped += level.skipped
        files += level.files
        found.outside += [
            path
            for path in (*level.folders, *level.files)
            if path.is_symlink() and _out(path, base)
        ]
        # Links to folders come last: what also lies here in its own right keeps its own name.
        waiting[:0] = [path for path in reversed(level.folders) if path.is_symlink()]
        waiting += [path for path in reversed(level.folders) if not path.is_symlink()]
    for path in sorted(files, key=lambda path: (path.is_symlink(), path)):
        try:
            status = path.stat()
        except OSError as error:
            found.skipped.append(_no_access(path, error))
            continue
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if status.st_ino and key in seen:  # 0: the file system has no such numbers
            reason = f"another name of {seen[key]}, not a second photo"
            found.skipped.append(Skipped(path, reason, kind="same-file"))
        else:
            seen[key] = path
            found.files.append(path)
    found.files.sort()
    found.skipped.sort(key=lambda item: item.path)
    return found


def _walk_elsewhere(top: Place) -> Found:
    """The same where there are no links, no rights and no second names."""
    found, waiting = Found(), [look_into(top)]
    while waiting:
        level = waiting.pop()
        found.skipped += level.skipped
        found.files += level.files
        waiting += map(look_into, level.folders)
    found.files.sort()
    found.skipped.sort(key=lambda item: item.path)
    return found


def _above(top: Path, root: Path) -> dict[_Identity, Path]:
    """The folders that hold `top`: a link to one of them would lead back here."""
    found = {}
    for start in (top, root):
        for place in Path(os.path.realpath(start) + "/x").parents:
            with suppress(OSError):
                found[_identity(place)] = place
    with suppress(OSError):
        del found[_identity(top)]
    return found


def _identity(folder: Path) -> _Identity:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _out(link: Path, base: str) -> bool:
    return not Path(os.path.realpath(link)).is_relative_to(base)


def _no_access(path: Path, error: OSError) -> Skipped:
    """Say why a name leads to nothing that can be read."""
    if isinstance(error, PermissionError):
        return Skipped(path, "permission denied: change its rights", kind="permission")
    if path.is_symlink():
        try:
            target = os.readlink(path)
        except OSError:
            target = "an unknown place"
        return Skipped(path, f"a link to {target}, which is not there", kind="broken-link")
    return Skipped(path, error.strerror or str(error), kind="unreadable")


def _special(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"

"""What all work on photos has in common: how a file is known again, and how one is left out.

A file is known by its place, its size and its time of change, without opening it.
"""

import os
from functools import lru_cache
from pathlib import Path

from training.photos.listing import Skipped
from training.scale.engine import Row

# Kinds of `Skipped` that depend on the machine that reads, not on what the file holds.
UNREAD = ("missing", "unreachable", "permission", "unreadable")


def stamp_of(path: Path) -> tuple[int, int]:
    """Return a file's size in bytes and its time of change in ns. Raises OSError."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def place_of(path: Path) -> bytes:
    """Return a photo's absolute path as bytes, the same whatever link led to its folder."""
    return os.fsencode(_resolved(path.parent.absolute()) + path.name)


@lru_cache(maxsize=1024)
def _resolved(folder: Path) -> str:
    return f"{str(folder.resolve()).rstrip('/')}/"


def key_of(path: Path) -> bytes:
    """Tell this state of a file from all others; one that is gone has a state, too."""
    try:
        stamp = stamp_of(path)
    except OSError:
        stamp = (-1, -1)
    return place_of(path) + b"\0%d %d" % stamp


def skipped_row(skipped: Skipped | None) -> Row:
    """Write why a photo is left out, without its path; None: it is not."""
    return {
        "left_out": skipped.kind if skipped else None,
        "reason": skipped.reason if skipped else None,
    }


def read_skipped(path: Path, row: Row) -> Skipped | None:
    """Read what `skipped_row` wrote."""
    if row["left_out"] is None:
        return None
    return Skipped(path, row["reason"], kind=row["left_out"])


def was_unread(skipped: Skipped | None) -> bool:
    """Return whether the system could not read the file: another machine perhaps can."""
    return skipped is not None and skipped.kind in UNREAD

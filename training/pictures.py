"""Photos that are shown or tried again after training: read once more, shrunk."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from models.errors import ImageError

T = TypeVar("T")


def still_readable(
    paths: Iterable[Path], most: int, read: Callable[[bytes], T]
) -> list[tuple[Path, T]]:
    """What `read` makes of the first files; one that vanished since is passed over."""
    found: list[tuple[Path, T]] = []
    for path in paths:
        if len(found) < most:
            with suppress(ImageError, OSError):
                found.append((path, read(path.read_bytes())))
    return found

"""Folders as people have them, made of empty files: finding decodes nothing."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from training.photos.find import find_photos

NOBODY = 65534  # the user that owns nothing


def touch(folder: Path, *names: str) -> Path:
    """Empty files, in the order given, and the folders they need."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def fill(folder: Path, *places: str, count: int = 2) -> Path:
    """`count` files that are called like photos in each place."""
    for place in places:
        touch(folder, *(f"{place}/{number}.jpg" for number in range(count)))
    return folder


def labels_of(source: Path) -> dict[str, int]:
    """How many photos of each label are found."""
    found: dict[str, int] = {}
    for photo in find_photos(source).photos:
        found[photo.label] = found.get(photo.label, 0) + 1
    return found


def kinds_of(source: Path) -> dict[str, list[str]]:
    """Kind -> the names below `source` of what was left out, sorted."""
    found: dict[str, list[str]] = {}
    for item in find_photos(source).skipped:
        name = item.path.relative_to(source).as_posix()
        found.setdefault(item.kind, []).append(name)
    return {kind: sorted(names) for kind, names in found.items()}


@contextmanager
def without_rights() -> Iterator[Path]:
    """A folder that everybody may enter, and no longer the rights of whoever may do all."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    mighty = os.geteuid() == 0
    try:
        yield place
    finally:
        if mighty:
            os.seteuid(0)
        for folder, _, _ in os.walk(place):
            os.chmod(folder, 0o755)
        shutil.rmtree(place)


def become_nobody() -> None:
    """Give up the rights of whoever may do all, until `without_rights` ends."""
    if os.geteuid() == 0:
        try:
            os.seteuid(NOBODY)
        except OSError as error:
            pytest.skip(f"rights cannot be given up here: {error}")

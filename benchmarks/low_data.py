"""Photo sets with sides that are the same for every recipe, whole or with few training photos.

A set is given to `fit` as a CSV that names the photos where they are: nothing is copied or
linked, and the cache knows the files again.
"""

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from models.errors import SettingError
from training.photos.find import find_photos
from training.photos.listing import Photo
from training.settings.config import FitConfig
from training.sides.remembered import shares_of
from training.sides.split import split_photos

LEAST_VALIDATION = 2  # photos a class


@dataclass(frozen=True)
class PhotoSet:
    """The readable files of a folder or a CSV, with the digest of each."""

    name: str
    photos: list[Photo]
    digests: list[bytes]


def read_sets(sources: Iterable[Path]) -> list[PhotoSet]:
    """Find and hash the photos of every source.

    Raises:
        PhotosError: no photos there. SettingError: two sources have one name.
    """
    sets: dict[str, PhotoSet] = {}
    for source in sources:
        name = source.resolve().name
        if name in sets:
            raise SettingError(f"two sets are called {name!r}: rows could not be told apart")
        photos = [photo for photo in find_photos(source.resolve()).photos if photo.path.is_file()]
        digests = [hashlib.sha256(photo.path.read_bytes()).digest() for photo in photos]
        sets[name] = PhotoSet(name, photos, digests)
    return list(sets.values())


def choose_photos(photo_set: PhotoSet, few: int, seed: int) -> dict[str, list[Photo]]:
    """Deal out the sides as `fit` does, and with `few` thin training and validation.

    Args:
        few: training photos a class, and a quarter as many of validation (2 or more); a class
            with fewer keeps them all. 0: all photos. The test side stays whole.
        seed: deals out photos without a side, and chooses the few. Whoever is among 10 photos
            is among 40 with the same seed, too.

    Returns:
        train, validation and test -> photos, in order of path.

    Raises:
        PhotosError: the photos cannot be divided.
    """
    photos, digests = photo_set.photos, photo_set.digests
    split = split_photos(photos, digests, shares_of(FitConfig(seed=seed)))
    sides = {"train": split.train, "validation": split.validation, "test": split.test}
    if few > 0:
        counts = {"train": few, "validation": max(LEAST_VALIDATION, few // 4)}
        for side, count in counts.items():
            sides[side] = _thin(photo_set, sides[side], count, seed)
    return {side: [photos[row] for row in sorted(rows)] for side, rows in sides.items()}


def _thin(photo_set: PhotoSet, rows: list[int], count: int, seed: int) -> list[int]:
    """Choose `count` photos of each class, by seed and content; no file twice."""
    distinct = {photo_set.digests[row]: row for row in reversed(rows)}  # the first of copies
    classes = defaultdict(list)
    for digest, row in distinct.items():
        drawn = hashlib.sha256(f"few {seed} ".encode() + digest).digest()
        classes[photo_set.photos[row].label].append((drawn, row))
    return [row for members in classes.values() for _, row in sorted(members)[:count]]


def write_list(sides: dict[str, list[Photo]], path: Path) -> None:
    """Write the photos with their sides as a CSV, in order of path: as `fit` finds a folder."""
    lines = sorted(
        (str(photo.path), photo.label, side, photo.group)
        for side, photos in sides.items()
        for photo in photos
    )
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("image", "label", "split", "group"), *lines])

"""Train, validation and test sides that share no file.

Photos with the same bytes are one unit: whichever side it goes to, it goes whole. Within a
class the units are put in an order drawn from the seed and their content, so neither file
names nor the order of a folder decide anything.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from models.errors import PhotosError
from training.photos import Photo, Skipped

_KEEPS = {"test": 0, "validation": 1, "train": 2}  # a copy on two sides stays on the first


@dataclass
class Split:
    """Indices into the list of photos."""

    train: list[int]
    validation: list[int]
    test: list[int]
    skipped: list[Skipped]  # copies that would have stood on two sides or in two classes


def fingerprint(split: Split, photos: list[Photo], digests: list[bytes]) -> str:
    """The same for the same photos with the same labels on the same sides."""
    sides = {"train": split.train, "validation": split.validation, "test": split.test}
    lines = sorted(
        f"{side} {digests[index].hex()} {photos[index].label}"
        for side, members in sides.items()
        for index in members
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def class_indices(split: Split, photos: list[Photo]) -> tuple[list[str], np.ndarray]:
    """The classes that are trained on, in order of name, and the index of each photo's.

    A label that training never sees has the index -1.
    """
    names = sorted({photos[index].label for index in split.train})
    known = {name: index for index, name in enumerate(names)}
    return names, np.array([known.get(photo.label, -1) for photo in photos])


def split_photos(
    photos: list[Photo], digests: list[bytes], seed: int, validation_share: float, test_share: float
) -> Split:
    """Sides for photos; those that came with a side keep it.

    Args:
        digests: of each photo's content; equal bytes, equal digest.
        validation_share, test_share: of the photos of each class that came without a side.
            A side that is missing altogether is taken out of train.

    Raises:
        PhotosError: fewer than two classes, a class too small to divide, or one that is
            tested but never trained on.
    """
    units, skipped = _units(photos, digests)
    split = Split([], [], [], skipped)
    given = {photos[members[0]].side for members in units}
    shares = {
        "test": 0.0 if "test" in given else test_share,
        "validation": 0.0 if "validation" in given else validation_share,
    }
    by_class: dict[str, list[list[int]]] = defaultdict(list)
    for members in units:
        photo = photos[members[0]]
        if photo.side in ("validation", "test"):
            getattr(split, photo.side).extend(members)
        else:
            by_class[photo.label].append(members)
    _check_classes(photos, split, set(by_class))
    for label, members_of in by_class.items():
        order = sorted(members_of, key=lambda members: _draw(seed, digests[members[0]]))
        _deal(label, order, shares, split)
    for side in (split.train, split.validation, split.test):
        side.sort()
    return split


def _units(photos: list[Photo], digests: list[bytes]) -> tuple[list[list[int]], list[Skipped]]:
    """Photos with the same bytes together, after contradictions have been left out."""
    copies: dict[bytes, list[int]] = defaultdict(list)
    for index, digest in enumerate(digests):
        copies[digest].append(index)
    units, skipped = [], []
    for members in copies.values():
        labels = sorted({photos[index].label for index in members})
        if len(labels) > 1:
            reason = f"the same file stands in the classes {', '.join(labels)}"
            skipped += [Skipped(photos[index].path, reason) for index in members]
            continue
        first = min(members, key=lambda index: _KEEPS[photos[index].side or "train"])
        side = photos[first].side or "train"
        stays = [index for index in members if (photos[index].side or "train") == side]
        units.append(stays)
        reason = f"the same file as {photos[first].path}, which is on the side {side}"
        skipped += [Skipped(photos[i].path, reason) for i in members if i not in stays]
    return units, skipped


def _check_classes(photos: list[Photo], split: Split, trained: set[str]) -> None:
    """See that there is something to tell apart, and nothing tested that was never seen."""
    for side in ("test", "validation"):
        unseen = {photos[index].label for index in getattr(split, side)} - trained
        if unseen:
            names = ", ".join(sorted(unseen))
            raise PhotosError(f"{side} has classes without training photos: {names}; add some")
    if len(trained) < 2:
        only = ", ".join(sorted(trained)) or "none"
        raise PhotosError(f"found one class or fewer ({only}): two are needed to tell apart")


def _deal(label: str, order: list[list[int]], shares: dict[str, float], split: Split) -> None:
    """Deal the units of one class out to the sides."""
    needed = 1 + sum(share > 0 for share in shares.values())
    if len(order) < needed:
        raise PhotosError(
            f"class {label!r} has {len(order)} usable distinct photo(s); {needed} or more are "
            "needed (one for each side): add photos, or leave the class out"
        )
    start = 0
    for side, share in shares.items():
        count = max(1, int(len(order) * share)) if share else 0  # rounded down: train gets most
        getattr(split, side).extend(i for members in order[start : start + count] for i in members)
        start += count
    split.train.extend(i for members in order[start:] for i in members)


def _draw(seed: int, digest: bytes) -> bytes:
    return hashlib.sha256(str(seed).encode() + digest).digest()

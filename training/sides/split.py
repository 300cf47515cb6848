"""Train, validation and test sides that share no photo, no copy and no group.

Each unit (see units.py) goes to a side by a number between 0 and 1 that is drawn from the
seed and its content, and from nothing else: below the test share it tests. So neither file
names nor other photos decide anything, and photos that are added move none that is there.
The price is that shares are met on average, not exactly: whoever keeps them exact within each
class must move photos when the class grows.

Two things would still move a photo: a class so small that a side must be given one, and a
new copy that joins a unit. For these there is `known`: sides that an earlier bundle recorded.
"""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from models.errors import PhotosError
from models.natural_order import natural_key
from training.photos.labels import MERGE, look_alikes
from training.photos.listing import Photo, Skipped
from training.sides.units import Pair, join_units, label_of

_STRICTEST = ("test", "validation", "train")  # a unit on several sides stays on the first
_NUMBERS = 2**64  # that can be drawn
_MOST_NAMED = 20  # classes in one message


@dataclass(frozen=True)
class Shares:
    """How photos without a side are dealt out."""

    seed: int
    validation: float  # of the photos of each class that came without a side, on average
    test: float  # likewise; a side that is missing altogether is taken out of train
    leave_out_small: bool = False  # classes too small to divide, instead of stopping


@dataclass
class Split:
    """Indices into the list of photos."""

    train: list[int]
    validation: list[int]
    test: list[int]
    skipped: list[Skipped]  # copies that would have stood on two sides or in two classes
    notes: list[str] = field(default_factory=list)  # what could not be kept apart


def fingerprint(split: Split, photos: list[Photo], digests: list[bytes]) -> str:
    """The same for the same photos with the same labels on the same sides."""
    sides = {"train": split.train, "validation": split.validation, "test": split.test}
    lines = sorted(
        f"{side} {digests[index].hex()} {photos[index].label}"
        for side, members in sides.items()
        for index in members
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def class_indices(
    split: Split, photos: list[Photo], names: Sequence[str] | None = None
) -> tuple[list[str], np.ndarray]:
    """The classes that are trained on, in order of name, and the index of each photo's.

    A label that training never sees has the index -1. `names`: of a network that is there
    already, in its order.
    """
    names = list(names) if names else sorted({photos[index].label for index in split.train})
    known = {name: index for index, name in enumerate(names)}
    return names, np.array([known.get(photo.label, -1) for photo in photos])


def split_photos(
    photos: list[Photo],
    digests: list[bytes],
    dealt: Shares,
    near: Iterable[Pair] = (),
    known: Mapping[bytes, str] | None = None,
    lost: Mapping[str, str] | None = None,
) -> Split:
    """Sides for photos; those that came with a side keep it.

    Args:
        digests: of each photo's content; equal bytes, equal digest.
        near: pairs of near copies: they stand on one side.
        known: content -> side, of an earlier split. A photo keeps that side unless its owner
            gave it, or a copy of it, another, or gave the whole side.
        lost: classes of which no photo could be read -> the reason of the first.

    Raises:
        PhotosError: fewer than two classes, a class too small to divide, a side without
            photos, or a class that is tested but never trained on.
    """
    in_two_classes = _in_two_classes(photos, digests)
    split = Split([], [], [], list(in_two_classes.values()))
    units, crowded = join_units(photos, digests, near, in_two_classes)
    split.notes += [
        f"class {label!r} is hardly more than one picture: its near copies may stand on two sides"
        for label in crowded
    ]
    owned = [_strictest(_given(photos, unit)) for unit in units]
    shares = {
        "test": 0.0 if "test" in owned else dealt.test,
        "validation": 0.0 if "validation" in owned else dealt.validation,
    }
    wanted = ["train", *(side for side, share in shares.items() if share)]
    earlier = {digest: side for digest, side in (known or {}).items() if side in wanted}
    classes: dict[str, _Class] = defaultdict(_Class)
    for unit, owner in zip(units, owned, strict=True):
        sides = _given(photos, unit) if owner else [earlier.get(digests[i]) for i in unit]
        side = _strictest(sides)
        members = classes[label_of(photos, digests, unit)]
        if side is None:
            members.free.append((_draw(dealt.seed, min(digests[i] for i in unit)), unit))
        else:
            joins = {side} if owner else {side, None}  # a copy that is new stands with the known
            stays = [i for i, each in zip(unit, sides, strict=True) if each in joins]
            split.skipped += _left_out(photos, digests, unit, stays, side)
            members.settled[side].append(stays)
    gone = {*(lost or ()), *(photos[index].label for index in in_two_classes)}
    small = _small_classes(classes, wanted, gone)
    if small and not dealt.leave_out_small:
        raise PhotosError(_too_small(small, len(wanted), lost or {}))
    _leave_out_small(photos, small, split)
    for members in (classes[label] for label in classes if label not in small):
        _deal(members, shares, wanted)
        for side, settled in members.settled.items():
            getattr(split, side).extend(index for unit in settled for index in unit)
    for side in _STRICTEST:
        getattr(split, side).sort()
    _check_sides(photos, split)
    return split


class _Class:
    """The units of one class: those on a side, and those to be dealt out with their numbers."""

    def __init__(self) -> None:
        self.settled: dict[str, list[list[int]]] = {side: [] for side in _STRICTEST}
        self.free: list[tuple[float, list[int]]] = []

    def too_few(self, wanted: Sequence[str]) -> int | None:
        """How many units there are, if they cannot be dealt out to `wanted`; None if they can."""
        count = len(self.free) + sum(len(self.settled[side]) for side in wanted)
        return count if self.free and count < len(wanted) else None


def _given(photos: Sequence[Photo], unit: list[int]) -> list[str | None]:
    """Sides that owners gave; `train` is none, because other sides may be taken out of it."""
    sides = [photos[index].side for index in unit]
    return [None if side == "train" else side for side in sides]


def _strictest(sides: Iterable[str | None]) -> str | None:
    """The first side of `_STRICTEST` among these."""
    return min((side for side in sides if side), key=_STRICTEST.index, default=None)


def _in_two_classes(photos: Sequence[Photo], digests: Sequence[bytes]) -> dict[int, Skipped]:
    """Photos whose file stands in several classes, by index."""
    first: dict[bytes, str] = {}
    torn: dict[bytes, set[str]] = {}
    for photo, digest in zip(photos, digests, strict=True):
        label = first.setdefault(digest, photo.label)
        if label != photo.label:
            torn.setdefault(digest, {label}).add(photo.label)
    reason = "the same file stands in the classes "
    return {
        index: Skipped(photo.path, reason + ", ".join(sorted(torn[digest])), kind="two-labels")
        for index, (photo, digest) in enumerate(zip(photos, digests, strict=True))
        if digest in torn
    }


def _left_out(
    photos: Sequence[Photo], digests: Sequence[bytes], unit: list[int], stays: list[int], side: str
) -> list[Skipped]:
    """Why the other photos of a unit are not used."""
    if len(stays) == len(unit):
        return []
    same = {digests[i]: i for i in reversed(stays)}  # the first of each
    akin = {photos[i].group: i for i in reversed(stays) if photos[i].group}
    skipped, kept = [], set(stays)
    for index in unit:
        if index not in kept:
            copy, fellow = same.get(digests[index]), akin.get(photos[index].group)
            what, other = "a near copy of", stays[0]
            if fellow is not None:
                what, other = "of one group with", fellow
            if copy is not None:
                what, other = "the same file as", copy
            reason = f"{what} {photos[other].path}, which is on the side {side}"
            skipped.append(Skipped(photos[index].path, reason, kind="copy"))
    return skipped


def _too_small(counts: Mapping[str, int], needed: int, lost: Mapping[str, str]) -> str:
    """What to do about classes that cannot be divided, all of them in one sentence."""
    if len(counts) == 1:
        ((label, count),) = counts.items()
        begin = f"class {label!r} has {count} usable distinct photo(s); {needed} or more are needed"
    else:
        begin = f"{len(counts):,} classes have fewer than {needed} usable distinct photos: "
        begin += _named(counts)
    why = "".join(f"; of {label!r} none can be read: {lost[label]}" for label in list(lost)[:3])
    return (
        f"{begin} (one for each side){why}: add photos, or pass --leave-out-small to go on without "
        f"{'it' if len(counts) == 1 else 'them'}"
    )


def _small_classes(
    classes: Mapping[str, _Class], wanted: Sequence[str], gone: Collection[str]
) -> dict[str, int]:
    """Count the units of classes that cannot be divided; of those `gone` none may be left."""
    small = {label: 0 for label in gone if label not in classes}
    return small | {
        label: count
        for label, members in classes.items()
        if (count := members.too_few(wanted)) is not None
    }


def _leave_out_small(photos: Sequence[Photo], small: Mapping[str, int], split: Split) -> None:
    """Name the photos of classes that are too small, but for those that are skipped already."""
    if small:
        split.notes.append(f"left out {len(small):,} classes that are too small: {_named(small)}")
    gone = {item.path for item in split.skipped}
    split.skipped += [
        Skipped(photo.path, f"class {photo.label!r} is too small", kind="small-class")
        for photo in photos
        if photo.label in small and photo.path not in gone
    ]


def _named(counts: Mapping[str, int]) -> str:
    shown = [f"{label!r} ({counts[label]})" for label in sorted(counts, key=natural_key)]
    more = f" and {len(shown) - _MOST_NAMED:,} more" if len(shown) > _MOST_NAMED else ""
    return ", ".join(shown[:_MOST_NAMED]) + more


def _deal(members: _Class, shares: dict[str, float], wanted: Sequence[str]) -> None:
    """Deal the free units of one class out in the order of their numbers, the lowest to test."""
    order = sorted(members.free)
    lacking = [side for side in wanted if not members.settled[side]][: len(order)]
    begin, limit = 0, 0.0
    for side, share in shares.items():
        limit += share
        count = sum(number < limit for number, _ in order[begin:]) if share else 0
        if side in lacking:
            lacking.remove(side)
            count = max(1, count)
        end = begin + min(count, len(order) - begin - len(lacking))  # the others get one, too
        members.settled[side] += [unit for _, unit in order[begin:end]]
        begin = end
    members.settled["train"] += [unit for _, unit in order[begin:]]


def _check_sides(photos: Sequence[Photo], split: Split) -> None:
    """See that there is something to tell apart, and nothing tested that was never seen."""
    trained = {photos[index].label for index in split.train}
    for side in ("test", "validation"):
        refuse_untrained(side, {photos[index].label for index in getattr(split, side)}, trained)
    if len(trained) < 2:
        only = ", ".join(sorted(trained)) or "none"
        raise PhotosError(f"found one class or fewer ({only}): two are needed to tell apart")
    for side in _STRICTEST:
        if not getattr(split, side):
            raise PhotosError(f"no photo is left for {side}: add photos, or begin a new bundle")


def refuse_untrained(side: str, tested: set[str], trained: set[str]) -> None:
    """Refuse a side with classes that no training photo shows. Raises PhotosError."""
    unseen = sorted(tested - trained, key=natural_key)
    if unseen:
        alike = look_alikes(unseen, sorted(trained))
        advice = f"{'; '.join(alike)}: pass {MERGE} to join them" if alike else "add some"
        names = ", ".join(unseen)
        raise PhotosError(f"{side} has classes without training photos: {names}; {advice}")


def _draw(seed: int, digest: bytes) -> float:
    """A number from 0 to 1 that only the seed and one photo's content decide."""
    drawn = hashlib.sha256(str(seed).encode() + digest).digest()
    return int.from_bytes(drawn[:8]) / _NUMBERS

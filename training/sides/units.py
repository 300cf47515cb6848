"""Photos that must stand on one side: copies, near copies, and groups, joined to units.

Two frames of one film, one shoe from two angles, one picture saved twice: a network that was
trained on one of them is not tested by the other.
"""

from array import array
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence

import numpy as np

from models.natural_order import natural_key
from training.photos.listing import Photo

Pair = tuple[int, int]  # indices of two photos
FEWEST = 3  # units that a class needs: one for each side


def join_units(
    photos: Sequence[Photo],
    digests: Sequence[bytes],
    near: Iterable[Pair],
    without: Collection[int] = (),
) -> tuple[list[list[int]], list[str]]:
    """Indices of the photos of each unit, ascending; and classes whose near copies stay apart.

    Args:
        digests: of each photo's content; equal bytes, equal digest.
        near: pairs of near copies. In a class that they would leave with fewer than FEWEST
            units, they join nothing: pictures that differ by a little noise are all it has.
        without: indices of photos that belong to no unit.
    """
    pairs = [pair for pair in near if all(index not in without for index in pair)]
    units = _join(photos, digests, [], without)
    if not pairs:
        return units, []
    before = _count(photos, digests, units)
    units = _join(photos, digests, pairs, without)
    after = _count(photos, digests, units)
    few = (label for label in before if after[label] < min(FEWEST, before[label]))
    crowded = sorted(few, key=natural_key)
    if crowded:
        pairs = [p for p in pairs if not {photos[index].label for index in p} & set(crowded)]
        units = _join(photos, digests, pairs, without)
    return units, crowded


def number_units(
    photos: Sequence[Photo], digests: Sequence[bytes], near: Iterable[Pair] = ()
) -> np.ndarray:
    """Return (N,) int: the unit of each photo, equal for those that `join_units` joins."""
    numbers = np.zeros(len(photos), int)
    for number, unit in enumerate(join_units(photos, digests, near)[0]):
        numbers[unit] = number
    return numbers


def label_of(photos: Sequence[Photo], digests: Sequence[bytes], unit: Sequence[int]) -> str:
    """The class that a unit counts for, whatever the names and the order of its files."""
    return photos[min(unit, key=digests.__getitem__)].label


def _count(
    photos: Sequence[Photo], digests: Sequence[bytes], units: list[list[int]]
) -> Counter[str]:
    return Counter(label_of(photos, digests, unit) for unit in units)


def _join(
    photos: Sequence[Photo],
    digests: Sequence[bytes],
    pairs: Iterable[Pair],
    without: Collection[int],
) -> list[list[int]]:
    """Connected components of equal bytes, equal groups and pairs."""
    parent = array("q", range(len(photos)))  # 8 bytes each, where a list takes 40

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[Hashable, int] = {}
    for index, (photo, digest) in enumerate(zip(photos, digests, strict=True)):
        if index not in without:
            for key in (digest, photo.group) if photo.group else (digest,):
                parent[root(index)] = root(first.setdefault(key, index))
    first.clear()
    for one, other in pairs:
        parent[root(one)] = root(other)
    used = np.array([index for index in range(len(photos)) if index not in without], int)
    roots = np.fromiter((root(index) for index in used.tolist()), int, len(used))
    members = used[np.argsort(roots, kind="stable")]
    ends = np.cumsum(np.unique(roots, return_counts=True)[1]).tolist()
    starts = [0, *ends[:-1]] if ends else []
    units = [members[start:end].tolist() for start, end in zip(starts, ends, strict=True)]
    units.sort()
    return units

"""Photos that must stand on one side: copies, near copies, and groups, joined to units.

Two frames of one film, one shoe from two angles, one picture saved twice: a network that was
trained on one of them is not tested by the other.
"""

from array import array
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from itertools import chain

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

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
    numbers, units = np.zeros(len(photos), int), join_units(photos, digests, near)[0]
    members = np.fromiter(chain.from_iterable(units), int)
    numbers[members] = np.repeat(np.arange(len(units)), [len(unit) for unit in units])
    return numbers


def label_of(photos: Sequence[Photo], digests: Sequence[bytes], unit: Sequence[int]) -> str:
    """The class that a unit counts for, whatever the names and the order of its files."""
    index = unit[0] if len(unit) == 1 else min(unit, key=digests.__getitem__)
    return photos[index].label


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
    """Connected components of equal bytes, equal groups and pairs; each ascending, in order."""
    first: dict[Hashable, int] = {}
    edges = array("q")  # 8 bytes each, where a list takes 40
    for index, (photo, digest) in enumerate(zip(photos, digests, strict=True)):
        if index not in without:
            for key in (digest, photo.group) if photo.group else (digest,):
                if (other := first.setdefault(key, index)) != index:
                    edges.extend((index, other))
    first.clear()
    edges.extend(chain.from_iterable(pairs))
    ones, others = np.array(edges, int).reshape(-1, 2).T
    joined = sparse.coo_array((np.ones(len(ones)), (ones, others)), shape=(len(photos),) * 2)
    component = csgraph.connected_components(joined, directed=False)[1]
    used = np.array([index for index in range(len(photos)) if index not in without], int)
    _, begins, place = np.unique(component[used], return_index=True, return_inverse=True)
    leader = begins[place]  # the first of each component
    members = used[np.argsort(leader, kind="stable")].tolist()
    ends = np.unique(leader, return_counts=True)[1].cumsum().tolist()
    return [members[start:end] for start, end in zip([0, *ends], ends, strict=False)]

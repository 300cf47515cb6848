"""Find photos that show the same picture: saved again, resized, cropped a little, or mirrored.

Features find candidates quickly; but two pairs of jeans in front of one wall are as similar to
them as a crop is to its original. So thumbnails of each pair of candidates are aligned by a
shift and a scale, and the difference that remains decides.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from training.doctor.overlay import compare_thumbnails
from training.features.cache import FeatureCache
from training.features.compute import Features
from training.features.thumbnails import Appearance

CANDIDATE = 0.75  # cosine of centred features; of crops by up to 5 % a side 99 % are above
NEAREST = 4  # candidates for each photo
COLUMNS = 256  # features are projected to so many: a cosine above 0.75 is off by 0.03 at most
BLOCK = 1024  # rows of cosines in memory at once: 200 MB for 50,000 photos
PAIRS = 256  # pairs aligned at once
PLAIN = 3.0  # spread of a thumbnail, below which there is nothing to compare_thumbnails
ALIKE = 2.1  # of `_agreement`; of 3,781 photos of clothing two pairs reach it, both near copies


class NearCopy(NamedTuple):
    """Two photos that show one picture."""

    one: int  # indices of photos, one < other
    other: int
    likeness: float  # ALIKE and more
    mirrored: bool


def find_near_copies(
    vectors: np.ndarray,
    digests: Sequence[bytes],
    appearances: dict[bytes, Appearance],
    thumbnails: Callable[[Sequence[bytes]], np.ndarray],
) -> list[NearCopy]:
    """Find pairs of near copies, by index; the first of exact copies stands for all of them.

    Args:
        vectors: (N, F) float32 features.
        digests: (N,) of the photos; appearances: by digest, for all of them.
        thumbnails: returns (M, SIDE, SIDE, 3) uint8 for M digests.
    """
    first = {digest: index for index, digest in reversed(list(enumerate(digests)))}
    rows = np.array(
        sorted(i for digest, i in first.items() if appearances[digest].spread > PLAIN), int
    )
    if len(rows) < 2:
        return []
    with threadpool_limits(1):  # many small matrices: threads would wait for one another
        pairs, cosines = _candidates(vectors[rows])
        pairs = rows[pairs]
        found = []
        for start in range(0, len(pairs), PAIRS):
            some = pairs[start : start + PAIRS]
            left, right = (thumbnails([digests[i] for i in side]) for side in some.T)
            likeness, mirrored = _likeness(cosines[start : start + PAIRS], left, right)
            found += [
                NearCopy(int(min(pair)), int(max(pair)), float(value), bool(flipped))
                for pair, value, flipped in zip(some, likeness, mirrored, strict=True)
                if value >= ALIKE
            ]
    return sorted(found)


def near_copies_of(features: Features, cache: FeatureCache) -> list[NearCopy]:
    """Find the near copies among these photos once; then they are kept with the features."""

    def find() -> list[NearCopy]:
        appearances = cache.appearances()
        return find_near_copies(features.vectors, features.digests, appearances, cache.thumbnails)

    return [NearCopy(*row) for row in cache.kept_rows("near copies", features.digests, find)]


def _candidates(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (P, 2) pairs of rows with similar features, each once, and their (P,) cosines."""
    centred = vectors - vectors.mean(axis=0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    shadows = centred
    if vectors.shape[1] > 2 * COLUMNS:  # Johnson and Lindenstrauss 1984
        rng = np.random.default_rng(0)
        shadows = centred @ rng.normal(size=(vectors.shape[1], COLUMNS)).astype(np.float32)
        shadows /= np.maximum(np.linalg.norm(shadows, axis=1, keepdims=True), 1e-12)
    near = np.concatenate([*_neighbours(shadows), np.zeros((0, 2), int)])
    pairs = np.unique(np.sort(near, axis=1), axis=0)
    cosines = np.einsum("pf,pf->p", centred[pairs[:, 0]], centred[pairs[:, 1]])
    alike = cosines >= CANDIDATE
    return pairs[alike], cosines[alike]


def _neighbours(shadows: np.ndarray) -> Iterator[np.ndarray]:
    """Yield (P, 2) rows and their nearest neighbours, block by block."""
    count = min(NEAREST, len(shadows) - 1)
    for start in range(0, len(shadows), BLOCK):
        cosines = shadows[start : start + BLOCK] @ shadows.T
        here = np.arange(len(cosines))
        cosines[here, start + here] = -1  # itself
        busy = np.flatnonzero((cosines > CANDIDATE - 0.05).any(axis=1))
        nearest = np.argpartition(-cosines[busy], count - 1, axis=1)[:, :count]
        close = cosines[busy[:, None], nearest] > CANDIDATE - 0.05
        line, place = np.nonzero(close)
        yield np.stack([start + busy[line], nearest[line, place]], axis=1)


def _likeness(
    cosines: np.ndarray, left: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Score how surely each pair shows one picture, and whether one of them is mirrored."""
    likeness = _agreement(cosines, left, right)
    flipped = right[:, :, ::-1]
    apart, flipped_apart = (
        np.abs(left.astype(np.int16) - other).mean((1, 2, 3)) for other in (right, flipped)
    )
    doubtful = np.flatnonzero(flipped_apart < 1.1 * apart)  # the rest is farther when mirrored
    mirrored = np.zeros(len(likeness), bool)
    if len(doubtful):
        other = _agreement(cosines[doubtful], left[doubtful], flipped[doubtful])
        mirrored[doubtful] = other > likeness[doubtful]
        likeness[doubtful] = np.maximum(likeness[doubtful], other)
    return likeness, mirrored


def _agreement(cosines: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Score the agreement of features and details, less a twentieth per level of colour apart.

    Both correlations go through Fisher's transform, because 0.99 is far more than 0.9.
    """
    detail, difference = compare_thumbnails(left, right)
    sure = np.arctanh(np.clip(cosines, 0, 0.999)) + np.arctanh(np.clip(detail, 0, 0.999))
    return sure - difference / 20

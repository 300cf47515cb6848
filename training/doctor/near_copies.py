"""Find photos that show the same picture: saved again, resized, cropped a little, or mirrored.

Features find candidates quickly; but two pairs of jeans in front of one wall are as similar to
them as a crop is to its original. So thumbnails of each pair of candidates are aligned by a
shift and a scale, and the difference that remains decides.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from training.doctor.neighbours import EXACT, exact_neighbours, neighbours
from training.doctor.overlay import compare_thumbnails
from training.features.cache import FeatureCache
from training.features.compute import Features
from training.features.rows import BLOCK, Rows, blocks_of
from training.features.thumbnails import Appearance

CANDIDATE = 0.75  # cosine of centred features; of crops by up to 5 % a side 99 % are above
MARGIN = 0.05  # by which a projected cosine may be less
COLUMNS = 256  # features are projected to so many: a cosine above 0.75 is off by 0.03 at most
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
    vectors: np.ndarray | Rows,
    digests: Sequence[bytes],
    appearances: dict[bytes, Appearance],
    thumbnails: Callable[[Sequence[bytes]], np.ndarray],
    exact_up_to: int = EXACT,
) -> list[NearCopy]:
    """Find pairs of near copies, by index; the first of exact copies stands for all of them.

    Args:
        vectors: (N, F) float32 features.
        digests: (N,) of the photos; appearances: by digest, for all of them.
        thumbnails: returns (M, SIDE, SIDE, 3) uint8 for M digests.
        exact_up_to: photos up to which each is compared with each; beyond, by an index.

    Raises:
        PhotosError: there are more photos, and the index is not installed.
    """
    first: dict[bytes, int] = {}
    for index, digest in enumerate(digests):
        if appearances[digest].spread > PLAIN:
            first.setdefault(digest, index)
    rows = np.fromiter(first.values(), int, len(first))  # ascending
    del first  # a hundred bytes a photo
    if len(rows) < 2:
        return []
    in_memory = isinstance(vectors, np.ndarray) and len(rows) <= exact_up_to
    found: list[NearCopy] = []
    with threadpool_limits(1 if in_memory else None):  # of small matrices, threads would wait
        candidates = (
            iter([_candidates(vectors[rows])]) if in_memory else _stream(vectors, rows, exact_up_to)
        )
        for pairs, cosines in candidates:
            for start in range(0, len(pairs), PAIRS):
                some = rows[pairs[start : start + PAIRS]]
                left, right = (thumbnails([digests[i] for i in side]) for side in some.T)
                with threadpool_limits(1):
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
    centred = _unit(vectors - vectors.mean(axis=0))
    shadows = centred
    if vectors.shape[1] > 2 * COLUMNS:
        shadows = _unit(centred @ _projection(vectors.shape[1]))
    near = np.concatenate([*exact_neighbours(shadows, CANDIDATE - MARGIN), np.zeros((0, 2), int)])
    pairs = np.unique(np.sort(near, axis=1), axis=0)
    cosines = np.einsum("pf,pf->p", centred[pairs[:, 0]], centred[pairs[:, 1]])
    alike = cosines >= CANDIDATE
    return pairs[alike], cosines[alike]


def _stream(
    vectors: np.ndarray | Rows, rows: np.ndarray, exact_up_to: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the same, some at a time, of rows that are read block by block."""
    chosen = vectors.select(rows) if isinstance(vectors, Rows) else vectors[rows]
    mean, width = np.zeros(chosen.shape[1]), chosen.shape[1]
    for _, block in blocks_of(chosen):
        mean += block.sum(axis=0, dtype=np.float64) / len(chosen)
    centre = mean.astype(np.float32)
    projection = _projection(width) if width > 2 * COLUMNS else None

    def read(step: int) -> Iterator[tuple[int, np.ndarray]]:
        for place, block in blocks_of(chosen):
            centred = block[-place.start % step :: step] - centre
            yield place.start, _unit(centred if projection is None else centred @ projection)

    near = np.concatenate(
        [*neighbours(read, len(chosen), CANDIDATE - MARGIN, exact_up_to), np.zeros((0, 2), int)]
    )
    pairs = np.unique(np.sort(near, axis=1), axis=0)
    for start in range(0, len(pairs), BLOCK):
        some = pairs[start : start + BLOCK]
        left, right = (_unit(chosen[side] - centre) for side in some.T)
        cosines = np.einsum("pf,pf->p", left, right)
        alike = cosines >= CANDIDATE
        yield some[alike], cosines[alike]


def _unit(centred: np.ndarray) -> np.ndarray:
    """Divide each row by its length, in place."""
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    return centred


def _projection(width: int) -> np.ndarray:
    """Draw the projection (width, COLUMNS) of Johnson and Lindenstrauss 1984."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(width, COLUMNS)).astype(np.float32)


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

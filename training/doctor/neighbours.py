"""Find the nearest neighbours of each row: exactly where photos are few, else by an index.

Comparing each with each takes the square of their number: a million photos, hours. Beyond
`EXACT` of them, faiss deals the rows out to cells (Jégou, Douze and Schmid 2011) and looks for
neighbours in the nearest cells only; a byte a number is kept. What is found so are candidates:
whoever asks compares them exactly.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from models.errors import PhotosError

NEAREST = 4  # neighbours of each row
EXACT = 100_000  # rows up to which each is compared with each: a minute on one core
BLOCK = 1024  # rows of cosines in memory at once: 400 MB for 100,000 rows
CELLS = 4  # times the square root of the number of rows
PROBED = 4  # cells looked into: of pairs above a cosine of 0.75 they hold 99 %
TRAINED_ON = 24  # rows for each cell: twice as many find no more pairs

# All rows in order, block by block: the first one, and (n, D); or one of so many.
Read = Callable[[int], Iterator[tuple[int, np.ndarray]]]


def neighbours(
    read: Read, count: int, least: float, exact_up_to: int = EXACT
) -> Iterator[np.ndarray]:
    """Yield (P, 2) of rows and those nearest to them, block by block.

    Args:
        read: reads rows of unit length from the first one on, as often as it is called.
        count: how many rows; least: the cosine above which two are neighbours.
        exact_up_to: rows up to which each is compared with each.

    Raises:
        PhotosError: there are more, and faiss is not installed.
    """
    if count <= exact_up_to:
        yield from exact_neighbours(np.concatenate([block for _, block in read(1)]), least)
        return
    require_index(count, exact_up_to)
    index, cells = _build(read, count)
    nearest = min(NEAREST, count - 1)
    for (start, block), known in zip(read(1), cells, strict=True):
        cosines, found = index.search_preassigned(block, nearest + 1, *known)
        own = np.arange(start, start + len(block))[:, None]
        line, place = np.nonzero((cosines > least) & (found >= 0) & (found != own))
        yield np.stack([start + line, found[line, place]], axis=1)


def require_index(count: int, exact_up_to: int = EXACT) -> None:
    """Refuse so many photos where the index is not installed. Raises PhotosError."""
    if count > exact_up_to and _faiss() is None:
        raise PhotosError(
            f"near copies among {count:,} photos need the package faiss-cpu, beyond {exact_up_to:,}"
            ": pip install -r requirements-scale.txt"
        )


def exact_neighbours(rows: np.ndarray, least: float) -> Iterator[np.ndarray]:
    """Yield the same for (N, D) rows in memory, each compared with each."""
    count = min(NEAREST, len(rows) - 1)
    for start in range(0, len(rows), BLOCK):
        cosines = rows[start : start + BLOCK] @ rows.T
        here = np.arange(len(cosines))
        cosines[here, start + here] = -1  # itself
        busy = np.flatnonzero((cosines > least).any(axis=1))
        nearest = np.argpartition(-cosines[busy], count - 1, axis=1)[:, :count]
        close = cosines[busy[:, None], nearest] > least
        line, place = np.nonzero(close)
        yield np.stack([start + busy[line], nearest[line, place]], axis=1)


def _build(read: Read, count: int) -> tuple[Any, list[tuple[np.ndarray, np.ndarray]]]:
    """Build an index of all rows: cells learnt on some of them, then filled block by block.

    Returns:
        The index, and for each block the cells to look into, (n, PROBED) int32, with the cosines
        (n, PROBED) of their centres: finding them takes longer than looking into them.
    """
    faiss = _faiss()
    cells = max(1, int(CELLS * math.sqrt(count)))
    step = max(1, count // (TRAINED_ON * cells))
    sample = np.concatenate([block for _, block in read(step)])
    width = sample.shape[1]
    coarse = faiss.IndexFlatIP(width)
    metric = faiss.METRIC_INNER_PRODUCT
    kind = faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexIVFScalarQuantizer(coarse, width, cells, kind, metric)
    index.cp.niter, index.cp.min_points_per_centroid = 4, 1  # more steps find no more pairs
    index.train(sample)
    index.nprobe = min(PROBED, cells)
    probed = []
    for _, block in read(1):
        cosines, nearest = coarse.search(block, index.nprobe)
        own = np.ascontiguousarray(nearest[:, 0])
        rows = np.ascontiguousarray(block)
        index.add_core(len(rows), faiss.swig_ptr(rows), None, faiss.swig_ptr(own))
        probed.append((nearest.astype(np.int32), cosines))
    return index, probed


def _faiss() -> Any:
    """Import faiss, which is an extra. None where it is not installed."""
    try:
        import faiss  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return None
    return faiss

"""Compute the pooled features of each photo once, with the compiled backbone.

This is what makes training cheap. The backbone is frozen, so the features of a photo never
change: ONNX Runtime computes them once, and they are kept. Each thread decodes and runs the
network on one core; both release the interpreter lock. All that is computed goes straight to the
cache on disk: features, thumbnails, and summaries of layers where they are wanted. At the end
features are read from there, into memory or, where they are many, into a file (rows.py).
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from models.errors import ImageError
from models.images import Framing, Limits, decode_photo
from models.runtime import Graph
from training.features.cache import FeatureCache
from training.features.rows import Rows
from training.features.summaries import LayerSummaries
from training.features.thumbnails import Appearance, measure_appearance
from training.photos.listing import Photo, Skipped, unreadable
from training.places.address import Url
from training.places.reading import read_photo

COMMIT_EVERY = 64  # photos: as many are lost when the process is killed
Item = TypeVar("Item")
Result = TypeVar("Result")
WAITING = 4  # threads for each core where photos come from a store: 30 ms a photo, 10 to compute
WINDOW = 32  # photos in flight for each thread, so that it works on while features are written


@dataclass
class Features:
    """Pooled features of every readable photo."""

    photos: list[Photo]
    vectors: np.ndarray | Rows  # (N, F) float32, or of another output of the graph
    digests: list[bytes]  # SHA-256 of each file
    skipped: list[Skipped]
    computed: int  # photos that were not in the cache


class _Result(NamedTuple):
    """One photo with its digest and stamp, and what was computed, or why nothing can be."""

    photo: Photo
    stamp: tuple[int, int]  # size in bytes, time of change in ns
    digest: bytes = b""  # empty: it cannot be read
    vector: np.ndarray | None = None  # None: it is in the cache
    record: bytes = b""  # summaries of the watched layers
    appearance: Appearance | None = None
    thumbnail: bytes = b""
    unusable: Skipped | None = None
    computed: bool = False


@dataclass(frozen=True)
class _Reader:
    """Reads one photo: its bytes, and its features if they are not known."""

    graph: Graph
    framing: Framing
    limits: Limits
    known: set[bytes]  # digests of photos whose features are in the cache
    watched: LayerSummaries | None
    vector: str

    def read(self, photo: Photo) -> _Result:
        """Read one photo; a photo that cannot be read has a reason instead of features."""
        try:
            status = photo.path.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            data = read_photo(photo.path, self.limits)
            digest = hashlib.sha256(data).digest()
            if digest in self.known:
                return _Result(photo, stamp, digest)
            decoded = decode_photo(data, self.framing, self.limits)
            outputs = [self.vector, *(self.watched.names if self.watched else ())]
            pixels = decoded.pixels[None]
            vector, *maps = (output[0] for output in self.graph.run(pixels, outputs))
            record = self.watched.write(maps) if self.watched else b""
            seen, thumbnail = measure_appearance(decoded)
            return _Result(photo, stamp, digest, vector, record, seen, thumbnail, computed=True)
        except (ImageError, OSError) as error:
            return _Result(photo, (0, 0), unusable=unreadable(photo.path, error))


def compute_features(
    photos: list[Photo],
    graph: Graph,
    cache: FeatureCache,
    workers: int,
    progress: Callable[[int], None] = lambda done: None,
    watched: LayerSummaries | None = None,
    vector: str = "features",
) -> Features:
    """Compute features for every readable photo; those in the cache are read from there.

    Args:
        graph: a backbone with the output `vector`, and one for each layer of `watched`.
        cache: for this backbone and output; its framing and limits are those of the photos.
        workers: threads; the graph itself should use one core.
        progress: called with the number of photos just finished.
        watched: layers whose summaries of each photo the cache must have.
        vector: the output that is kept of each photo.

    Raises:
        StorageError: the cache cannot be written.
    """
    known_files, known = cache.known_files(), cache.digests()
    if watched:
        known &= cache.digests_with(watched)
    reader = _Reader(graph, cache.framing, cache.limits, known, watched, vector)
    found: list[_Result] = []
    unread: list[Photo] = []
    for photo in photos:
        unchanged = _unchanged(photo.path, known_files, known)
        if unchanged:
            found.append(_Result(photo, (0, 0), unchanged))
        else:
            unread.append(photo)
    progress(len(found))
    pending: list[_Result] = []
    try:
        for result in in_order(reader.read, unread, workers * _waiting(unread)):
            found.append(
                _Result(
                    photo=result.photo,
                    stamp=result.stamp,
                    digest=result.digest,
                    unusable=result.unusable,
                    computed=result.computed,
                )
            )
            pending.append(result)
            if len(pending) >= COMMIT_EVERY:
                _keep(cache, pending, watched)
                pending = []
            progress(1)
    finally:  # also after Ctrl-C: what was computed is kept
        _keep(cache, pending, watched)
    return _join_results(photos, found, cache)


def _waiting(photos: Sequence[Photo]) -> int:
    """How many threads a core needs: most wait where photos come from a store."""
    return WAITING if photos and isinstance(photos[0].path, Url) else 1


def place_of(path: Path) -> bytes:
    """Return a photo's absolute path as bytes, the same whatever link led to its folder."""
    return os.fsencode(str(_resolved(path.parent.absolute()) / path.name))


@lru_cache(maxsize=1024)
def _resolved(folder: Path) -> Path:
    return folder.resolve()


def _unchanged(
    path: Path, files: dict[bytes, tuple[int, int, bytes]], known: set[bytes]
) -> bytes | None:
    """Return the digest of a file, if it has not changed since it was last read."""
    entry = files.get(place_of(path))
    if entry is None or entry[2] not in known:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return entry[2] if (status.st_size, status.st_mtime_ns) == entry[:2] else None


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Yield the results of `work` in the order of `items`, with a bounded number in flight."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="features")
    flying: deque[Future[Result]] = deque()
    try:
        for item in items:
            flying.append(pool.submit(work, item))
            if len(flying) >= workers * WINDOW:
                yield flying.popleft().result()
        while flying:
            yield flying.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _keep(cache: FeatureCache, results: list[_Result], watched: LayerSummaries | None) -> None:
    done = [result for result in results if result.digest]
    cache.add(
        [(result.digest, result.vector) for result in done if result.vector is not None],
        [(place_of(result.photo.path), *result.stamp, result.digest) for result in done],
        [(watched.key, result.digest, result.record) for result in done if result.record]
        if watched
        else [],
        [
            (result.digest, result.appearance, result.thumbnail)
            for result in done
            if result.appearance
        ],
    )


def _join_results(photos: list[Photo], results: list[_Result], cache: FeatureCache) -> Features:
    """Join results in the order of `photos`; those without features are skipped."""
    by_photo = {id(result.photo): result for result in results}  # one file may be listed twice
    ordered = [by_photo[id(photo)] for photo in photos]
    good = [result for result in ordered if result.digest]
    digests = [result.digest for result in good]
    return Features(
        [result.photo for result in good],
        cache.vectors(digests),
        digests,
        [result.unusable for result in ordered if result.unusable],
        sum(result.computed for result in results),
    )

"""Each photo once through the compiled backbone: its pooled features, and what its layers did.

This is what makes training cheap. The backbone stays as it is, so what it says of a photo
never changes: it is computed once, by ONNX Runtime, and kept. Threads decode and run the
network on one core each; both release the interpreter lock. Decoded photos are never held:
memory grows with the features alone, 5 kB a photo. A thumbnail of each, and summaries of layers
where they are wanted, go to the cache on disk and nowhere else.
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
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
from training.features.summaries import Record
from training.features.thumbnails import Look, look_at
from training.photos.find import Photo, Skipped

COMMIT_EVERY = 64  # photos: what a kill may cost
Item = TypeVar("Item")
Result = TypeVar("Result")
WINDOW = 32  # photos in flight for each thread: it works on while features are written


@dataclass
class Features:
    """Pooled features of the photos that could be read."""

    photos: list[Photo]
    vectors: np.ndarray  # (N, F) float32
    digests: list[bytes]  # SHA-256 of each file
    skipped: list[Skipped]
    computed: int  # photos that were not in the cache


class _Result(NamedTuple):
    """One photo, read: its digest and stamp, and its features or why there are none."""

    photo: Photo
    stamp: tuple[int, int]  # size in bytes, time of change in ns
    digest: bytes = b""
    vector: np.ndarray | None = None
    record: bytes = b""  # of the layers that are watched
    look: Look | None = None
    thumbnail: bytes = b""
    reason: str = ""
    computed: bool = False


def compute_features(
    photos: list[Photo],
    graph: Graph,
    framing: Framing,
    limits: Limits,
    cache: FeatureCache,
    workers: int,
    progress: Callable[[int], None] = lambda done: None,
    watched: Record | None = None,
) -> Features:
    """The features of every photo, from the cache where it has them.

    Args:
        graph: a backbone with an output `features`, and one for each layer of `watched`.
        workers: threads; the graph should use one core itself.
        progress: called with the number of photos just finished.
        watched: layers of which the cache is to hold a summary of each photo.

    Raises:
        StorageError: the cache cannot be written.
    """
    known_files, vectors = cache.known_files(), cache.vectors()
    outputs = ["features"]
    if watched:
        outputs += watched.names
        whole = cache.summarised(watched)
        vectors = {digest: vector for digest, vector in vectors.items() if digest in whole}

    def read(photo: Photo) -> _Result:
        try:
            status = photo.path.stat()
            stamp = (status.st_size, status.st_mtime_ns)
            if stamp[0] > limits.size_bytes:
                reason = f"{stamp[0]:,} bytes; the limit is {limits.size_bytes:,}"
                return _Result(photo, stamp, reason=reason)
            data = photo.path.read_bytes()
            digest = hashlib.sha256(data).digest()
            if digest in vectors:
                return _Result(photo, stamp, digest, vectors[digest])
            decoded = decode_photo(data, framing, limits)
            vector, *maps = (output[0] for output in graph.run(decoded.pixels[None], outputs))
            record = watched.write(maps) if watched else b""
            look, thumbnail = look_at(decoded)
            return _Result(photo, stamp, digest, vector, record, look, thumbnail, computed=True)
        except ImageError as error:
            return _Result(photo, (0, 0), reason=str(error))
        except OSError as error:
            return _Result(photo, (0, 0), reason=error.strerror or str(error))

    found: list[_Result] = []
    unread: list[Photo] = []
    for photo in photos:
        remembered = _remembered(photo.path, known_files, vectors)
        if remembered:
            found.append(_Result(photo, (0, 0), remembered, vectors[remembered]))
        else:
            unread.append(photo)
    progress(len(found))
    pending: list[_Result] = []
    try:
        for result in in_order(read, unread, workers):
            found.append(result._replace(record=b"", thumbnail=b""))
            pending.append(result)
            if len(pending) >= COMMIT_EVERY:
                _keep(cache, pending, watched)
                pending = []
            progress(1)
    finally:  # also after Ctrl-C: what was computed is kept
        _keep(cache, pending, watched)
    return _gather(photos, found)


def place_of(path: Path) -> bytes:
    """A photo's place, however its folder was named."""
    return os.fsencode(_resolved(path.parent.absolute()) / path.name)


@lru_cache(maxsize=1024)
def _resolved(folder: Path) -> Path:
    return folder.resolve()


def _remembered(
    path: Path, known: dict[bytes, tuple[int, int, bytes]], vectors: dict[bytes, np.ndarray]
) -> bytes | None:
    """The digest of a file that has not changed since it was last seen."""
    entry = known.get(place_of(path))
    if entry is None or entry[2] not in vectors:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return entry[2] if (status.st_size, status.st_mtime_ns) == entry[:2] else None


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Results in order, with a bounded number of items in flight."""
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


def _keep(cache: FeatureCache, results: list[_Result], watched: Record | None) -> None:
    done = [result for result in results if result.vector is not None]
    cache.add(
        [(result.digest, result.vector) for result in done if result.vector is not None],
        [(place_of(result.photo.path), *result.stamp, result.digest) for result in done],
        [(watched.key, result.digest, result.record) for result in done if result.record]
        if watched
        else [],
        [(result.digest, result.look, result.thumbnail) for result in done if result.look],
    )


def _gather(photos: list[Photo], results: list[_Result]) -> Features:
    """Results in the order of `photos`, the unusable ones set apart."""
    by_photo = {id(result.photo): result for result in results}  # one file may be listed twice
    ordered = [by_photo[id(photo)] for photo in photos]
    good = [result for result in ordered if result.vector is not None]
    vectors = [result.vector for result in good if result.vector is not None]
    skipped = [Skipped(r.photo.path, r.reason) for r in ordered if r.vector is None]
    return Features(
        [result.photo for result in good],
        np.stack(vectors) if vectors else np.zeros((0, 0), np.float32),
        [result.digest for result in good],
        skipped,
        sum(result.computed for result in results),
    )

"""Compute the pooled features of each photo once, with the compiled backbone.

This is what makes training cheap. The backbone is frozen, so the features of a photo never
change: ONNX Runtime computes them once, and they are kept. Each thread, here or on a cluster,
decodes and runs the network on one core; both release the interpreter lock. All that is computed
goes straight to the cache on disk: features, thumbnails, and summaries of layers where they are
wanted. At the end features are read from there, into memory or, where they are many, into a file
(rows.py).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

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
from training.scale.engine import Row, Work, Workers, in_order
from training.scale.photo_rows import (
    key_of,
    place_of,
    read_skipped,
    skipped_row,
    stamp_of,
    was_unread,
)

COMMIT_EVERY = 64  # photos: as many are lost when the process is killed
COMMIT_SHARDS = 256  # photos that come from a cluster, a shard at once: fewer writes of an index
WAITING = 4  # threads for each core where photos come from a store: 30 ms a photo, 10 to compute


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
class _Reader(Work[Photo, _Result]):
    """Reads one photo: its bytes, and its features if they are not known."""

    graph: Graph
    framing: Framing
    limits: Limits
    known: set[bytes]  # digests of photos whose features are in the cache
    watched: LayerSummaries | None
    vector: str
    cache: str  # its name
    kept_elsewhere = True

    def __call__(self, photo: Photo) -> _Result:
        """Read one photo; a photo that cannot be read has a reason instead of features."""
        try:
            stamp = stamp_of(photo.path)
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

    @property
    def identity(self) -> str:
        """The cache is named after all but the output and the layers."""
        return f"{self.cache} {self.vector} {self.watched.key if self.watched else ''}"

    @property
    def result_bytes(self) -> int:  # type: ignore[override]
        """Features and a thumbnail take 10 kB; summaries of all blocks five times as much."""
        return 10_000 + (self.watched.size if self.watched else 0)

    def key(self, photo: Photo) -> bytes:
        """Return place, size and time of change."""
        return key_of(photo.path)

    def row(self, result: _Result) -> Row:
        """Write all but the photo itself."""
        seen = result.appearance
        return {
            "size": result.stamp[0],
            "changed_ns": result.stamp[1],
            "digest": result.digest,
            "vector": None if result.vector is None else result.vector.tobytes(),
            "record": result.record,
            "thumbnail": result.thumbnail,
            **(seen._asdict() if seen else dict.fromkeys(Appearance._fields)),
            **skipped_row(result.unusable),
        }

    def result(self, photo: Photo, row: Row, fresh: bool) -> _Result:
        """Read a row; what an earlier run computed does not count as computed."""
        stamp = (row["size"], row["changed_ns"])
        if unusable := read_skipped(photo.path, row):
            return _Result(photo, stamp, unusable=unusable)
        vector = np.frombuffer(row["vector"], np.float32)
        seen = Appearance(*(row[name] for name in Appearance._fields))
        content = (row["digest"], vector, row["record"], seen, row["thumbnail"])
        return _Result(photo, stamp, *content, computed=fresh)

    def unread(self, result: _Result) -> bool:
        """Return whether the system could not read the file."""
        return was_unread(result.unusable)

    def portable(self) -> "_Reader":
        """Return it without the features that are known: they may be gigabytes."""
        return replace(self, known=set())


def compute_features(
    photos: list[Photo],
    graph: Graph,
    cache: FeatureCache,
    workers: Workers,
    progress: Callable[[int], None] = lambda done: None,
    watched: LayerSummaries | None = None,
    vector: str = "features",
) -> Features:
    """Compute features for every readable photo; those in the cache are read from there.

    Args:
        graph: a backbone with the output `vector`, and one for each layer of `watched`.
        cache: for this backbone and output; its framing and limits are those of the photos.
        workers: threads, or a cluster, which needs a `PortableGraph`; the graph itself should use
            one core.
        progress: called with the number of photos just finished.
        watched: layers whose summaries of each photo the cache must have.
        vector: the output that is kept of each photo.

    Raises:
        StorageError: the cache cannot be written.
        ClusterError: the cluster cannot do it.
    """
    known_files, known = cache.known_files(), cache.digests()
    if watched:
        known &= cache.digests_with(watched)
    given = (cache.framing, cache.limits)
    reader = _Reader(graph, *given, known, watched, vector, cache.path.stem)
    found: list[_Result] = []
    unread: dict[int, Photo] = {}
    for number, photo in enumerate(photos):
        unchanged = _unchanged(photo.path, known_files, known)
        if unchanged:
            found.append(_Result(photo, (0, 0), unchanged))
        else:
            unread[number] = photo
    progress(len(found))
    pending: list[_Result] = []
    try:
        commit_every = COMMIT_SHARDS
        if isinstance(workers, int):
            commit_every, workers = COMMIT_EVERY, workers * _waiting(photos)
        for result in in_order(reader, unread, workers):
            found.append(result._replace(vector=None, record=b"", appearance=None, thumbnail=b""))
            pending.append(result)
            if len(pending) >= commit_every:
                _keep(cache, pending, watched)
                pending = []
            progress(1)
    finally:  # also after Ctrl-C: what was computed is kept
        _keep(cache, pending, watched)
    return _join_results(photos, found, cache)


def _waiting(photos: Sequence[Photo]) -> int:
    """How many threads a core needs: most wait where photos come from a store."""
    return WAITING if photos and isinstance(photos[0].path, Url) else 1


def _unchanged(
    path: Path, files: dict[bytes, tuple[int, int, bytes]], known: set[bytes]
) -> bytes | None:
    """Return the digest of a file, if it has not changed since it was last read."""
    entry = files.get(place_of(path))
    if entry is None or entry[2] not in known:
        return None
    try:
        return entry[2] if stamp_of(path) == entry[:2] else None
    except OSError:
        return None


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

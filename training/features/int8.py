"""The backbone in INT8, and what it answers for the validation photos: computed once, then kept.

Both depend on the backbone and on photos, not on the head: a second head costs neither again.
"""

import hashlib
import os
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models import building
from models.building.attach import keep_outputs
from models.bundle import writing
from models.errors import ImageError
from models.images import decode_image
from models.onnx_weights import check_graph
from models.runtime import Graph
from training.features.backbone import Compiled
from training.features.compute import Features
from training.photos.listing import Photo
from training.places.reading import read_photo
from training.settings.config import FitConfig
from training.settings.recipe import hash_of, name_of

STAYING = 3  # files of the last runs


@dataclass(frozen=True)
class Int8Answers:
    """A backbone in INT8, and its answers."""

    graph: bytes  # photos -> `features`, perhaps `pooled`
    calibrated_on: int  # photos that set its scales
    rows: list[int]  # validation photos that it answered
    vectors: np.ndarray  # (N, D) float32 of these; their last F numbers are the features


def int8_answers(
    compiled: Compiled,
    features: Features,
    chosen: Sequence[int],
    rows: Sequence[int],
    config: FitConfig,
) -> Int8Answers:
    """Quantise a backbone and have it answer photos, or read what an equal run kept.

    Args:
        chosen: places of the photos that set its scales; rows: of those that it answers.

    Raises:
        StorageError: it cannot be kept.
        Exception: whatever ONNX Runtime's tools raise; a ValueError where no photo can be read.
    """
    photos = [[features.digests[row] for row in places] for places in (chosen, rows)]
    code = (Path(building.__path__[0]) / "quantise.py").read_bytes()
    network = (hash_of(compiled.graph), compiled.vector, compiled.views)
    parts = (network, config.framing, hash_of(code), photos)
    file = config.cache / f"int8-{name_of(parts)}.npz"
    found = _read(file)
    if found is None:
        found = _compute(compiled, features.photos, chosen, rows, config)
        _keep(file, found)
    return found


def _compute(
    compiled: Compiled,
    photos: Sequence[Photo],
    chosen: Sequence[int],
    rows: Sequence[int],
    config: FitConfig,
) -> Int8Answers:
    def decode(row: int) -> np.ndarray | None:
        """(S, S, 3) uint8 pixels; None: it cannot be read any more."""
        try:
            return decode_image(
                read_photo(photos[row].path, config.limits), config.framing, config.limits
            )
        except (ImageError, OSError):
            return None

    with ThreadPoolExecutor(config.workers) as pool:
        pixels = [one for one in pool.map(decode, chosen) if one is not None]
        if not pixels:
            raise ValueError("no training photo can be read any more")
        graph = _quantise(compiled, np.stack(pixels), config.workers)
        running = Graph(graph)

        def answer(row: int) -> np.ndarray | None:
            seen = decode(row)
            return None if seen is None else running.run(seen[None], [compiled.vector])[0][0]

        answers = dict(zip(rows, pool.map(answer, rows), strict=True))
    known = {row: vector for row, vector in answers.items() if vector is not None}
    vectors = np.stack(list(known.values())) if known else np.zeros((0, 0), np.float32)
    return Int8Answers(graph, len(pixels), list(known), vectors)


def _quantise(compiled: Compiled, photos: np.ndarray, workers: int) -> bytes:
    """Write the backbone in INT8. Raises ValueError, and what ONNX Runtime's tools raise."""
    from models.building.quantise import quantise  # takes a second to import

    one_view = keep_outputs(compiled.graph, compiled.vectors)
    graph = compiled.serving(quantise(one_view, photos, workers))
    check_graph(graph)
    return graph


def _read(file: Path) -> Int8Answers | None:
    """What was kept; None where it is missing or not whole."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as kept:
            graph = kept["graph"].tobytes()
            if hashlib.sha256(graph).hexdigest() != str(kept["sha256"]):
                return None
            rows = [int(row) for row in kept["rows"]]
            found = Int8Answers(graph, int(kept["calibrated_on"]), rows, kept["vectors"])
        os.utime(file)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return found


def _keep(file: Path, found: Int8Answers) -> None:
    """Write it aside, rename it, and let go of the oldest. Raises StorageError."""
    aside = file.with_name(f".{file.stem}.{os.getpid()}.npz")
    with writing(file):
        try:
            np.savez(
                aside,
                graph=np.frombuffer(found.graph, np.uint8),
                sha256=hashlib.sha256(found.graph).hexdigest(),
                rows=np.array(found.rows, np.int64),
                vectors=found.vectors,
                calibrated_on=found.calibrated_on,
            )
            aside.replace(file)
        finally:
            aside.unlink(missing_ok=True)
    with suppress(OSError):  # another run lets go of the same ones
        kept = sorted(file.parent.glob("int8-*.npz"), key=lambda one: one.stat().st_mtime)
        for one in kept[:-STAYING]:
            one.unlink(missing_ok=True)

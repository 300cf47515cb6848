"""What one core does a second, on real photos: read, decode, network, and writing features down."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from models.images import decode_image
from models.runtime import Graph
from training.features.backbone import compile_backbone
from training.features.compute import compute_features
from training.photos.find import find_photos
from training.prepare import open_cache
from training.settings.config import FitConfig
from training.settings.console import Stages

PHOTOS = 512


def measure_rates(source: Path) -> str:
    """Measure the milliseconds of a core that one photo takes, for `RATES` of arithmetic.py."""
    photos = find_photos(source).photos
    photos = photos[:: max(1, len(photos) // PHOTOS)][:PHOTOS]
    config = FitConfig()
    compiled = compile_backbone(config, Stages(quiet=True))
    graph = Graph(compiled.graph_with(["features"]), 1)
    files = [photo.path.read_bytes() for photo in photos]
    pixels = [decode_image(content, config.framing) for content in files]
    found = {
        "read": _core_ms(lambda i: hashlib.sha256(photos[i].path.read_bytes()).digest(), photos),
        "decode": _core_ms(lambda i: decode_image(files[i], config.framing), photos),
        "network": _core_ms(lambda i: graph.run(pixels[i][None], ["features"]), photos),
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(open_cache(compiled, config, Path(folder))) as cache,
    ):
        before = time.process_time()
        compute_features(photos, graph, cache, 1)
        whole = 1000 * (time.process_time() - before) / len(photos)
        found["rest"] = max(0.0, whole - sum(found.values()))
    found["bytes"] = float(np.mean([len(content) for content in files]))
    return "\n".join(f"{name}: {value:,.2f}" for name, value in found.items())


def _core_ms(work: Callable[[int], object], photos: Sequence[object]) -> float:
    before = time.process_time()
    for number in range(len(photos)):
        work(number)
    return 1000 * (time.process_time() - before) / len(photos)

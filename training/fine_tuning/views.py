"""What fine-tuning sees of a photo: its plain crop, and some random ones, cut half-way.

View 0 is the photo as serving sees it. The others are random-resized crops, half of them
mirrored (Szegedy et al. 2015, arXiv:1409.4842, section 6), drawn from the seed and the
photo's content. Each view goes once through the frozen lower part of the backbone, and its
feature maps at the cut are kept: epochs then start there.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from models.errors import ImageError
from models.images import RESAMPLING, Framing, Limits, decode_image, decode_whole
from models.runtime import Graph
from training.features.compute import in_order
from training.fine_tuning.map_store import Key, MapStore
from training.photos.find import Photo

CANVAS = 2.0  # the whole photo's longest side, in sides of the network's input
RATIOS = (3 / 4, 4 / 3)  # width to height of a crop
TRIES = 10
KEEP_EVERY = 64  # maps: what a kill may cost


@dataclass(frozen=True)
class Augmentation:
    """How random views are drawn."""

    smallest_area: float  # of the photo, that a crop keeps; 0 to 1
    seed: int


def draw_view(
    whole: Image.Image, size: int, smallest_area: float, rng: np.random.Generator
) -> np.ndarray:
    """A random-resized crop of the whole photo, perhaps mirrored.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    width, height = whole.size
    for _ in range(TRIES):
        area = width * height * rng.uniform(smallest_area, 1)
        ratio = math.exp(rng.uniform(math.log(RATIOS[0]), math.log(RATIOS[1])))
        w, h = math.sqrt(area * ratio), math.sqrt(area / ratio)
        if w <= width and h <= height:
            left, top = rng.uniform(0, width - w), rng.uniform(0, height - h)
            break
    else:  # a photo so long and narrow that no such crop fits
        w = h = min(width, height)
        left, top = (width - w) / 2, (height - h) / 2
    view = whole.resize((size, size), RESAMPLING, box=(left, top, left + w, top + h))
    pixels = np.asarray(view, np.uint8)
    return pixels[:, ::-1] if rng.random() < 0.5 else pixels


def compute_views(
    photos: Sequence[Photo],
    digests: Sequence[bytes],
    numbers: Sequence[range],
    lower: Graph,
    store: MapStore,
    framing: Framing,
    limits: Limits,
    augmentation: Augmentation,
    workers: int,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Fill `store` with the views `numbers` of each photo, those that it does not have.

    Args:
        lower: photos -> an output `cut`.
        progress: called with the number of views just finished.

    Raises:
        StorageError: the store cannot be written; what was computed so far is kept.
    """

    def work(job: tuple[Photo, bytes, list[int]]) -> list[tuple[Key, np.ndarray]]:
        photo, digest, wanted = job
        try:
            data = photo.path.read_bytes()
            pixels = list(_views(data, digest, wanted, framing, limits, augmentation))
        except (ImageError, OSError):  # it could be read a minute ago: leave its views out
            return []
        return [
            ((digest, number), lower.run(view[None], ["cut"])[0][0].transpose(1, 2, 0))
            for number, view in zip(wanted, pixels, strict=True)
        ]

    jobs, seen = [], set()
    for photo, digest, span in zip(photos, digests, numbers, strict=True):
        wanted = [key[1] for key in store.missing([(digest, number) for number in span])]
        progress(len(span) - len(wanted))
        if wanted and digest not in seen:
            seen.add(digest)
            jobs.append((photo, digest, wanted))
    pending: list[tuple[Key, np.ndarray]] = []
    try:
        for entries in in_order(work, jobs, workers):
            pending += entries
            progress(len(entries))
            if len(pending) >= KEEP_EVERY:
                store.add(pending)
                pending = []
    finally:  # also after Ctrl-C
        if pending:
            store.add(pending)


def _views(
    data: bytes,
    digest: bytes,
    numbers: Sequence[int],
    framing: Framing,
    limits: Limits,
    how: Augmentation,
) -> Iterator[np.ndarray]:
    """The views of one photo, decoded once for all the random ones."""
    whole = None
    if any(numbers):
        whole = decode_whole(data, round(CANVAS * framing.size), limits, framing.levels)
    for number in numbers:
        if whole is None or number == 0:
            yield decode_image(data, framing, limits)
        else:
            rng = np.random.default_rng([how.seed, number, *digest[:8]])
            yield draw_view(whole, framing.size, how.smallest_area, rng)

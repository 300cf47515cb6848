"""The views of a photo that fine-tuning trains on: its plain crop, and some random ones.

View 0 is the photo as serving sees it. The others are random-resized crops, half of them
mirrored (Szegedy et al. 2015, arXiv:1409.4842, section 6), drawn from the seed and the
photo's content. Each view goes once through the frozen lower part of the backbone, and its
feature maps at the cut are kept: epochs then start there.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from models.errors import ImageError
from models.images import RESAMPLING, Framing, Limits, decode_image, decode_whole
from models.runtime import Graph
from training.fine_tuning.map_store import Key, MapStore
from training.photos.listing import Photo
from training.places.reading import read_photo
from training.scale.engine import Row, Work, Workers, in_order

CANVAS = 2.0  # the whole photo's longest side, in sides of the network's input
RATIOS = (3 / 4, 4 / 3)  # width to height of a crop
TRIES = 10
KEEP_EVERY = 64  # maps: what a kill may cost


@dataclass(frozen=True)
class ViewRecipe:
    """All that the views of a photo depend on."""

    framing: Framing
    limits: Limits
    smallest_area: float  # of the photo, that a random crop keeps; 0 to 1
    mirror: bool  # half of the random views
    seed: int


class PhotoViews(NamedTuple):
    """A photo, and the numbers of the views that are wanted; 0 is the plain one."""

    photo: Photo
    digest: bytes
    numbers: Sequence[int]


class _Maps(NamedTuple):
    """The feature maps of a photo's views; none, if it can no longer be read."""

    entries: list[tuple[Key, np.ndarray]]  # (h, w, C)
    unread: bool = False  # whether the system could not read the file


@dataclass(frozen=True)
class _Viewer(Work[PhotoViews, _Maps]):
    """Draws the views of a photo, and computes their feature maps at the cut."""

    recipe: ViewRecipe
    lower: Graph
    store: str  # its name
    shape: tuple[int, int, int]  # of a map
    views: int  # of one photo, at most
    kept_elsewhere = True

    def __call__(self, wanted: PhotoViews) -> _Maps:
        """Compute the maps; a photo that can no longer be read has none."""
        try:
            pixels = list(_draw_views(wanted, self.recipe))
        except (ImageError, OSError) as error:  # it could be read a minute ago
            return _Maps([], isinstance(error, OSError))
        return _Maps([
            ((wanted.digest, number), self.lower.run(view[None], ["cut"])[0][0].transpose(1, 2, 0))
            for number, view in zip(wanted.numbers, pixels, strict=True)
        ])  # fmt: skip

    @property
    def identity(self) -> str:
        """The store is named after all that maps depend on."""
        return self.store

    @property
    def result_bytes(self) -> int:  # type: ignore[override]
        """All maps of a photo, in float16."""
        return 2 * math.prod(self.shape) * self.views

    def key(self, wanted: PhotoViews) -> bytes:
        """Return content and numbers: the file's name and time do not matter."""
        return wanted.digest + repr(list(wanted.numbers)).encode()

    def row(self, result: _Maps) -> Row:
        """Write the maps as the store keeps them, in float16."""
        maps = [np.ascontiguousarray(each, np.float16).tobytes() for _, each in result.entries]
        return {"maps": b"".join(maps), "unread": result.unread}

    def result(self, wanted: PhotoViews, row: Row, fresh: bool) -> _Maps:
        """Read the maps."""
        maps = np.frombuffer(row["maps"], np.float16).reshape(-1, *self.shape)
        keys = [(wanted.digest, number) for number in wanted.numbers]
        return _Maps(list(zip(keys, maps, strict=len(maps) > 0)), row["unread"])

    def unread(self, result: _Maps) -> bool:
        """Return whether the system could not read the file."""
        return result.unread


def draw_view(
    whole: Image.Image, size: int, recipe: ViewRecipe, rng: np.random.Generator
) -> np.ndarray:
    """Draw a random-resized crop of the whole photo, mirrored or not.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    width, height = whole.size
    for _ in range(TRIES):
        area = width * height * rng.uniform(recipe.smallest_area, 1)
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
    return pixels[:, ::-1] if recipe.mirror and rng.random() < 0.5 else pixels


def compute_views(
    views: Sequence[PhotoViews],
    recipe: ViewRecipe,
    lower: Graph,
    store: MapStore,
    workers: Workers,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Compute the feature maps of views that `store` does not have, and keep them there.

    A photo that can no longer be read has no views.

    Args:
        lower: photos -> an output `cut`.
        workers: threads, or a cluster, which needs a `PortableGraph`.
        progress: called with the number of views just finished.

    Raises:
        StorageError: the store cannot be written; what was computed so far is kept.
        ClusterError: the cluster cannot do it; likewise.
    """
    most = max((len(wanted.numbers) for wanted in views), default=1)
    viewer = _Viewer(recipe, lower, store.path.stem, store.shape, most)
    jobs: dict[int, PhotoViews] = {}
    seen: set[bytes] = set()
    for place, (photo, digest, numbers) in enumerate(views):
        missing = [number for _, number in store.missing([(digest, n) for n in numbers])]
        progress(len(numbers) - len(missing))
        if missing and digest not in seen:
            jobs[place] = PhotoViews(photo, digest, missing)
            seen.add(digest)
    pending: list[tuple[Key, np.ndarray]] = []
    try:
        for entries, _ in in_order(viewer, jobs, workers):
            pending += entries
            progress(len(entries))
            if len(pending) >= KEEP_EVERY:
                store.add(pending)
                pending = []
    finally:  # also after Ctrl-C
        if pending:
            store.add(pending)


def _draw_views(wanted: PhotoViews, recipe: ViewRecipe) -> Iterator[np.ndarray]:
    """Draw the views of one photo, decoded once for all the random ones."""
    framing, limits = recipe.framing, recipe.limits
    data = read_photo(wanted.photo.path, limits)
    any_random = any(wanted.numbers)
    whole = None
    if any_random:
        whole = decode_whole(data, round(CANVAS * framing.size), limits, framing.levels)
    for number in wanted.numbers:
        if whole is None or number == 0:
            yield decode_image(data, framing, limits)
        else:
            rng = np.random.default_rng([recipe.seed, number, *wanted.digest[:8]])
            yield draw_view(whole, framing.size, recipe, rng)

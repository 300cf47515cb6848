"""Choose and shrink the test photos behind the confusion matrix: a few for each cell.

The page has a bounded size, so every cell gets its first photo before any gets a second, and
mistakes come before right answers.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from models.errors import ImageError
from models.images import Limits, shrink_image
from training.photos.listing import Photo
from training.places.reading import read_photo
from training.settings.printable import printable

PER_CELL = 12
RIGHT_PER_CELL = 4  # on the diagonal, where the class was recognised
MOST = 300  # photos in all: half a second to shrink
LIMIT_BYTES = 1_500_000  # of all photos; a third more once they are text in the page
THUMBNAIL_PX = 112  # longest side

Pair = tuple[str, str]  # truth, predicted


@dataclass(frozen=True)
class Thumbnail:
    """A shrunk test photo."""

    name: str
    probability: float  # of the predicted class
    picture: bytes  # JPEG


@dataclass(frozen=True)
class ClassifiedPhotos:
    """The test photos, and what the network predicts for them."""

    photos: Sequence[Photo]
    truth: np.ndarray  # (N,) int, index of the class
    probabilities: np.ndarray  # (N, K)
    class_names: Sequence[str]


@dataclass
class Gallery:
    """Photos of each cell, the most confident first; `left_out` counts those without a place."""

    cells: dict[Pair, list[Thumbnail]] = field(default_factory=dict)
    left_out: dict[Pair, int] = field(default_factory=dict)

    @property
    def shown(self) -> int:
        """Photos in all cells."""
        return sum(len(cell) for cell in self.cells.values())


def build_gallery(tested: ClassifiedPhotos, limits: Limits, workers: int = 1) -> Gallery:
    """Shrink test photos for each cell of the confusion matrix."""
    sure = tested.probabilities.max(axis=1)
    names = tested.class_names
    members: dict[Pair, list[int]] = {}
    for row in np.argsort(-sure, kind="stable").tolist():
        pair = names[tested.truth[row]], names[tested.probabilities[row].argmax()]
        members.setdefault(pair, []).append(row)
    queue = []  # (place within the cell, right answers last, cell, row)
    for place, pair in enumerate(members):
        right = pair[0] == pair[1]
        chosen = members[pair][: RIGHT_PER_CELL if right else PER_CELL]
        queue += [(turn, right, place, pair, row) for turn, row in enumerate(chosen)]
    queue = sorted(queue)[:MOST]

    def shrink(row: int) -> bytes | None:
        with suppress(ImageError, OSError):  # it was moved or changed since
            return shrink_image(read_photo(tested.photos[row].path, limits), THUMBNAIL_PX, limits)
        return None

    with ThreadPoolExecutor(workers) as pool:
        pictures = list(pool.map(shrink, [row for *_, row in queue]))
    gallery, size = Gallery(), 0
    for (*_, pair, row), picture in zip(queue, pictures, strict=True):
        size += len(picture or b"")
        if picture is not None and size <= LIMIT_BYTES:
            thumbnail = Thumbnail(
                printable(tested.photos[row].path.name), float(sure[row]), picture
            )
            gallery.cells.setdefault(pair, []).append(thumbnail)
    for pair, rows in members.items():
        gallery.left_out[pair] = len(rows) - len(gallery.cells.get(pair, []))
    return gallery

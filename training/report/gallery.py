"""The test photos behind the confusion matrix: a few for each cell, shrunk, bounded in all.

Every cell gets its first photo before any gets a second, mistakes before right answers: what
a page of bounded size can show of many photos.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from models.errors import ImageError
from models.images import Limits, shrink_image
from training.photos.find import Photo

PER_CELL = 12
RIGHT_PER_CELL = 4  # on the diagonal: what the class looks like when it is known
MOST = 300  # photos in all: half a second to shrink, and within
LIMIT_BYTES = 1_500_000  # this, a third more once it is text
THUMBNAIL_PX = 112  # longest side

Cell = tuple[str, str]  # truth, predicted


@dataclass(frozen=True)
class Thumbnail:
    """A test photo, small."""

    name: str
    probability: float  # of what it was taken for
    picture: bytes  # JPEG


@dataclass
class Gallery:
    """Photos by cell, the most confident first; `left_out` counts those without a place."""

    cells: dict[Cell, list[Thumbnail]] = field(default_factory=dict)
    left_out: dict[Cell, int] = field(default_factory=dict)

    @property
    def shown(self) -> int:
        """Photos in all cells."""
        return sum(len(cell) for cell in self.cells.values())


def gather(
    photos: Sequence[Photo],
    truth: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    limits: Limits,
    workers: int = 1,
) -> Gallery:
    """Thumbnails of the test photos, cell by cell.

    Args:
        truth: (N,) int; probabilities: (N, K), of `photos`.
    """
    predicted, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    members: dict[tuple[int, int], list[int]] = {}
    for row in np.argsort(-sure, kind="stable").tolist():
        members.setdefault((int(truth[row]), int(predicted[row])), []).append(row)
    queue = []  # (place within the cell, right answers last, cell, row)
    for cell, rows in members.items():
        right = cell[0] == cell[1]
        chosen = rows[: RIGHT_PER_CELL if right else PER_CELL]
        queue += [(place, right, cell, row) for place, row in enumerate(chosen)]
    queue = sorted(queue)[:MOST]

    def shrink(row: int) -> bytes | None:
        with suppress(ImageError, OSError):  # it vanished since
            return shrink_image(photos[row].path.read_bytes(), THUMBNAIL_PX, limits)
        return None

    with ThreadPoolExecutor(workers) as pool:
        pictures = list(pool.map(shrink, [row for *_, row in queue]))
    gallery, size = Gallery(), 0
    for (_, _, (true, said), row), picture in zip(queue, pictures, strict=True):
        size += len(picture or b"")
        if picture is not None and size <= LIMIT_BYTES:
            thumbnail = Thumbnail(photos[row].path.name, float(sure[row]), picture)
            gallery.cells.setdefault((class_names[true], class_names[said]), []).append(thumbnail)
    for (true, said), rows in members.items():
        names = (class_names[true], class_names[said])
        gallery.left_out[names] = len(rows) - len(gallery.cells.get(names, []))
    return gallery

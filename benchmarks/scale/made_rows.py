"""Photos that do not exist: features with the structure of real ones, and all that goes with them.

Classes lie around centres of their own; each photo varies in some directions that all share, and
by noise; nothing is below zero, as after a ReLU. One photo in a hundred is a near copy of another,
one in two hundred an exact copy, one in a hundred has a wrong label. All of it is drawn from a
seed, block by block.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from models.bundle import LayerEntry
from training.features.rows import Rows
from training.features.summaries import SUMMARY, LayerSummaries
from training.features.thumbnails import SIDE, Appearance
from training.photos.listing import Photo

WIDTH = 1280  # as EfficientNet-Lite0 has it
CLASSES = 100
SHARED = 64  # directions in which all photos vary
NEAR, EXACT, WRONG = 100, 200, 100  # one photo in so many
BLOCK = 8192


class MadePhotos:
    """So many photos: their rows in a file, and the rest by number."""

    def __init__(self, count: int, folder: Path, dtype: type[np.floating], width: int = WIDTH):
        """Draw everything and write the rows into `folder`."""
        rng = np.random.default_rng(0)
        self.truth = np.sort(rng.integers(CLASSES, size=count))  # folders come class by class
        self.original = np.arange(count)  # whose picture each photo shows
        copies = rng.permutation(count)[: count // NEAR + count // EXACT]
        self.near, exact = np.sort(copies[: count // NEAR]), np.sort(copies[count // NEAR :])
        for copies in (self.near, exact):
            self.original[copies] = np.maximum(copies - rng.integers(1, 50, len(copies)), 0)
        self.original = self.original[self.original]  # a copy of a copy shows the same picture
        self.truth = self.truth[self.original]
        self.wrong = np.flatnonzero(rng.integers(WRONG, size=count) == 0)
        shift = np.zeros(count, int)
        shift[self.wrong] = rng.integers(1, CLASSES, len(self.wrong))
        self.labels = (self.truth + shift) % CLASSES
        content = np.arange(count)
        content[exact] = self.original[exact]
        self.digests = [_digest(number) for number in content.tolist()]
        names = [f"class{number:03}" for number in range(CLASSES)]
        self.photos = [
            Photo(Path(f"/photos/{names[label]}/{number:09}.jpg"), names[label])
            for number, label in enumerate(self.labels.tolist())
        ]
        self.path = folder / f"rows-{count}-{width}-{np.dtype(dtype).name}"
        self._write(rng, dtype, width, set(self.near.tolist()))
        self.rows = Rows(self.path.open("rb"), width, dtype)

    def _write(
        self, rng: np.random.Generator, dtype: type[np.floating], width: int, near: set[int]
    ) -> None:
        """Write the rows; a copy is drawn with its original, whose block is still there."""
        normal = rng.standard_normal
        centres = normal((CLASSES, width), np.float32) * 0.8
        shared = normal((SHARED, width), np.float32) / 10
        before = np.zeros((0, width), np.float32)
        with self.path.open("wb") as file:
            for start in range(0, len(self.labels), BLOCK):
                here = np.arange(start, min(start + BLOCK, len(self.labels)))
                rows = centres[self.truth[here]] + normal((len(here), SHARED), np.float32) @ shared
                rows += normal(rows.shape, np.float32) * 0.8
                np.maximum(rows + 0.2, 0, out=rows)
                known = np.concatenate([before[-128:], rows])
                offset = len(known) - len(rows) - start
                for row in np.flatnonzero(self.original[here] != here):
                    copy = known[self.original[start + row] + offset]
                    apart = 0.1 + 0.3 * rng.random() if start + row in near else 0.0
                    noise = apart * normal(width, np.float32)
                    known[len(known) - len(rows) + row] = np.maximum(copy + noise * (copy > 0), 0)
                before = known
                file.write(known[len(known) - len(rows) :].astype(dtype).data)

    def appearances(self) -> dict[bytes, Appearance]:
        """Return size, type and spread of each photo, as the cache does."""
        return {digest: Appearance(400, 300, "JPEG", 50.0 + i % 9)
                for i, digest in enumerate(self.digests)}  # fmt: skip

    def thumbnails(self, digests: Sequence[bytes]) -> np.ndarray:
        """Draw blots of colour for each original; near copies have the same, a little brighter."""
        pictures = []
        for digest in digests:
            number = int.from_bytes(digest[-8:])
            rng = np.random.default_rng(int(self.original[number]))
            small = Image.fromarray(rng.integers(0, 256, (7, 7, 3), dtype=np.uint8))
            pixels = np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
            pictures.append(np.minimum(pixels, 250) + number % 4)
        return np.stack(pictures).astype(np.uint8)


class MadeSummaries:
    """Summaries of one layer as wide as the features: peaks are these, strength a fraction."""

    def __init__(self, made: MadePhotos):
        """Take the rows of these photos."""
        self._rows = made.rows

    def summaries(
        self, record: LayerSummaries, layer: str, digests: Sequence[bytes], channels: range
    ) -> np.ndarray:
        """Return what `FeatureCache.summaries` would."""
        numbers = np.array([int.from_bytes(digest[-8:]) for digest in digests], int)
        found = np.zeros((len(numbers), len(channels)), SUMMARY)
        for place, block in self._rows.select(numbers).blocks():
            peaks = block[:, channels.start : channels.stop]
            found["peak"][place], found["strength"][place] = peaks, peaks / 4
            found["mean"][place] = found["strength"][place]
        return found


def layer_of(width: int) -> LayerEntry:
    """Describe a last layer of 7 x 7 positions."""
    return LayerEntry(name="last", kind="ReLU", height=7, width=7, channels=width, stride=32,
                      receptive_field=299, trunk=True, block=True)  # fmt: skip


def _digest(number: int) -> bytes:
    """Make 32 bytes whose order says nothing, and whose end is the number."""
    scrambled = (number * 0x9E3779B97F4A7C15) % 2**64
    return scrambled.to_bytes(8) * 3 + number.to_bytes(8)

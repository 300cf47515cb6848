"""Find the photos that excite a channel most, and cut out what the strongest position sees.

Each photo is decoded once, for all channels that chose it; until all tiles are cut, they are
kept in a temporary file, not in memory.
"""

import io
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from models.bundle import LayerEntry
from models.errors import ImageError
from models.images import Framing, Limits, decode_image
from training.features.summaries import SUMMARY
from training.places.reading import read_photo

COUNT = 9  # a channel
COMPETING = 4096  # photos sorted at once: of those after them, few are ahead of the ones kept
TILE = 48  # px
COLUMNS = 3  # tiles in a row of a sprite
_BYTES = TILE * TILE * 3


@dataclass
class Exemplars:
    """The exemplars of every channel of one layer, strongest first."""

    photo: np.ndarray  # (C, 9) int32, index into the photos; -1: none
    value: np.ndarray  # (C, 9) float32, the largest answer
    box: np.ndarray  # (C, 9, 4) uint16 px: left, top, right, bottom of the network's view
    at: np.ndarray  # (C, 9, 2) uint16 px: x, y of the strongest position

    @classmethod
    def join(cls, parts: "Sequence[Exemplars]") -> "Exemplars":
        """Join the exemplars of several ranges of channels, in order."""
        names = ("photo", "value", "box", "at")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class TopPhotos:
    """The photos with the largest peaks of each channel, while blocks of photos come in.

    Each photo at most once; of equal peaks, the strongest.
    """

    def __init__(self, channels: int):
        """Begin without photos."""
        self._rows = np.zeros((0, channels), SUMMARY)  # (up to 9, C), strongest first
        self._photos = np.zeros((0, channels), np.int32)

    def add(
        self, summaries: np.ndarray, photos: np.ndarray, compete: np.ndarray | None = None
    ) -> None:
        """Let more photos compete; of equals, those stay that came first.

        Args:
            summaries: (N, C) of SUMMARY.
            photos: (N,) indices of the rows' photos.
            compete: (N,) bool, which rows do, no content twice; None: all.
        """
        for start in range(0, len(summaries), COMPETING):
            some = slice(start, start + COMPETING)
            ahead = self._may_enter(summaries[some])
            if compete is not None:
                ahead &= compete[some]
            if ahead.any():
                self._enter(summaries[some][ahead], photos[some][ahead])

    def _enter(self, summaries: np.ndarray, photos: np.ndarray) -> None:
        """Keep the first of these and of those that were kept."""
        rows = np.concatenate([self._rows, summaries])
        named = np.broadcast_to(photos[:, None], summaries.shape)
        known = np.concatenate([self._photos, named.astype(np.int32)])
        peaks, strengths = (rows[name].astype(np.float32) for name in ("peak", "strength"))
        order = np.lexsort((-strengths, -peaks), axis=0)  # a ReLU6 often ends at 6: then the mean
        channels = np.arange(rows.shape[1])
        self._rows = rows[order[:COUNT], channels]
        self._photos = known[order[:COUNT], channels]

    def _may_enter(self, summaries: np.ndarray) -> np.ndarray:
        """Tell which photos are ahead of the last one kept, in any channel: (N,) bool."""
        if len(self._rows) < COUNT:
            return np.ones(len(summaries), bool)
        last = self._rows[-1]
        entering = (summaries["peak"] >= last["peak"]).any(axis=1)
        near = summaries[entering]  # few, where a ReLU6 does not end many at 6
        tied = (near["peak"] == last["peak"]) & (near["strength"] > last["strength"])
        entering[entering] = ((near["peak"] > last["peak"]) | tied).any(axis=1)
        return entering

    def exemplars(self, layer: LayerEntry, size: int) -> Exemplars:
        """Return them, with what they show.

        Args:
            size: px, the network's input.
        """
        rows = self._rows.T  # (C, up to 9)
        value = rows["peak"].astype(np.float32)
        photo = np.where(value > 0, self._photos.T, -1)
        grid = np.array([layer.width, layer.height])
        places = np.stack([rows[axis] for axis in ("column", "row")], axis=-1)
        at = (places + 0.5) * size / grid  # the centre of the position
        half = layer.receptive_field / 2
        box = np.concatenate([np.floor(at - half), np.ceil(at + half)], axis=-1)
        missing = ((0, 0), (0, COUNT - rows.shape[1]))
        return Exemplars(
            np.pad(photo, missing, constant_values=-1),
            np.pad(value, missing),
            np.pad(box.clip(0, size), (*missing, (0, 0))).astype(np.uint16),
            np.pad(at.clip(0, size - 1), (*missing, (0, 0))).astype(np.uint16),
        )


def cut_sprites(
    layers: Sequence[Exemplars],
    paths: Sequence[Path],
    framing: Framing,
    limits: Limits,
    folder: Path,
    workers: int,
    progress: Callable[[int], None] = lambda done: None,
) -> list[list[bytes]]:
    """Cut a WebP of 3 x 3 tiles for every layer and channel, strongest first.

    A photo that can no longer be read leaves its tiles black.

    Args:
        paths: the photos; exemplars hold indices into them.
        folder: on a disk with room for the tiles, 7 kB each.
        progress: called after each photo.
    """
    offsets = np.cumsum([0, *(layer.photo.size for layer in layers)])
    wanted: dict[int, list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
    for offset, layer in zip(offsets, layers, strict=False):
        for slot, photo in enumerate(layer.photo.flat):
            if photo >= 0:
                box = tuple(int(edge) for edge in layer.box.reshape(-1, 4)[slot])
                wanted[int(photo)].append((int(offset) + slot, box))
    with tempfile.TemporaryFile(dir=folder) as file, ThreadPoolExecutor(workers) as pool:
        file.truncate(int(offsets[-1]) * _BYTES)

        def cut(photo: int) -> None:
            try:
                view = Image.fromarray(
                    decode_image(read_photo(paths[photo], limits), framing, limits)
                )
            except (ImageError, OSError):
                return
            tiles: dict[tuple[int, ...], bytes] = {}
            for slot, box in wanted[photo]:
                if box not in tiles:
                    tiles[box] = _tile(view, box)
                os.pwrite(file.fileno(), tiles[box], slot * _BYTES)

        for _ in pool.map(cut, sorted(wanted)):
            progress(1)

        def sprite(slot: int) -> bytes:
            content = os.pread(file.fileno(), COUNT * _BYTES, slot * _BYTES)
            return _join(np.frombuffer(content, np.uint8).reshape(COUNT, TILE, TILE, 3))

        return [
            list(pool.map(sprite, range(int(offset), int(offset) + layer.photo.size, COUNT)))
            for offset, layer in zip(offsets, layers, strict=False)
        ]


def _tile(view: Image.Image, box: tuple[int, ...]) -> bytes:
    """Scale a part of the photo, keeping its proportions, into the middle of a black tile."""
    left, top, right, bottom = box
    scale = TILE / max(right - left, bottom - top)
    shape = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    filter_ = Image.Resampling.BILINEAR if scale < 1 else Image.Resampling.BICUBIC
    part = view.resize(shape, filter_, box=(left, top, right, bottom))
    if shape != (TILE, TILE):
        tile = Image.new("RGB", (TILE, TILE))
        tile.paste(part, ((TILE - shape[0]) // 2, (TILE - shape[1]) // 2))
        part = tile
    return part.tobytes()


def _join(tiles: np.ndarray) -> bytes:
    """Encode (9, TILE, TILE, 3) uint8 as one WebP."""
    rows = tiles.reshape(-1, COLUMNS, TILE, TILE, 3).transpose(0, 2, 1, 3, 4)
    image = Image.fromarray(np.ascontiguousarray(rows).reshape(-1, COLUMNS * TILE, 3))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=70, method=0)
    return buffer.getvalue()

"""Draw feature maps as a sheet of tiles, one tile a channel, and as a PNG.

All tiles of a sheet share one scale, so a channel that found nothing stays dark next to one
that did. This file only draws; inside.py and saliency.py compute.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from models.errors import SettingError

# Anchor colours of a ramp from black to pale yellow, dark to light, readable in grey too; those
# of service/page/ember.js, and a test compares the two.
_EMBER = np.array(
    [(0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21),
     (250, 193, 39), (252, 255, 164)],
    np.float32,
)  # fmt: skip
_STEPS = np.linspace(0, len(_EMBER) - 1, 256)
EMBER = np.stack(
    [np.interp(_STEPS, np.arange(len(_EMBER)), _EMBER[:, band]) for band in range(3)], axis=1
).astype(np.uint8)  # (256, 3)

GREY = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


def strengths(maps: np.ndarray) -> np.ndarray:
    """Compute how strongly each channel answers: the mean of its positive part.

    Args:
        maps: (h, w, C) float32.

    Returns:
        (C,) float32, 0 or more; NaN counts as 0.
    """
    return _above_zero(maps).mean(axis=(0, 1))


def peak(maps: np.ndarray) -> float:
    """Return the largest finite value of some maps; 0 if none is above 0."""
    return float(_above_zero(maps).max(initial=0.0))


def _above_zero(maps: np.ndarray) -> np.ndarray:
    """Return the positive part of some maps; NaN and infinities count as 0."""
    above = np.fmax(maps, 0)  # NaN becomes 0
    if np.isfinite(above.max(initial=0)):
        return above
    return np.where(np.isfinite(above), above, 0)


def draw(
    maps: np.ndarray, tile: int = 0, columns: int = 0, gap: int = 1, brightest: float = 0.0
) -> np.ndarray:
    """Draw a sheet with a tile for every channel, row by row.

    Args:
        maps: (h, w, C) float32, any range. 0 and less is black, `brightest` and more the
            last colour; NaN and infinities count as 0.
        tile: px, the longer side of a tile; 0 draws one pixel a position.
        columns: tiles in a row; 0 makes the sheet about square.
        gap: px between tiles.
        brightest: the value drawn in the last colour; 0: the largest of these maps.

    Returns:
        (H, W) uint8, 0 to 255.

    Raises:
        SettingError: no channels to draw.
    """
    height, width, channels = maps.shape
    if channels == 0:
        raise SettingError("no channels to draw: request at least one")
    maps = _above_zero(maps)
    brightest = brightest or peak(maps) or 1.0  # all silent: all black
    levels = (np.minimum(maps / brightest, 1) * 255).round().astype(np.uint8)
    zoom = tile_zoom(tile, height, width)
    levels = levels.repeat(zoom, axis=0).repeat(zoom, axis=1)
    height, width = levels.shape[:2]
    columns = min(columns or round((channels * height / width) ** 0.5) or 1, channels)
    return _lay_out(levels.transpose(2, 0, 1), columns, gap)


def tile_zoom(tile: int, height: int, width: int) -> int:
    """Choose the px of each position of a map (height, width), for tiles of about `tile` px."""
    return max(1, round(tile / max(height, width)))


def _lay_out(tiles: np.ndarray, columns: int, gap: int = 0) -> np.ndarray:
    """Lay out tiles (C, h, w) or (C, h, w, 3) row by row on black, `gap` px between them."""
    count, height, width, *colours = tiles.shape
    rows = -(-count // columns)  # rounded up: floor would drop the last row of tiles
    cells = np.zeros((rows * columns, height + gap, width + gap, *colours), np.uint8)
    cells[:count, :height, :width] = tiles
    sheet = cells.reshape(rows, columns, height + gap, width + gap, *colours).swapaxes(1, 2)
    sheet = sheet.reshape(rows * (height + gap), columns * (width + gap), *colours)
    return sheet[: len(sheet) - gap, : sheet.shape[1] - gap]


def contact_sheet(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Draw every channel at one pixel a position, each on its own scale, without gaps.

    Args:
        maps: (h, w, C) float32, C 1 or more.

    Returns:
        (H, W) uint8 with the channels row by row; (C,) float32, the value that 255 stands
        for in each, 0 where all is black; the number of tiles in a row.
    """
    height, width, channels = maps.shape
    above = _above_zero(maps).transpose(2, 0, 1)
    peaks = above.max(axis=(1, 2))
    scale = 255 / np.where(peaks > 0, peaks, 1)
    columns = max(1, round((channels * height / width) ** 0.5))
    levels = (above * scale[:, None, None] + 0.5).astype(np.uint8)
    return _lay_out(levels, columns), peaks, columns


def each_its_own(maps: np.ndarray) -> np.ndarray:
    """Scale maps (h, w, C) so that each channel's peak is 1; silent channels stay at 0."""
    above = _above_zero(maps)
    peaks = above.max(axis=(0, 1))
    return above / np.where(peaks > 0, peaks, 1)


def draw_over(
    photo: np.ndarray, maps: np.ndarray, brightest: float, colours: np.ndarray = EMBER
) -> np.ndarray:
    """Draw a sheet of the photo, once under each channel.

    Args:
        photo: (S, S, 3) uint8 RGB, at the size of a tile.
        maps: (h, w, C) float32; `brightest` and more glows most.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    count = maps.shape[2]
    tiles = [lay_over(photo, maps[..., i], colours, brightest) for i in range(count)]
    return _lay_out(np.stack(tiles), max(1, round(count**0.5)), gap=1)


def lay_over(
    photo: np.ndarray, heat: np.ndarray, colours: np.ndarray = EMBER, brightest: float = 0.0
) -> np.ndarray:
    """Lay a map over a photo: dark where the map is silent, glowing where it is strong.

    Args:
        photo: (H, W, 3) uint8 RGB.
        heat: (h, w) float32, any range; 0 and less is silent.
        brightest: the value that glows most; 0: the largest of this map.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    above = _above_zero(heat)
    level = (np.minimum(above / (brightest or above.max() or 1), 1) * 255).round().astype(np.uint8)
    shape = (photo.shape[1], photo.shape[0])
    smooth = np.asarray(Image.fromarray(level).resize(shape, Image.Resampling.BICUBIC))
    share = (0.25 + 0.5 * smooth[..., None] / 255).astype(np.float32)
    mixed = photo * (1 - share) + colours[smooth] * share
    return mixed.round().astype(np.uint8)


def plain_png(levels: np.ndarray, squeeze: bool = True) -> bytes:
    """Encode (H, W) uint8 as a grey, unfiltered PNG, in a third of the time that Pillow takes.

    Args:
        squeeze: whether to compress; without, it takes a tenth of that time.

    PNG Specification (third edition), sections 5.2 and 9.2; silent positions lie in runs.
    """
    height, width = levels.shape
    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = levels
    stream = zlib.compressobj(1 if squeeze else 0, strategy=zlib.Z_RLE)
    pixels = stream.compress(rows.tobytes()) + stream.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )  # fmt: skip


def png(sheet: np.ndarray, colours: np.ndarray = EMBER) -> bytes:
    """Encode a picture as a PNG.

    Args:
        sheet: (H, W) uint8 levels, or (H, W, 3) uint8 RGB.
        colours: (256, 3) uint8, the colour of each level.
    """
    image = Image.fromarray(sheet)
    if sheet.ndim == 2:
        image.putpalette(colours.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()

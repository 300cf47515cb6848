"""Feature maps -> a sheet of tiles, one tile a channel -> PNG.

All tiles of a sheet share one scale, so a channel that found nothing stays dark beside one
that did. Draws only; what the numbers mean is said where they are computed.
"""

import io

import numpy as np
from PIL import Image

from models.errors import SettingError

# Anchor colours of a ramp from black to pale yellow, dark to light, readable in grey too.
_EMBER = np.array(
    [(0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21),
     (250, 193, 39), (252, 255, 164)],
    np.float32,
)  # fmt: skip
_STEPS = np.linspace(0, len(_EMBER) - 1, 256)
EMBER = np.stack(
    [np.interp(_STEPS, np.arange(len(_EMBER)), _EMBER[:, band]) for band in range(3)], axis=1
).astype(np.uint8)  # (256, 3)


def strengths(maps: np.ndarray) -> np.ndarray:
    """How strongly each channel answers: the mean of its positive part.

    Args:
        maps: (h, w, C) float32.

    Returns:
        (C,) float32, 0 or more; NaN counts as 0.
    """
    return _above_zero(maps).mean(axis=(0, 1))


def peak(maps: np.ndarray) -> float:
    """The largest finite value of some maps; 0 if none is above 0."""
    return float(_above_zero(maps).max(initial=0.0))


def _above_zero(maps: np.ndarray) -> np.ndarray:
    """The positive part of some maps; what is no number counts as 0."""
    return np.where(np.isfinite(maps), np.maximum(maps, 0), 0)


def draw(
    maps: np.ndarray, tile: int = 0, columns: int = 0, gap: int = 1, brightest: float = 0.0
) -> np.ndarray:
    """A sheet with a tile for every channel, row by row.

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
        raise SettingError("no channels to draw: ask for at least one")
    maps = _above_zero(maps)
    brightest = brightest or peak(maps) or 1.0  # all silent: all black
    levels = (np.minimum(maps / brightest, 1) * 255).round().astype(np.uint8)
    zoom = max(1, round(tile / max(height, width))) if tile else 1
    levels = levels.repeat(zoom, axis=0).repeat(zoom, axis=1)
    height, width = levels.shape[:2]
    columns = min(columns or round((channels * height / width) ** 0.5) or 1, channels)
    rows = -(-channels // columns)  # rounded up: floor would drop the last row of tiles
    sheet = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap), np.uint8)
    for channel in range(channels):
        top = channel // columns * (height + gap)
        left = channel % columns * (width + gap)
        sheet[top : top + height, left : left + width] = levels[..., channel]
    return sheet


def png(sheet: np.ndarray) -> bytes:
    """A sheet of levels as a PNG, coloured from black through red to pale yellow."""
    image = Image.fromarray(sheet)
    image.putpalette(EMBER.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()

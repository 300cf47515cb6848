"""Pixels of more than eight bits: what they mean, and how they become 0 to 255.

A file may store 16 bits and use 12 of them, or hold numbers that have no fixed range. Which of
them is black and which is white is then decided once, for a whole set of photos, and recorded
with the model; each photo alone cannot say.
"""

from functools import lru_cache

import numpy as np
from PIL import Image

Levels = tuple[float, float]  # what is shown as 0, and as 255

FULL = 65_535.0
SIXTEEN_BITS: Levels = (0.0, FULL)
CHUNK = 262_144  # numbers that are scaled at a time, which takes some 32 bytes for each
SAMPLED = 256  # rows and columns of a photo that are looked at for its levels
NARROW = 4  # a range of less than this part of its upper end
OUTLIERS = 0.1  # percent of pixels below, and above, that may be dead or a glint
# Pillow keeps the upper byte of 16-bit colour. Taking its bytes for those of the other order
# gives the lower one.
_SWAPPED = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B"))
}


def may_be_deep(start: bytes, formats: tuple[str, ...]) -> bool:
    """Whether a file that begins like this can have more than eight bits; cheap to ask."""
    png = start.startswith(b"\x89PNG") and start[24:25] == b"\x10"  # bits of a sample
    return png or ("TIFF" in formats and start.startswith((b"II", b"MM")))


def is_deep(image: Image.Image) -> bool:
    """Whether an image that is opened, but not loaded, has more than eight bits."""
    return image.mode.startswith(("I", "F")) or _raw_mode(image) in _SWAPPED


def _raw_mode(image: Image.Image) -> str:
    """How Pillow unpacks the pixels of an opened file."""
    tiles = getattr(image, "tile", None)
    args = tiles[0].args if tiles else ""
    return args if isinstance(args, str) else str(args[0]) if args else ""


def take_lower_bytes(image: Image.Image) -> bool:
    """Have an opened 16-bit colour file load the lower byte of each number; false: not of them."""
    other = _SWAPPED.get(_raw_mode(image))
    if other is None:
        return False
    tile = image.tile[0]  # type: ignore[attr-defined]
    args = other if isinstance(tile.args, str) else (other, *tile.args[1:])
    image.tile = [tile._replace(args=args), *image.tile[1:]]  # type: ignore[attr-defined]
    return True


def measure(values: np.ndarray) -> Levels | None:
    """The range that one photo uses, but for a few outliers; None: no number is finite.

    Args:
        values: (H, W) or (H, W, C) of numbers.
    """
    steps = [max(1, side // SAMPLED) for side in values.shape[:2]]
    some = values[:: steps[0], :: steps[1]].astype(np.float64)
    some = some[np.isfinite(some)]
    if not some.size:
        return None
    low, high = np.percentile(some, [OUTLIERS, 100 - OUTLIERS])
    return float(low), float(high)


def join(ranges: list[Levels], fixed: bool) -> Levels | None:
    """Levels for a set of photos: the bits that they use, or the range.

    Photos of a camera begin near 0: black is 0, white all the bits in use, so that they are as
    bright as the same photos in eight bits. Where numbers have no fixed range, or all lie in a
    narrow one, as temperatures do, it is that range, rounded outwards to an eighth.

    Args:
        fixed: all of them are of 16 bits.

    Returns:
        None: they use all 16 bits, or one number, and are taken as they are.
    """
    low, high = min(one for one, _ in ranges), max(other for _, other in ranges)
    if fixed and high == low:
        return None
    if fixed and high - low >= high / NARROW:
        bits = int(np.ceil(high)).bit_length()
        return (0.0, 2.0**bits - 1) if bits < 16 else None
    span = high - low if high > low else 1.0
    step = 2.0 ** (np.floor(np.log2(span)) - 3)  # photos that are added seldom move the levels
    first = np.floor(low / step)
    return float(first * step), float(max(np.ceil(high / step), first + 1) * step)


def to_bytes(values: np.ndarray, levels: Levels) -> np.ndarray:
    """Numbers as uint8: the levels become 0 and 255, what is beyond them too; NaN is black."""
    if values.dtype == np.uint16:  # a table: no number of eight bytes for each pixel
        return np.asarray(_table(levels)[values])
    flat = values.reshape(-1)
    shown = np.empty(flat.shape, np.uint8)
    for start in range(0, len(flat), CHUNK):
        shown[start : start + CHUNK] = _scale(flat[start : start + CHUNK], levels)
    return shown.reshape(values.shape)


@lru_cache(maxsize=8)
def _table(levels: Levels) -> np.ndarray:
    """(65536,) uint8: what each number of 16 bits shows."""
    return _scale(np.arange(65_536), levels)


def _scale(values: np.ndarray, levels: Levels) -> np.ndarray:
    low, high = levels
    scaled = (values.astype(np.float64) - low) * (255 / (high - low))
    finite = np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0)
    return finite.clip(0, 255).round().astype(np.uint8)

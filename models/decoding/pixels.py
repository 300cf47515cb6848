"""A picture that is decoded -> upright RGB of eight bits, at the size that is wanted."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from models.decoding import deep_pixels
from models.decoding.deep_pixels import Levels
from models.decoding.framing import Framing, place
from models.errors import ImageUnreadable

FILTER = Image.Resampling.BILINEAR  # a triangle over all pixels; bicubic is no more accurate
ORIENTATION = 0x0112  # the EXIF tag
OwnLevels = Literal["own"] | None
OPAQUE = 128  # of 255: at least half
BLOCK = 512 * 512  # px stretched at a time: whole pictures would take thrice the memory
HIDDEN = 1000  # an alpha channel hides nearly all where fewer than one pixel in so many is opaque

# What turns a photo upright, by its EXIF orientation (Exif 2.32, section 4.6.4, tag 0x0112).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass
class Picture:
    """A picture on its way from a file to a network."""

    image: Image.Image
    width: int  # px, as the file has it
    height: int
    kind: str  # what the bytes are, in Pillow's words: JPEG, PNG, ...
    deep: bool = False  # more than eight bits a number
    lower: Image.Image | None = None  # the lower bytes of 16-bit colours
    alpha_ignored: bool = False  # it would have hidden nearly everything


def finish(
    picture: Picture, metadata: dict[str, Any], target: Framing | int, levels: Levels | OwnLevels
) -> Picture:
    """Bring a loaded picture to eight bits, resize it, flatten it over white, turn it upright.

    Args:
        metadata: what its file says of its orientation.
        levels: what deep pixels show as 0 and 255; None: all of 16 bits; own: what it uses.

    Raises:
        ImageUnreadable: pixels without a fixed range, and no levels.
    """
    orientation = _orientation(picture, metadata)
    if levels == "own":
        levels = _own_levels(picture)
    image = _resizable(picture, levels)
    box, size = place(target, image.width, image.height)
    image = image.resize(size, FILTER, box=box)
    if image.mode in ("RGBA", "LA"):
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = image.convert("RGB")
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    if isinstance(target, Framing) and target.resize == "pad":
        square = Image.new("RGB", (target.size, target.size))
        square.paste(image, ((target.size - image.width) // 2, (target.size - image.height) // 2))
        image = square
    picture.image = image
    return picture


def _orientation(picture: Picture, metadata: dict[str, Any]) -> int:
    """How the photo is stored, 1 to 8; 1, upright, where EXIF is missing or damaged."""
    image = picture.image
    if picture.kind == "TIFF":  # Pillow has turned it
        return 1
    if metadata:
        image = Image.Image()
        for name, content in metadata.items():
            image.info[name] = content
    elif picture.kind not in ("AVIF", "HEIF"):
        return 1
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # whatever a damaged directory makes Pillow raise
        return 1
    return found if isinstance(found, int) else 1


def deep_values(picture: Picture) -> np.ndarray:
    """The numbers of a deep picture: (H, W) or (H, W, 3), of uint16, int32 or float32."""
    image = picture.image
    if image.mode in ("RGB", "RGBA"):
        return _sixteen_bits(image, picture.lower)
    values = np.asarray(image)
    return values.astype(np.uint16) if image.mode.startswith("I;16") else values


def _sixteen_bits(upper: Image.Image, lower: Image.Image | None) -> np.ndarray:
    """(H, W, 3) uint16 of colours whose bytes are in two images."""
    values = np.asarray(upper)[..., :3].astype(np.uint16)
    values <<= 8
    if lower:
        values |= np.asarray(lower)[..., :3]
    return values


def _stretch(upper: Image.Image, lower: Image.Image, levels: Levels) -> None:
    """Have the image of the upper bytes show both by the levels: block by block, in its place."""
    wide = min(upper.width, BLOCK)
    high = BLOCK // wide
    for top in range(0, upper.height, high):
        for left in range(0, upper.width, wide):
            right, bottom = min(left + wide, upper.width), min(top + high, upper.height)
            box = (left, top, right, bottom)
            part = upper.crop(box)
            values = _sixteen_bits(part, lower.crop(box))
            shown = Image.fromarray(deep_pixels.to_bytes(values, levels))
            if part.mode == "RGBA":
                shown.putalpha(part.getchannel("A"))
            upper.paste(shown, box)


def _own_levels(picture: Picture) -> Levels | None:
    """The range of one photo, as if it were a set."""
    used = deep_pixels.measure(deep_values(picture)) if picture.deep else None
    return deep_pixels.join([used], fixed=picture.image.mode not in ("I", "F")) if used else None


def _resizable(picture: Picture, levels: Levels | None) -> Image.Image:
    """The same picture in a mode that can be resized without changing what it shows."""
    image = picture.image
    if image.mode in ("I", "F") and levels is None:
        raise ImageUnreadable(
            f"pixels of mode {image.mode} (32 bits) have no fixed range; save it with 8 or 16 bits"
        )
    if image.mode.startswith(("I", "F")):
        return _deep_grey(picture, levels)
    if picture.lower and levels:
        _stretch(image, picture.lower, levels)
        picture.lower = None  # its memory is wanted for what follows
    if not image.has_transparency_data:
        if image.mode in ("L", "RGB", "CMYK"):
            return image
        return image.convert("L" if image.mode == "1" else "RGB")
    one_colour = isinstance(image.info.get("transparency"), (int, tuple))  # that is left out
    if image.mode not in ("RGBA", "LA"):
        image = image.convert("RGBA")
    if not one_colour and _hides_nearly_all(image):
        picture.alpha_ignored = True
        return image.convert("L" if image.mode == "LA" else "RGB")
    return image


def _hides_nearly_all(image: Image.Image) -> bool:
    """Whether alpha leaves almost no pixel half opaque: it is another band, or was lost.

    What is cut out on purpose stays opaque itself, however small it is.
    """
    counts = image.getchannel("A").histogram()
    return sum(counts[OPAQUE:]) * HIDDEN < image.width * image.height


def _deep_grey(picture: Picture, levels: Levels | None) -> Image.Image:
    """Grey of 16 or 32 bits as eight; `convert` would clip it."""
    values, image = deep_values(picture), picture.image
    grey = Image.fromarray(deep_pixels.to_bytes(values, levels or (0.0, deep_pixels.FULL)))
    hidden = image.info.get("transparency")
    if hidden is None:
        return grey
    opaque = Image.fromarray(np.where(values == hidden, np.uint8(0), np.uint8(255)))
    return Image.merge("LA", (grey, opaque))

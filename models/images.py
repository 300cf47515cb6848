"""Encoded bytes -> upright RGB pixels at the network's size.

The only decoder: training and serving call it with the same settings, so the same file
gives the same pixels, bit for bit. Bytes are hostile until shown otherwise. Limits are
checked on the header, before a pixel is decoded, and whatever Pillow raises leaves here
as an ImageError.

A photo is resized first, in its own mode, and only then flattened over white and turned
upright by its EXIF tag: at the network's size both cost nothing.
"""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from models.errors import (
    ImageEmpty,
    ImageError,
    ImageTooLarge,
    ImageUnreadable,
    ImageUnsupported,
    SettingError,
)

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MORE_FORMATS = ("TIFF", "AVIF")  # by a setting: large decoders that few photo services need
RESAMPLING = Image.Resampling.BILINEAR  # a triangle over all pixels; bicubic is no more accurate
DRAFT_GAP = 2.0  # a JPEG is decoded smaller only to this multiple of the size needed
SIZES_PX = (8, 2048)  # of the network's square input, least and most
FRACTIONS = (0.1, 1.0)  # of the shorter side that a crop keeps, likewise
Resize = Literal["crop", "squash"]
Box = tuple[float, float, float, float]  # left, top, right, bottom in px

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


@dataclass(frozen=True)
class Limits:
    """What one encoded photo may cost. Each is checked before pixels are decoded."""

    size_bytes: int = 20_000_000
    pixels: int = 25_000_000  # width x height; Pillow's own limit lets 11 kB take 441 MiB
    frames: int = 1_000  # only the first is shown
    scans: int = 100  # of a JPEG: each repeated scan decodes the whole picture again
    scan_pixels: int = 600_000_000  # scans x pixels: about half a second
    parts: int = 1_000  # segments of a JPEG, chunks of a PNG: Pillow reads each in Python
    formats: tuple[str, ...] = FORMATS


@dataclass(frozen=True)
class Framing:
    """How a photo meets the network's square; recorded in every saved model.

    `crop` takes the centred square whose side is `fraction` of the shorter side; `squash`
    takes the whole photo and changes its proportions.
    """

    size: int  # px, the network's input
    resize: Resize = "crop"
    fraction: float = 0.875  # as in ImageNet evaluation: Szegedy et al. 2015, arXiv:1512.00567

    def __post_init__(self) -> None:
        if not SIZES_PX[0] <= self.size <= SIZES_PX[1]:
            expected = f"{SIZES_PX[0]} to {SIZES_PX[1]}"
            raise SettingError(f"size is {self.size} px; expected {expected}")
        if self.resize not in ("crop", "squash"):
            raise SettingError(f"resize is {self.resize!r}; expected crop or squash")
        if not FRACTIONS[0] <= self.fraction <= FRACTIONS[1]:
            expected = f"{FRACTIONS[0]:g} to {FRACTIONS[1]:g}"
            raise SettingError(f"fraction is {self.fraction}; expected {expected}")

    def box(self, width: int, height: int) -> Box:
        """The part of a width x height photo that is kept."""
        if self.resize == "squash":
            return 0.0, 0.0, float(width), float(height)
        side = max(1.0, min(width, height) * self.fraction)
        return (width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2


def decode_image(data: bytes, framing: Framing, limits: Limits = Limits()) -> np.ndarray:
    """The photo in `data`, upright, at the network's size.

    Returns:
        (framing.size, framing.size, 3) uint8 RGB, 0 to 255.

    Raises:
        ImageEmpty, ImageUnsupported, ImageTooLarge, ImageUnreadable.
    """
    return np.asarray(_decode(data, limits, framing), np.uint8)


def decode_whole(data: bytes, longest: int, limits: Limits = Limits()) -> Image.Image:
    """The whole photo, upright RGB, at most `longest` px: what random crops are taken from.

    Raises:
        ImageEmpty, ImageUnsupported, ImageTooLarge, ImageUnreadable.
    """
    return _decode(data, limits, longest)


def shrink_image(data: bytes, longest: int, limits: Limits = Limits()) -> bytes:
    """The whole photo as a JPEG, upright, at most `longest` px, without its metadata.

    Raises:
        ImageEmpty, ImageUnsupported, ImageTooLarge, ImageUnreadable.
    """
    buffer = io.BytesIO()
    _decode(data, limits, longest).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _decode(data: bytes, limits: Limits, target: Framing | int) -> Image.Image:
    """Upright RGB, framed for a network or shrunk to a longest side; any failure named."""
    _check_bytes(data, limits)
    try:
        with Image.open(io.BytesIO(data), formats=limits.formats) as image:
            _check_header(image, limits, data.count(b"\xff\xda"))
            return _pixels(image, target)
    except ImageError:
        raise
    except UnidentifiedImageError:
        names = ", ".join(limits.formats)
        reason = f"not an image in one of the accepted formats ({names})"
        raise ImageUnsupported(reason) from None
    except Image.DecompressionBombError:
        raise ImageTooLarge(2 * (Image.MAX_IMAGE_PIXELS or 0), limits.pixels, "pixels") from None
    except Exception as error:  # Pillow's decoders raise OSError, ValueError, SyntaxError and more
        raise ImageUnreadable(f"the image is damaged: {_reason(error)}") from error


def _check_bytes(data: bytes, limits: Limits) -> None:
    """Limits that can be checked by counting bytes."""
    if not data:
        raise ImageEmpty("the image is empty: 0 bytes")
    if len(data) > limits.size_bytes:
        raise ImageTooLarge(len(data), limits.size_bytes, "bytes")
    if data.startswith(b"\xff\xd8"):
        _limit(data.count(b"\xff\xda"), limits.scans, "scans")
        _limit(_jpeg_segments(data), limits.parts, "segments")
    if data.startswith(b"\x89PNG"):
        _limit(_png_chunks(data), limits.parts, "chunks beside its pixels")
    if data.startswith(b"GIF8"):
        _limit(_gif_frames(data), limits.frames, "frames")


def _limit(found: int, limit: int, unit: str) -> None:
    if found > limit:
        raise ImageTooLarge(found, limit, unit)


def _jpeg_segments(data: bytes) -> int:
    """Steps that Pillow takes before the first scan: segments, fillers, bytes it passes over."""
    segments, at = 0, 2
    while at + 4 <= len(data) and segments <= 100_000:  # enough to know
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xFF:
            at += 1
        elif marker == 0xDA:
            break
        elif marker <= 0x01 or 0xD0 <= marker <= 0xD9:  # they have no length
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        segments += 1
    return segments


def _png_chunks(data: bytes) -> int:
    """Chunks that hold no pixels, or hardly any."""
    chunks, at = 0, 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        chunks += kind not in (b"IDAT", b"fdAT", b"fcTL") or (kind == b"IDAT" and length < 64)
        at += 12 + length
        if chunks > 100_000:
            break
    return chunks


def _gif_frames(data: bytes) -> int:
    """Image descriptors in a GIF, found by stepping over its blocks (GIF89a, section 15 on)."""

    def colours(flags: int) -> int:
        return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

    frames, at = 0, 13
    try:
        at += colours(data[10])
        while data[at] in (0x21, 0x2C):  # an extension, an image
            if data[at] == 0x2C:
                frames += 1
                at += 11 + colours(data[at + 9])  # its descriptor, its colours, its code size
            else:
                at += 2
            while data[at]:  # sub-blocks: a length, then so many bytes; 0 ends them
                at += data[at] + 1
            at += 1
    except IndexError:  # cut off: Pillow will say so, if the first frame is not whole
        pass
    return frames


def _check_header(image: Image.Image, limits: Limits, scans: int) -> None:
    """Limits that Pillow reads from the header."""
    if image.format == "BMP" and image.info.get("compression") in (1, 2):
        raise ImageUnsupported("a run-length coded BMP: save it as PNG")  # Pillow: seconds each
    pixels = image.width * image.height
    if pixels > limits.pixels:
        raise ImageTooLarge(pixels, limits.pixels, f"pixels ({image.width} x {image.height})")
    if image.format in ("JPEG", "MPO") and scans > 1:
        _limit(scans * pixels, limits.scan_pixels, f"pixels in its {scans} scans")
    if image.format != "GIF":  # Pillow would read every frame of a GIF to count them
        frames = getattr(image, "n_frames", 1)
        if frames > limits.frames:
            raise ImageTooLarge(frames, limits.frames, "frames")


def _place(target: Framing | int, width: int, height: int) -> tuple[Box, tuple[int, int]]:
    """The part of a width x height photo to keep, and the size in px it is brought to."""
    if isinstance(target, Framing):
        return target.box(width, height), (target.size, target.size)
    scale = min(1.0, target / max(width, height))
    return (0, 0, width, height), (max(1, round(width * scale)), max(1, round(height * scale)))


def _pixels(image: Image.Image, target: Framing | int) -> Image.Image:
    """Decode, resize, flatten over white, turn upright."""
    orientation = image.getexif().get(0x0112, 1)
    (left, top, right, bottom), (width, height) = _place(target, image.width, image.height)
    shrink = min((right - left) / width, (bottom - top) / height) / DRAFT_GAP
    if image.format in ("JPEG", "MPO") and shrink >= 2:
        image.draft(None, (int(image.width / shrink), int(image.height / shrink)))
    image.load()
    image = _resizable(image)
    box, _ = _place(target, image.width, image.height)
    image = image.resize((width, height), RESAMPLING, box=box)
    if image.mode in ("RGBA", "LA"):
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = image.convert("RGB")
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _resizable(image: Image.Image) -> Image.Image:
    """The same picture in a mode that can be resized without changing what it shows."""
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint32)
        scaled = Image.fromarray(((grey + 128) // 257).astype(np.uint8))  # convert() would clip
        hidden = image.info.get("transparency")
        if hidden is None:
            return scaled
        opaque = Image.fromarray(np.where(grey == hidden, np.uint8(0), np.uint8(255)))
        return Image.merge("LA", (scaled, opaque))
    if image.mode in ("I", "F"):
        raise ImageUnreadable(
            f"pixels of mode {image.mode} (32 bits) have no fixed range; save it with 8 or 16 bits"
        )
    if image.has_transparency_data:
        return image if image.mode in ("RGBA", "LA") else image.convert("RGBA")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _reason(error: BaseException) -> str:
    """What Pillow said, short enough for one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."

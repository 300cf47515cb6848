"""Encoded bytes -> upright RGB pixels at the network's size.

The only decoder: training and serving call it with the same settings, so the same file
gives the same pixels, bit for bit. Bytes are hostile until shown otherwise. Pillow sees only
what shows the picture (image_stream.py), limits are checked on the header, before a pixel is
decoded, and whatever Pillow raises leaves here as an ImageError.

A photo is resized first, in its own mode, and only then flattened over white and turned
upright by its EXIF tag: at the network's size both cost nothing.
"""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from models.decoding import deep_pixels, pixels
from models.decoding.decode_cost import (
    BYTES_A_COEFFICIENT,
    bytes_of_tables,
    bytes_to_decode,
)
from models.decoding.deep_pixels import Levels
from models.decoding.framing import FRACTIONS, SIZES_PX, Framing, Resize, place
from models.decoding.heif.items import check_items
from models.decoding.image_stream import Stream, gif_stream, png_stream, webp_stream
from models.decoding.jpeg_stream import jpeg_stream, two_endings
from models.decoding.limits import FORMATS, MORE_FORMATS, Limits, check_limit, check_pixels
from models.decoding.openable import openable, unidentified
from models.decoding.pixels import OwnLevels, Picture
from models.decoding.quiet import silence_libraries
from models.decoding.tags import check_tags
from models.decoding.tiff_parts import check_parts
from models.errors import (
    ImageEmpty,
    ImageUnreadable,
    ImageUnsupported,
    LayerscopeError,
)

__all__ = [  # with what others know by this name
    "FORMATS",
    "FRACTIONS",
    "MORE_FORMATS",
    "RESAMPLING",
    "SIZES_PX",
    "Decoded",
    "Framing",
    "Levels",
    "Limits",
    "Resize",
    "Room",
    "decode_image",
    "decode_photo",
    "decode_whole",
    "measure_levels",
    "shrink_image",
]

RESAMPLING = pixels.FILTER
DRAFT_GAP = 2.0  # a JPEG is decoded smaller only to this multiple of the size needed
ENDLESS = 6  # times as much: a JPEG without its end is decoded twice, and compared
MEASURED = 1 << 16  # px, longer than any side: nothing is decoded smaller
Room = Callable[[int], AbstractContextManager[object]]  # entered with the bytes that decoding takes

silence_libraries()


@dataclass(frozen=True)
class Decoded:
    """The pixels of a photo, and what its file was like."""

    pixels: np.ndarray  # (S, S, 3) uint8 RGB
    width: int  # px, as the file has it
    height: int
    kind: str  # what the bytes are, in Pillow's words: JPEG, PNG, ...
    alpha_ignored: bool  # it would have hidden nearly everything


def decode_photo(data: bytes, framing: Framing, limits: Limits = Limits()) -> Decoded:
    """The photo in `data`, upright, at the network's size, with what its file was like.

    Raises:
        ImageEmpty, ImageUnsupported, ImageTooLarge, ImageUnreadable.
    """
    found = _decode(data, limits, framing, framing.levels)
    square = np.asarray(found.image, np.uint8)
    return Decoded(square, found.width, found.height, found.kind, found.alpha_ignored)


def decode_image(
    data: bytes, framing: Framing, limits: Limits = Limits(), room: Room = nullcontext
) -> np.ndarray:
    """The photo in `data`, upright, at the network's size.

    Args:
        room: where memory for it is waited for, once its header has been read by the decoder.

    Returns:
        (framing.size, framing.size, 3) uint8 RGB, 0 to 255.

    Raises:
        ImageEmpty, ImageUnsupported, ImageTooLarge, ImageUnreadable; and what `room` raises.
    """
    picture = _decode(data, limits, framing, framing.levels, room)
    return np.asarray(picture.image, np.uint8)


def decode_whole(
    data: bytes, longest: int, limits: Limits = Limits(), levels: Levels | None = None
) -> Image.Image:
    """The whole photo, upright RGB, at most `longest` px: what random crops are taken from.

    Raises:
        ImageEmpty, ImageUnsupported, ImageTooLarge, ImageUnreadable.
    """
    return _decode(data, limits, longest, levels).image


def shrink_image(
    data: bytes, longest: int, limits: Limits = Limits(), levels: Levels | None = None
) -> bytes:
    """The whole photo as a JPEG, upright, at most `longest` px, without its metadata.

    Args:
        levels: of deep pixels; None: those of this photo alone, to be looked at.

    Raises:
        ImageEmpty, ImageUnsupported, ImageTooLarge, ImageUnreadable.
    """
    buffer = io.BytesIO()
    _decode(data, limits, longest, levels or "own").image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def measure_levels(data: bytes, limits: Limits = Limits()) -> tuple[Levels, bool] | None:
    """The range that a photo of more than eight bits uses, and whether its bits are sixteen.

    Returns:
        None: it has eight bits, or cannot be read.
    """
    if not deep_pixels.may_be_deep(data[:32], limits.formats) or len(data) > limits.size_bytes:
        return None
    try:
        stream = _stream(data, limits)
        picture = _load(stream.data, stream, limits, MEASURED, True, _Held(nullcontext))
    except Exception:  # what is wrong with it will be said when it is decoded
        return None
    if not picture.deep:
        return None
    values = pixels.deep_values(picture)
    levels = deep_pixels.measure(values)
    return (levels, values.dtype == np.uint16) if levels else None


def _decode(
    data: bytes,
    limits: Limits,
    target: Framing | int,
    levels: Levels | OwnLevels,
    room: Room = nullcontext,
) -> Picture:
    """Upright RGB, framed for a network or shrunk to a longest side; any failure named."""
    if not data:
        raise ImageEmpty("the image is empty: 0 bytes; was its download or copy finished?")
    check_limit(len(data), limits.size_bytes, "bytes")
    try:
        stream = _stream(data, limits)
        with _Held(room) as held:
            if stream.endless and stream.exact:
                picture = _load_without_end(stream, limits, target, held)
            else:
                picture = _load(stream.data, stream, limits, target, levels is not None, held)
            return pixels.finish(picture, stream.metadata, target, levels)
    except UnidentifiedImageError:
        raise unidentified(data, limits) from None
    except Exception as error:  # Pillow's decoders raise OSError, ValueError, SyntaxError and more
        if isinstance(error, LayerscopeError) or getattr(error, "errno", None):  # the system's
            raise
        raise ImageUnreadable(f"the image is damaged: {_reason(error)}") from error


def _stream(data: bytes, limits: Limits) -> Stream:
    """The picture in a file; a file of a kind that has no trailers is taken as it is."""
    if data.startswith(b"\xff\xd8"):
        return jpeg_stream(data, limits)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return png_stream(data, limits)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return webp_stream(data, limits)
    if data.startswith((b"GIF87a", b"GIF89a")):
        return gif_stream(data, limits)
    check_tags(data, limits)
    return Stream(data, coded_pixels=check_items(data, limits))


class _Held(ExitStack):
    """Room for one photo, taken once and given back when its pixels are framed."""

    def __init__(self, room: Room):
        super().__init__()
        self._room: Room | None = room

    def take(self, size_bytes: int) -> None:
        """Wait for room, the first time that a picture of the file is loaded."""
        if self._room:
            self.enter_context(self._room(size_bytes))
            self._room = None


def _load(
    data: bytes,
    stream: Stream,
    limits: Limits,
    target: Framing | int,
    deep: bool,
    held: _Held,
) -> Picture:
    """Check what the header says, then decode, a JPEG no larger than it is needed.

    Args:
        data: the stream's own, or that with an end.
        deep: load both bytes of 16-bit colours, not the upper one alone.
    """
    if stream.size:  # before it is opened: a WebP makes room for its pixels then
        width, height = stream.size
        check_pixels(width, height, limits, data.startswith(b"\xff\xd8"))
        if data.startswith(b"RIFF"):
            tables = bytes_of_tables(data, width * height)
            held.take(bytes_to_decode("WEBP", width, height) + tables)
    with Image.open(io.BytesIO(data), formats=openable(data, limits)) as image:
        _check_header(image, stream, limits)
        picture = Picture(image, image.width, image.height, image.format or "")
        picture.deep = deep_pixels.is_deep(image)
        if twice := deep and picture.deep and image.mode in ("RGB", "RGBA"):
            each = image.width * image.height
            check_limit(2 * each, limits.pixels, "pixels in 16-bit colours, decoded twice")
        if image.format in ("JPEG", "MPO"):
            (left, top, right, bottom), size = place(target, image.width, image.height)
            shrink = min((right - left) / size[0], (bottom - top) / size[1]) / DRAFT_GAP
            if shrink >= 2 and not stream.lossless:
                image.draft(None, (int(image.width / shrink), int(image.height / shrink)))
            check_pixels(image.width, image.height, limits)
        parts = check_parts(image, data, limits) if image.format == "TIFF" else 0
        held.take(_bytes_to_load(picture, stream) + parts)
        image.load()
    if twice:
        with Image.open(io.BytesIO(data), formats=openable(data, limits)) as lower:
            if deep_pixels.take_lower_bytes(lower):
                lower.load()
                picture.lower = lower
    return picture


def _bytes_to_load(picture: Picture, stream: Stream) -> int:
    """What decoding an opened photo will take: a JPEG of one scan only what it is drafted to."""
    kind = picture.kind
    deep = kind == "PNG" and picture.deep
    width, height = picture.image.size
    kept = int(BYTES_A_COEFFICIENT * stream.coefficients)  # until the last scan
    each = bytes_to_decode("PNG16" if deep else kind, width, height)
    if stream.coded_pixels > width * height:  # it is scaled down when it has been decoded
        each = max(each, bytes_to_decode(kind, stream.coded_pixels, 1))
    return each * (ENDLESS if stream.endless else 1) + kept


def _load_without_end(
    stream: Stream, limits: Limits, target: Framing | int, held: _Held
) -> Picture:
    """A JPEG that lacks nothing but its end. Raises ImageUnreadable if it lacks more."""
    one, other = (
        _load(data, stream, limits, target, False, held) for data in two_endings(stream.data)
    )
    if not np.array_equal(np.asarray(one.image), np.asarray(other.image)):
        raise ImageUnreadable("the image is damaged: image file is truncated: it has no end")
    return one


def _check_header(image: Image.Image, stream: Stream, limits: Limits) -> None:
    """Limits that can be checked once Pillow has read the header."""
    if image.format == "BMP" and image.info.get("compression") in (1, 2):
        raise ImageUnsupported("a run-length coded BMP: save it as PNG")  # Pillow: seconds each
    jpeg = image.format in ("JPEG", "MPO")
    check_pixels(image.width, image.height, limits, jpeg)
    if jpeg and stream.scans > 1:
        times = 2 if stream.endless else 1  # as often it is decoded
        each = image.width * image.height * times
        check_limit(stream.scans * each, limits.scan_pixels, f"pixels in its {stream.scans} scans")
    check_limit(stream.coefficients, limits.coefficients, "coefficients to keep (progressive)")
    if image.format != "GIF":  # Pillow would read every frame of a GIF to count them
        check_limit(getattr(image, "n_frames", 1), limits.frames, "frames")


def _reason(error: BaseException) -> str:
    """What Pillow said, short enough for one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}..."

"""The strips or tiles that the pixels of a TIFF come in, and what decoding them costs.

Each is decoded whole, and into memory of its own, however little of it the picture shows; and
many may have the same bytes. Pillow hands most files to libtiff as one piece, so the parts are
counted here as libtiff does it, from the tags that give their size.
"""

import re
from typing import Any, NamedTuple

from models.decoding.decode_cost import BYTES_A_COEFFICIENT, PROGRESSIVE
from models.decoding.jpeg_stream import refuse_arithmetic
from models.decoding.limits import Limits, check_limit, check_pixels
from models.errors import ImageUnreadable, ImageUnsupported

PARTS = 100_000  # of one picture; 25 Mpx in tiles of 16 x 16 px have 97,657
LAYERS = 6  # colours that lie in a file one after the other
OVERHANG = 4  # times the picture: tiles no larger than it are never more
DECODED_BYTES = 10  # for each of the most pixels that a photo may have: those of 16-bit RGBA have 8
SMALL = 16_000_000  # px that may be decoded for any picture, however small
MOST_SCANS = 100  # of a JPEG, beyond which libtiff gives up
BYTES_A_COLUMN = 32  # fax codes keep 16 for a row of a part; a turned picture has a row for each

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _ROWS, _PLANES = 256, 257, 258, 259, 277, 278, 284
_TILE_WIDTH, _TILE_HEIGHT, _DEPTH, _TILE_DEPTH = 322, 323, 32997, 32998
_JPEGS = (6, 7)
# None, fax, LZW, JPEG, Deflate, PackBits, Zstandard. A stream that is made for it keeps LZMA busy
# for many times as long as these; the rest is rare, and nobody has measured it.
_COMPRESSIONS = {1, 2, 3, 4, 5, *_JPEGS, 8, 32946, 32773, 50000}
SIZES = {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _ROWS, _PLANES, _TILE_WIDTH,
         _TILE_HEIGHT, _DEPTH, _TILE_DEPTH}  # fmt: skip
# A frame and a scan of a JPEG (ITU-T T.81, B.2.2 and B.2.3), with how many colours each has.
_FRAME = re.compile(
    rb"\xff([\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf])\x00[\x0b\x0e\x11\x14].{5}([\x01-\x04])", re.S
)
_SCAN = re.compile(rb"\xff\xda\x00[\x08\x0a\x0c\x0e]([\x01-\x04])")


class Parts(NamedTuple):
    """The strips or tiles of one picture; a strip is as wide as the picture."""

    width: int  # px, of one
    height: int
    number: int  # with those of each layer
    covered: int  # px in one layer of them
    bits: int  # of a pixel in one


def check_parts(image: Any, data: bytes, limits: Limits) -> int:
    """Refuse an opened TIFF whose strips or tiles cost far more than its picture.

    Returns:
        The bytes that decoding takes beside the pixels of the picture.

    Raises:
        ImageTooLarge, ImageUnreadable, ImageUnsupported.
    """
    kind = image.tag_v2.get(_COMPRESSION, 1)
    if kind not in _COMPRESSIONS:
        number = str(kind)[:20]
        raise ImageUnsupported(f"a TIFF of the compression {number}: save it with LZW or Deflate")
    shown = image.width * image.height
    boxes = [tile.extents for tile in image.tile]
    listed = sum(max(0, right - x) * max(0, bottom - y) for x, y, right, bottom in boxes)
    check_limit(listed, LAYERS * shown, "pixels in its strips or tiles")
    parts = _parts(image.tag_v2)
    check_pixels(parts.width, parts.height, limits)
    check_limit(parts.number, PARTS, "strips or tiles")
    check_limit(parts.covered, max(OVERHANG * shown, SMALL), "pixels in its strips or tiles")
    most = DECODED_BYTES * limits.pixels
    check_limit(parts.covered * parts.bits // 8, most, "bytes in its strips or tiles")
    each = parts.width * parts.height * parts.bits // 8
    if kind in _JPEGS and (scans := _scans(data)) > 1:
        unit = f"pixels in the {scans} scans of its JPEGs"
        check_limit(scans * parts.covered, limits.scan_pixels, unit)
        each += int(each * BYTES_A_COEFFICIENT)
    return each + max(parts.width, image.width, image.height) * BYTES_A_COLUMN


def _parts(tags: Any) -> Parts:
    """How many parts there are and how large, by the tags of a directory."""
    width, height = _size(tags, _WIDTH, 0), _size(tags, _HEIGHT, 0)
    samples = _size(tags, _SAMPLES, 3 if tags.get(_COMPRESSION) in _JPEGS else 1)
    layers = samples if _size(tags, _PLANES, 1) == 2 else 1
    if _TILE_WIDTH in tags or _TILE_HEIGHT in tags:
        wide, high = _size(tags, _TILE_WIDTH, 0), _size(tags, _TILE_HEIGHT, 0)
    else:
        wide, high = width, min(_size(tags, _ROWS, height) or height, height)
    if not (wide and high):
        raise ImageUnreadable("the image is damaged: a TIFF with tiles of no size")
    across, down = -(-width // wide), -(-height // high)
    number = across * down * layers * max(1, _size(tags, _DEPTH, 1))
    bits = max(tags.get(_BITS, (1,))) * (1 if layers > 1 else samples)
    return Parts(wide, high, number, across * wide * down * high, bits)


def _size(tags: Any, tag: int, default: int) -> int:
    """A tag that has one whole number. Raises ImageUnreadable."""
    found = tags.get(tag, default)
    if not isinstance(found, int) or found < 0:
        raise ImageUnreadable(f"the image is damaged: the tag {tag} of a TIFF is no whole number")
    return found


def _scans(data: bytes) -> int:
    """How often a JPEG in the file may go over its pixels: once, unless one has several scans.

    Those keep the numbers of the whole part until the last of them. Which JPEG has how many is
    not asked: a thousand parts may share their bytes. Raises ImageUnsupported.
    """
    frames, scans = _FRAME.findall(data), _SCAN.findall(data)
    kinds = {marker[0] for marker, _ in frames}
    for kind in kinds:
        refuse_arithmetic(kind)
    colours = {one for _, one in frames} | set(scans)
    if len(colours) < 2 and not PROGRESSIVE & kinds:
        return 1
    return min(MOST_SCANS, len(scans))

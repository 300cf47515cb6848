"""What a TIFF, or the EXIF of an AVIF or HEIC, may list: Pillow makes an object of each number.

Tags of millions of numbers took it seconds and hundreds of megabytes, for a picture of any size.
So the lists are counted before it opens the file. What cannot be followed is left to the decoder.
"""

import struct
from collections.abc import Iterator

from models.decoding.limits import check_limit

NUMBERS = 8_192  # of one tag
PLACES = 200_000  # of strips or tiles: one for each 128 pixels of 25 Mpx
TAGS = 70_000  # of all directories; one has up to 65,535
EXIF_BYTES = 262_144  # of an AVIF or HEIC; cameras write up to half of it
BOXES = 10_000
_OF_PLACES = (273, 279, 324, 325)
_OF_BYTES = (1, 2, 7)  # types whose values stay bytes


def check_tags(data: bytes) -> None:
    """Count the numbers of each tag of a TIFF (TIFF 6.0, section 2). Raises ImageTooLarge."""
    order = "<" if data.startswith(b"II") else ">"
    large = data[2:3] == b"+"  # BigTIFF, as Pillow tells it
    at, count_of, entry, step = (8, "Q", "HHQ", 20) if large else (4, "H", "HHI", 12)
    place, tags = "Q" if large else "I", 0
    seen: set[int] = set()
    try:
        (at,) = struct.unpack_from(order + place, data, at)
        while at and at not in seen:
            seen.add(at)
            (count,) = struct.unpack_from(order + count_of, data, at)
            tags += 1 + count
            check_limit(tags, TAGS, "tags")
            at += struct.calcsize(order + count_of)
            for _ in range(count):
                tag, kind, numbers = struct.unpack_from(order + entry, data, at)
                if kind not in _OF_BYTES:
                    most = PLACES if tag in _OF_PLACES else NUMBERS
                    check_limit(numbers, most, f"numbers in its tag {tag}")
                at += step
            (at,) = struct.unpack_from(order + place, data, at)
    except struct.error:  # it is cut off
        return


def check_exif(data: bytes) -> None:
    """Sum up the EXIF items of an AVIF or HEIC (ISO 14496-12, 8.11). Raises ImageTooLarge."""
    try:
        for kind, start, end in _boxes(data, 0, len(data)):
            if kind == b"meta":
                inner = list(_boxes(data, start + 4, end))
                types = {n: t for k, a, b in inner if k == b"iinf" for n, t in _types(data, a, b)}
                for size in [s for k, a, _ in inner if k == b"iloc" for s in _sizes(data, a)]:
                    if types.get(size[0]) == b"Exif":
                        check_limit(size[1], EXIF_BYTES, "bytes of EXIF")
    except (struct.error, IndexError):  # it is cut off
        return


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, begin of the content and end of each box in a part of a file."""
    for _ in range(BOXES):
        if at + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        stop = end if size == 0 else min(end, at + size)
        if stop < start:
            return
        yield kind, start, stop
        at = stop


def _types(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Number and type of each item that `iinf` lists."""
    first = start + (6 if data[start] == 0 else 8)
    for kind, at, _ in _boxes(data, first, end):
        if kind == b"infe" and data[at] >= 2:
            form = ">H2x4s" if data[at] == 2 else ">I2x4s"
            yield struct.unpack_from(form, data, at + 4)


def _sizes(data: bytes, start: int) -> Iterator[tuple[int, int]]:
    """Number and size in bytes of each item that `iloc` places; 0: all that it points to."""
    version, sizes = data[start], data[start + 4 : start + 6]
    offset, length, base = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index = sizes[1] & 15 if version in (1, 2) else 0
    wide = 4 if version == 2 else 2
    count, at = int.from_bytes(data[start + 6 : start + 6 + wide], "big"), start + 6 + wide
    for _ in range(min(count, BOXES)):
        number = int.from_bytes(data[at : at + wide], "big")
        at += wide + (2 if version in (1, 2) else 0) + 2 + base
        (extents,) = struct.unpack_from(">H", data, at)
        at += 2
        total = 0
        for _ in range(extents):
            at += index + offset
            size = int.from_bytes(data[at : at + length], "big")
            total += size or len(data)
            at += length
        yield number, total

"""What a TIFF may hold beside its pixels, which its decoder reads at once.

Pillow makes an object of each number in a tag that it asks for when it opens a file, before any
limit can be checked. So the directories of a TIFF are stepped through first, as Pillow does it;
what it passes over, because it does not lie in the file, is passed over here, too.
"""

import struct
from typing import NamedTuple

from models.decoding.limits import Limits, check_limit
from models.decoding.tiff_parts import PARTS, SIZES
from models.errors import ImageUnreadable

NUMBERS = 8_192  # in one tag
ALL_NUMBERS = 65_536  # in all tags of a file: a third of a second, if they are fractions
PLACES = PARTS  # of strips or tiles, in one table
ALL_PLACES = 2 * PLACES
ENTRIES = 50_000  # in all directories of a file

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
          16: 8, 17: 8, 18: 8}  # of a type, in bytes  # fmt: skip
_WHOLE = {3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 13: "L", 16: "Q"}  # types of whole numbers
_BYTES = {1, 2, 7}  # BYTE, ASCII, UNDEFINED: copied as they are, where nothing is computed of them
_COMPUTED = {256, 257, 258, 259, 262, 266, 274, 277, 278, 282, 283, 284, 296, 317, 320, 322, 323,
             338, 339, 530}  # fmt: skip
_PLACES = {273, 279, 324, 325}  # where strips and tiles begin, and how long they are
_PLACE_KINDS = {3, 4, 13, 16}
_SIZE_KINDS = {3, 4, 16}  # whole numbers that Pillow and libtiff read alike
_PARTS = {34665, 34853, 40965}  # directories of EXIF: all tags in them are read
_PALETTE, _PALETTE_NUMBERS, _SHORT = 320, 768, 3
_TIFF = (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0", b"MM\0+")  # as Pillow knows it


class _Entry(NamedTuple):
    """A tag of a directory, whose data lies in the file."""

    tag: int
    kind: int
    numbers: int
    start: int
    inline: bool


class _Totals:
    """What all directories of a file have together."""

    def __init__(self) -> None:
        self.entries = self.numbers = self.places = 0


def check_tags(data: bytes, limits: Limits) -> None:
    """Refuse a TIFF with more beside its pixels than it may have.

    Raises:
        ImageTooLarge, ImageUnreadable.
    """
    if "TIFF" in limits.formats and data.startswith(_TIFF):
        _check_directories(data, limits)


def _check_directories(data: bytes, limits: Limits) -> None:
    """All pictures of a TIFF are counted; of the first one its EXIF is read, too."""
    if data.startswith(b"MM\0+"):  # Pillow takes it for a TIFF, libtiff does not
        raise ImageUnreadable("a BigTIFF of the byte order MM: save it as an ordinary TIFF")
    order, large = "<" if data.startswith(b"II") else ">", data[2:3] == b"+"
    totals, seen = _Totals(), set[int]()
    at = _offset(data, 8 if large else 4, order, large)
    while at and at not in seen:
        seen.add(at)
        check_limit(len(seen), limits.frames, "frames")
        entries, following = _directory(data, at, order, large, totals)
        if len(seen) == 1:
            _check_sizes(entries)
        parts = _parts(data, entries, order) if len(seen) == 1 else []
        beside = set[int]()
        while parts:
            part = parts.pop()
            if part not in beside:
                beside.add(part)
                parts += _parts(data, _directory(data, part, order, large, totals)[0], order)
        at = following


def _directory(
    data: bytes, at: int, order: str, large: bool, totals: _Totals
) -> tuple[list[_Entry], int]:
    """Check a directory: the entries whose data is there, and where the next directory is."""
    form = struct.Struct(order + ("HHQQ" if large else "HHLL"))
    head, inline = (8, 8) if large else (2, 4)
    if not 0 <= at <= len(data) - head:
        return [], 0
    (listed,) = struct.unpack_from(order + ("Q" if large else "H"), data, at)
    first = at + head
    there = min(listed, (len(data) - first) // form.size)
    totals.entries += there
    check_limit(totals.entries, ENTRIES, "tags")
    entries, total = [], 0
    for number in range(there):
        place = first + number * form.size
        tag, kind, count, start = form.unpack_from(data, place)
        size = count * _SIZES.get(kind, 0)
        within = size <= inline
        if within:
            start = place + form.size - inline
        elif start + size > len(data):  # no decoder reads it
            continue
        else:
            total += size
        if size:
            entry = _Entry(tag, kind, count, start, within)
            entries.append(entry)
            _count(entry, totals)
    check_limit(total, len(data), "bytes in the tags of one picture")
    return entries, _offset(data, first + there * form.size, order, large)


def _check_sizes(entries: list[_Entry]) -> None:
    """Refuse sizes of which libtiff reads others than Pillow: the first, or of another type."""
    found = set[int]()
    for tag, kind, *_ in entries:
        if tag in SIZES and (tag in found or kind not in _SIZE_KINDS):
            raise ImageUnreadable(f"the image is damaged: the tag {tag} of a TIFF is ambiguous")
        found.add(tag)


def _count(entry: _Entry, totals: _Totals) -> None:
    """Count what becomes objects. Raises ImageTooLarge."""
    tag, kind, count = entry[:3]
    if tag in _PLACES and kind in _PLACE_KINDS:
        totals.places += count
        check_limit(count, PLACES, f"numbers in its tag {tag}")
        check_limit(totals.places, ALL_PLACES, "places of strips and tiles")
    elif kind not in _BYTES or tag in _COMPUTED | _PLACES:
        check_limit(count, NUMBERS, f"numbers in its tag {tag}")
        if not (tag == _PALETTE and kind == _SHORT and count <= _PALETTE_NUMBERS):
            totals.numbers += count
        check_limit(totals.numbers, ALL_NUMBERS, "numbers in its tags")


def _parts(data: bytes, entries: list[_Entry], order: str) -> list[int]:
    """Where the directories of EXIF begin that these entries name."""
    found = [entry for entry in entries if entry.tag in _PARTS and entry.kind in _WHOLE]
    return [struct.unpack_from(order + _WHOLE[one.kind], data, one.start)[0] for one in found]


def _offset(data: bytes, at: int, order: str, large: bool) -> int:
    """A place in the file; 0 where the file ends before it."""
    form = struct.Struct(order + ("Q" if large else "L"))
    return form.unpack_from(data, at)[0] if at + form.size <= len(data) else 0

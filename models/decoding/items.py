"""What the items of an AVIF or HEIC cost: pictures by their true size, EXIF and XMP by their bytes.

Their decoders decode whole whatever pictures a file names, tile by tile, and scale it down to the
size that the file states; they keep all metadata. So everything is added up first. The tables (ISO
14496-12, section 8.11) are looked for everywhere, by name: boxes can be nested, and be long, in
ways that decoders take differently. What is named in several tables counts as the most costly.
"""

from collections.abc import Iterator
from typing import NamedTuple

from models.decoding.av1 import Coded, coded_size
from models.decoding.image_stream import big_endian
from models.decoding.limits import Limits, check_limit
from models.errors import ImageTooLarge

EXIF_BYTES = 262_144  # in one item; cameras write up to half of it
ALL_METADATA = 4 * EXIF_BYTES  # in all items that are no pictures
ALL_COPIES = 128 * 2**20  # bytes: libheif gives each picture its own, perhaps the same to all
ALL_PICTURES = 4  # times the pixels of the largest photo: with alpha, depth, gain map, small ones
BLOCK = 64 * 64  # pixels
OPTION = "--max-megapixels sets it"
SHARED = 2  # times the bytes of the file: pictures do not share theirs

_METADATA = {b"Exif", b"mime"}  # EXIF and XMP, as kinds of items
_MADE = {b"grid", b"iovl", b"iden", b"tmap", b"tili", b"sato"}  # of other pictures
_CODED = {b"hvc1", b"hev1", b"av01", b"avc1", b"vvc1", b"jpeg", b"j2k1", b"unci", b"mski"}


class _Piece(NamedTuple):
    """A part of an item: where it may begin, counted from what, and its bytes."""

    in_idat: bool
    start: int
    length: int


class _Budget:
    """Steps through all tables of a file, which may name one another's bytes again and again."""

    def __init__(self, limits: Limits):
        self._most, self._taken = 4 * limits.parts, 0

    def take(self, count: int, unit: str) -> None:
        """Count steps. Raises ImageTooLarge."""
        self._taken += count
        check_limit(self._taken, self._most, unit)


def check_items(data: bytes, limits: Limits) -> int:
    """Refuse an AVIF or HEIC that costs more than a photo may.

    Returns:
        The pixels of its largest picture as it is decoded; 0 for files of other kinds.

    Raises:
        ImageTooLarge.
    """
    if data[4:8] != b"ftyp" or not {"AVIF", "HEIF"} & set(limits.formats):
        return 0
    budget = _Budget(limits)
    kinds = _kinds(data, limits)
    places = _places(data, limits, budget)
    _check_metadata(data, kinds, places)
    stated = _stated_pixels(data, limits, budget)
    seen: dict[tuple[_Piece, ...], Coded] = {}
    largest = total = shared = 0
    for number, of in kinds.items():
        if not of & _CODED:
            continue
        found = [Coded(stated.get(number, 0), stated.get(number, 0))]
        for pieces in places.get(number, []):
            shared += sum(min(piece.length or len(data), len(data)) for piece in pieces)
            if b"av01" in of:
                if pieces not in seen:
                    check_limit(shared, SHARED * len(data), "bytes that its pictures share")
                    seen[pieces] = _coded(data, pieces, limits)
                found.append(seen[pieces])
        _check_picture(max(one.stated for one in found), limits)
        most = max(one.most for one in found)
        largest, total = max(largest, most), total + most
    for start in _first_samples(data, limits):
        one = coded_size(memoryview(data)[start:], limits.parts)
        _check_picture(one.stated, limits)
        largest, total = max(largest, one.most), total + one.stated
    most = ALL_PICTURES * limits.pixels
    if total > most:
        raise ImageTooLarge(total, most, "pixels in all its pictures", OPTION)
    return largest


def _check_picture(pixels: int, limits: Limits) -> None:
    """Refuse a picture too large; it may be coded in blocks that reach beyond its edges."""
    most = limits.pixels + limits.pixels // 8 + BLOCK
    if pixels > most:
        raise ImageTooLarge(pixels, most, "pixels in a picture, as it is coded", OPTION)


def _check_metadata(
    data: bytes, kinds: dict[int, set[bytes]], places: dict[int, list[tuple[_Piece, ...]]]
) -> None:
    """Add up EXIF, XMP and what else is no picture. Raises ImageTooLarge."""
    wanted = {number for number, of in kinds.items() if not of <= _CODED | _MADE}
    sizes = {
        number: max(
            sum(piece.length or len(data) for piece in pieces)  # 0: to the end
            for pieces in places[number]
        )
        for number in wanted & places.keys()
    }
    longest = max((size for one, size in sizes.items() if kinds[one] & _METADATA), default=0)
    if longest > EXIF_BYTES:
        raise ImageTooLarge(longest, EXIF_BYTES, "bytes of EXIF or XMP", "save it without them")
    total = sum(sizes.values())
    check_limit(total, ALL_METADATA, "bytes beside its pictures")
    check_limit(total * (len(kinds) - len(wanted)), ALL_COPIES, "bytes beside all its pictures")


def _coded(data: bytes, pieces: tuple[_Piece, ...], limits: Limits) -> Coded:
    """The size of an AV1 picture, wherever its pieces may lie."""
    inside = any(piece.in_idat for piece in pieces)
    starts = list(_bodies(data, b"idat", limits)) if inside else [0]
    found = [
        coded_size(
            b"".join(
                data[(at if one.in_idat else 0) + one.start :][: one.length or len(data)]
                for one in pieces
            ),
            limits.parts,
        )
        for at in starts
    ]
    return Coded(
        max((one.stated for one in found), default=0), max((one.most for one in found), default=0)
    )


def _kinds(data: bytes, limits: Limits) -> dict[int, set[bytes]]:
    """The kinds of each item, by its number."""
    kinds: dict[int, set[bytes]] = {}
    for at in _bodies(data, b"infe", limits):
        version, of_number = data[at], 2 if data[at] < 3 else 4
        kind = at + 6 + of_number
        if version >= 2:  # before, items had no kind
            number = big_endian(data, at + 4, of_number)
            kinds.setdefault(number, set()).add(data[kind : kind + 4])
    return kinds


def _stated_pixels(data: bytes, limits: Limits, budget: _Budget) -> dict[int, int]:
    """The pixels that properties state of each item (`ispe`, by way of `ipma`)."""
    lists = [_areas(data, at, limits, budget) for at in _bodies(data, b"ipco", limits)]
    found: dict[int, int] = {}
    for at in _bodies(data, b"ipma", limits):
        of_number, wide = (4 if data[at] else 2), data[at + 3] & 1
        count = big_endian(data, at + 4, 4)
        budget.take(count, "items")
        at += 8
        for _ in range(count):
            number, of = big_endian(data, at, of_number), big_endian(data, at + of_number, 1)
            at += of_number + 1
            budget.take(of // 16, "properties of items")
            for _ in range(of):
                index = big_endian(data, at, 1 + wide) & (0x7FFF if wide else 0x7F)
                at += 1 + wide
                areas = (one.get(index, 0) for one in lists)
                found[number] = max(found.get(number, 0), *areas) if lists else 0
    return found


def _areas(data: bytes, at: int, limits: Limits, budget: _Budget) -> dict[int, int]:
    """Width x height of the sizes among a list of properties, by their place, from 1."""
    end = at - 8 + (big_endian(data, at - 8, 4) or len(data))
    found: dict[int, int] = {}
    for place in range(1, limits.parts + 2):
        size, head = big_endian(data, at, 4), 8
        if size == 1:  # told by eight bytes after the name
            size, head = big_endian(data, at + 8, 8), 16
        if at + head > end or 0 < size < head:
            break
        budget.take(1, "properties of items")
        if data[at + 4 : at + 8] == b"ispe":
            area = big_endian(data, at + head + 4, 4) * big_endian(data, at + head + 8, 4)
            found[place] = area
        at += size or len(data)
    return found


def _first_samples(data: bytes, limits: Limits) -> Iterator[int]:
    """Where the first frame of each track begins: the others are not decoded."""
    for name, size in ((b"stco", 4), (b"co64", 8)):
        for at in _bodies(data, name, limits):
            yield big_endian(data, at + 8, size)


def _bodies(data: bytes, name: bytes, limits: Limits) -> Iterator[int]:
    """Where the content of each box of a name begins."""
    found, at = 0, data.find(name)
    while at >= 0:
        found += 1
        check_limit(found, limits.parts, "items")
        long = data[max(0, at - 4) : at] == b"\0\0\0\1"  # its size follows its name, of 8 bytes
        body = at + (12 if long else 4)
        if body + 8 <= len(data):
            yield body
        at = data.find(name, at + 4)


def _places(data: bytes, limits: Limits, budget: _Budget) -> dict[int, list[tuple[_Piece, ...]]]:
    """Where the pieces of each item lie, by its number, once for each table that names it."""
    found: dict[int, list[tuple[_Piece, ...]]] = {}
    for at in _bodies(data, b"iloc", limits):
        version, sizes = data[at], big_endian(data, at + 4, 2)
        if version > 2:
            continue
        of_offset, of_length, of_base = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
        of_index = sizes & 15 if version else 0
        of_number = 4 if version == 2 else 2
        count = big_endian(data, at + 6, of_number)
        check_limit(count, limits.parts, "items")
        budget.take(count, "items")
        at += 6 + of_number
        for _ in range(count):
            number = big_endian(data, at, of_number)
            at += of_number
            method = big_endian(data, at, 2) & 15 if version else 0
            at += (4 if version else 2) + of_base
            base = big_endian(data, at - of_base, of_base)
            extents = big_endian(data, at, 2)
            at += 2
            check_limit(extents, limits.parts, "pieces of an item")
            budget.take(extents, "pieces of items")
            pieces = []
            for _ in range(extents):
                start = base + big_endian(data, at + of_index, of_offset)
                length = big_endian(data, at + of_index + of_offset, of_length)
                pieces.append(_Piece(method == 1, start, length))
                at += of_index + of_offset + of_length
            found.setdefault(number, []).append(tuple(pieces))
    return found

"""What the items of an AVIF or HEIC cost: pictures by their true size, EXIF and XMP by their bytes.

Their decoders decode whole whatever pictures a file names, tile by tile and frame by frame, and
scale it down to the size that the file states; they keep all metadata. So everything is added up
first, by the tables of the file (boxes.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from models.decoding.heif.av1 import Coded, coded_size
from models.decoding.heif.boxes import Boxes, Owned, Piece
from models.decoding.heif.hevc import count_settled, count_slices
from models.decoding.heif.made import MADE, check_made
from models.decoding.image_stream import big_endian
from models.decoding.limits import Limits, check_limit
from models.errors import ImageTooLarge

EXIF_BYTES = 262_144  # in one item; cameras write up to half of it
ALL_METADATA = 4 * EXIF_BYTES  # in all items that are no pictures
ALL_COPIES = 16 * 2**20  # bytes: each picture gets its own of a profile, and of what describes it
ALL_PICTURES = 4  # times the pixels of the largest photo: with alpha, depth, gain map, small ones
BLOCK = 64 * 64  # pixels
OPTION = "--max-megapixels sets it"
SHARED = 2  # times the bytes of the file: pictures do not share theirs
# Of all pictures, a shared one for each time: HEVC takes half a second a million where there are
# many pixels too, AV1 less than a fifth.
CODED_BYTES = {"HEVC": 8_000_000, "AV1": 16_000_000}
GRID_BYTES = 12  # in which a grid states its size
TURNS = 4  # of a picture, each of which makes it anew: it is cut, mirrored and turned once

_METADATA = {b"Exif", b"mime"}  # EXIF and XMP, as kinds of items
_HEVC = {b"hvc1", b"hev1"}
_CODED = {*_HEVC, b"av01", b"avc1", b"vvc1", b"jpeg", b"j2k1", b"unci", b"mski"}


@dataclass
class _File:
    """A file and what its tables say."""

    data: bytes
    limits: Limits
    boxes: Boxes
    kinds: dict[int, set[bytes]]
    places: dict[int, list[tuple[Piece, ...]]]
    owned: dict[int, Owned]
    references: dict[tuple[bytes, int], list[int]]
    seen: dict[tuple[Piece, ...], Coded] = field(default_factory=dict)
    shared: int = 0  # bytes of all that was seen
    coded: int = 0  # bytes that are decoded, also those that were seen before


def check_items(data: bytes, limits: Limits) -> int:
    """Refuse an AVIF or HEIC that costs more than a photo may.

    Returns:
        The pixels of its largest picture as it is decoded; 0 for files of other kinds.

    Raises:
        ImageTooLarge, ImageUnsupported.
    """
    if data[4:8] != b"ftyp" or not {"AVIF", "HEIF"} & set(limits.formats):
        return 0
    boxes = Boxes(data, limits)
    kinds, places = boxes.kinds(), boxes.places()
    file = _File(data, limits, boxes, kinds, places, boxes.properties(), boxes.references())
    check_made(kinds, file.references)
    _check_owned(file, _check_metadata(file))
    largest = total = 0
    for one in _pictures(file):
        _check_picture(one.stated, limits)
        largest, total = max(largest, one.most), total + one.most * max(one.frames, 1)
    for start in _first_samples(file):
        one = coded_size(memoryview(data)[start:], limits.parts, first_shown=True)
        _check_picture(one.stated, limits)
        largest = max(largest, one.most)
        total += one.stated + one.most * max(one.frames - 1, 0)
    most = ALL_PICTURES * limits.pixels
    if total > most:
        raise ImageTooLarge(total, most, "pixels in all its pictures", OPTION)
    return max(largest, _largest_canvas(file))


def _check_picture(pixels: int, limits: Limits) -> None:
    """Refuse a picture too large; it may be coded in blocks that reach beyond its edges."""
    most = limits.pixels + limits.pixels // 8 + BLOCK
    if pixels > most:
        raise ImageTooLarge(pixels, most, "pixels in a picture, as it is coded", OPTION)


def _check_metadata(file: _File) -> dict[int, int]:
    """Add up EXIF, XMP and what else is no picture.

    Returns:
        Their bytes, by the number of their item.

    Raises:
        ImageTooLarge.
    """
    kinds, places = file.kinds, file.places
    wanted = {number for number, of in kinds.items() if not of <= _CODED | MADE}
    sizes = {
        number: max(
            sum(piece.length or len(file.data) for piece in pieces)  # 0: to the end
            for pieces in places[number]
        )
        for number in wanted & places.keys()
    }
    longest = max((size for one, size in sizes.items() if kinds[one] & _METADATA), default=0)
    if longest > EXIF_BYTES:
        raise ImageTooLarge(longest, EXIF_BYTES, "bytes of EXIF or XMP", "save it without them")
    check_limit(sum(sizes.values()), ALL_METADATA, "bytes beside its pictures")
    return sizes


def _check_owned(file: _File, sizes: dict[int, int]) -> None:
    """Add up what each picture has to itself, though the file has it once. Raises ImageTooLarge."""
    copies = sum(one.size for one in file.owned.values())
    for (name, source), named in file.references.items():
        if name == b"cdsc":  # it describes them
            copies += sizes.get(source, 0) * len(named)
    check_limit(copies, ALL_COPIES, "bytes beside all its pictures")
    for one in file.owned.values():
        check_limit(one.turns, TURNS, "turns of a picture")


def _largest_canvas(file: _File) -> int:
    """The pixels of the largest grid, by its own words: room for it is made before its tiles."""
    largest = 0
    for number, of in file.kinds.items():
        for pieces in file.places.get(number, []) if b"grid" in of else []:
            for content in file.boxes.contents(pieces, GRID_BYTES):
                wide = 4 if content[1:2] and content[1] & 1 else 2
                pixels = big_endian(content, 4, wide) * big_endian(content, 4 + wide, wide)
                _check_picture(pixels, file.limits)
                largest = max(largest, pixels)
    return largest


def _pictures(file: _File) -> Iterator[Coded]:
    """What each coded item costs, by what is stated of it and by what it holds."""
    settled = 0
    for at in file.boxes.bodies(b"hvcC"):
        size = big_endian(file.data, at - 8, 4)
        settled += count_settled(file.data[at : at + size], file.limits.parts)
    for number, of in file.kinds.items():
        if not of & _CODED:
            continue
        stated = file.owned.get(number, Owned()).pixels
        found = [Coded(stated, stated)]
        if of & {*_HEVC, b"av01"}:
            found += [_coded(file, pieces, of) for pieces in file.places.get(number, [])]
        yield Coded(
            max(one.stated for one in found),
            max(one.most for one in found),
            max(one.frames for one in found) + settled,
        )


def _coded(file: _File, pieces: tuple[Piece, ...], of: set[bytes]) -> Coded:
    """What the bytes of a picture come to. Raises ImageTooLarge."""
    file.coded += sum(piece.length or len(file.data) for piece in pieces)  # 0: to the end
    allowed = CODED_BYTES["HEVC" if of & _HEVC else "AV1"]
    check_limit(file.coded, allowed, "bytes of coded pictures")
    if pieces not in file.seen:
        most = Coded(0, 0)
        for content in file.boxes.contents(pieces):
            file.shared += len(content)
            check_limit(file.shared, SHARED * len(file.data), "bytes that its pictures share")
            one = coded_size(content, file.limits.parts) if b"av01" in of else Coded(0, 0)
            slices = count_slices(content, file.limits.parts) if of & _HEVC else 0
            most = Coded(
                max(most.stated, one.stated),
                max(most.most, one.most),
                max(most.frames, one.frames, slices),
            )
        file.seen[pieces] = most
    return file.seen[pieces]


def _first_samples(file: _File) -> Iterator[int]:
    """Where the first frame of each track begins: the others are not decoded."""
    for name, size in ((b"stco", 4), (b"co64", 8)):
        for at in file.boxes.bodies(name):
            yield big_endian(file.data, at + 8, size)

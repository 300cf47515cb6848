"""Pictures of a HEIC or AVIF that are made of others, or hidden, cost no more than a photo."""

import struct

import pytest

from models.decoding.heif.av1 import coded_size
from models.decoding.heif.hevc import count_slices
from models.decoding.heif.items import check_items
from models.errors import ImageTooLarge, ImageUnsupported
from models.images import FORMATS, MORE_FORMATS, Framing, Limits, decode_image
from tests.test_images_coded import avif
from tests.test_images_items import box, infe
from tests.test_images_kinds import HEIC

AREA = 64 * 64  # pixels of each picture
SLICE = HEIC[HEIC.rfind(b"mdat") + 4 :][:0x77]
HIDDEN, SHOWN = b"\x32\x01\x20", b"\x32\x01\x30"  # frames of AV1, by their first bits


def limits(pixels=AREA):
    return Limits(pixels=pixels, formats=FORMATS + MORE_FORMATS)


def own(name):
    """A property of the photo of the other tests."""
    at = HEIC.find(name) - 4
    return HEIC[at:][: struct.unpack(">I", HEIC[at : at + 4])[0]]


def ispe(width, height):
    return box(b"ispe", struct.pack(">III", 0, width, height))


HVCC = own(b"hvcC")
PROPERTIES = (HVCC, ispe(64, 64), own(b"pixi"), box(b"irot", b"\1"), ispe(128, 128))
ALPHA = box(b"auxC", bytes(4) + b"urn:mpeg:hevc:2015:auxid:1\0")
GAIN = box(b"auxC", bytes(4) + b"urn:com:apple:photo:2020:aux:hdrgainmap\0")
CODED, MADE, GRID = [0x81, 2, 3], [2, 3], [5, 3]  # properties, by their place


def grid(rows, columns, width, height):
    return struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)


def heic(items, references=(), properties=PROPERTIES, brand=b"heic"):
    """A HEIC; the first item is the photo.

    Args:
        items: their kinds, properties and content, by their numbers.
        references: kind, number, and the numbers that it names.
    """
    owned = struct.pack(">II", 0, len(items)) + b"".join(
        struct.pack(">HB", number, len(of)) + bytes(of) for number, (_, of, _) in items.items()
    )
    kinds = b"".join(infe(number, kind) for number, (kind, _, _) in items.items())
    named = b"".join(
        box(kind, struct.pack(f">HH{len(to)}H", number, len(to), *to))
        for kind, number, to in references
    )

    def head(at):
        table = struct.pack(">B3xBBH", 0, 0x44, 0, len(items))
        for number, (_, _, content) in items.items():
            table += struct.pack(">HHHII", number, 0, 1, at, len(content))
            at += len(content)
        boxes = (
            box(b"hdlr", bytes(8) + b"pict" + bytes(13)),
            box(b"pitm", struct.pack(">IH", 0, next(iter(items)))),
            box(b"iloc", table),
            box(b"iinf", struct.pack(">IH", 0, len(items)) + kinds),
            box(b"iref", bytes(4) + named) if named else b"",
            box(b"iprp", box(b"ipco", b"".join(properties)) + box(b"ipma", owned)),
        )
        meta = box(b"meta", bytes(4) + b"".join(boxes))
        return box(b"ftyp", brand + bytes(4) + brand + b"mif1") + meta

    content = b"".join(content for _, _, content in items.values())
    return head(len(head(0)) + 8) + box(b"mdat", content)


def coded(*numbers, of=CODED):
    return dict.fromkeys(numbers, (b"hvc1", of, SLICE))


TILES = [10, 11, 12, 13]
TILED = {1: (b"grid", GRID, grid(2, 2, 128, 128)), **coded(*TILES)}
OVER = struct.pack(">BB4HHH", 0, 0, 0, 0, 0, 65_535, 32_000, 32_000) + bytes(4)
NEVER = {  # what no camera writes: its items, their references, and what is said of it
    "a large overlay of a small picture": (
        {1: (b"iovl", MADE, OVER), **coded(2)},
        [(b"dimg", 1, [2])],
        "pictures laid over each other",
    ),
    "a copy of a copy": (
        {1: (b"iden", MADE, b""), 2: (b"iden", MADE, b""), **coded(3)},
        [(b"dimg", 1, [2]), (b"dimg", 2, [3])],
        "made of pictures that are made",
    ),
    "a grid of grids": (
        {
            1: (b"grid", GRID, grid(1, 1, 64, 64)),
            2: (b"grid", GRID, grid(1, 1, 64, 64)),
            **coded(3),
        },
        [(b"dimg", 1, [2]), (b"dimg", 2, [3])],
        "made of pictures that are made",
    ),
    "a grid of tone maps": (
        {1: (b"grid", GRID, grid(1, 1, 64, 64)), 2: (b"tmap", MADE, bytes(62)), **coded(3, 4)},
        [(b"dimg", 1, [2]), (b"dimg", 2, [3, 4])],
        "made of pictures that are made",
    ),
    "a grid of one tile": (TILED, [(b"dimg", 1, [10] * 4)], "names another twice"),
    "one alpha of all tiles": (
        {**TILED, **coded(2)},
        [(b"dimg", 1, TILES), (b"auxl", 2, TILES)],
        "part of two others",
    ),
    "two grids of the same tiles": (
        {**TILED, 2: TILED[1]},
        [(b"dimg", 1, TILES), (b"dimg", 2, TILES)],
        "part of two others",
    ),
    "a grid that is the alpha of its tile": (
        TILED,
        [(b"dimg", 1, TILES), (b"auxl", 1, [10])],
        "pictures in pictures",
    ),
    "alpha of alpha of alpha": (
        coded(1, 2, 3, 4, 5),
        [(b"auxl", one + 1, [one]) for one in range(1, 5)],
        "pictures in pictures, on 4 levels",
    ),
}


@pytest.mark.parametrize("name", NEVER)
def test_pictures_made_of_others_as_no_camera_makes_them_are_refused(name):
    items, references, said = NEVER[name]
    with pytest.raises(ImageUnsupported, match=f"{said}.*save it as JPEG or PNG"):
        decode_image(heic(items, references), Framing(16), limits(16 * AREA))


def test_two_items_of_which_each_is_the_other_one_s_alpha_are_refused():
    loop = [(b"auxl", 1, [2]), (b"auxl", 2, [1])]
    with pytest.raises(ImageUnsupported, match="pictures in pictures"):
        check_items(heic(coded(1, 2), loop), limits())


EXIF = (b"Exif", [], bytes(4) + b"MM\0*\0\0\0\x08\0\0\0\0\0\0")
XMP = (b"mime", [], b"<x:xmpmeta/>")
DESCRIBED = [(b"cdsc", 40, [1]), (b"cdsc", 41, [1])]
BESIDE = [(b"thmb", 30, [1]), (b"auxl", 31, [1]), *DESCRIBED]
PHONES = {  # as their photos are: the items and references, and the sides in px
    "one picture": (coded(1), [], 64),
    "with alpha": ({**coded(1), **coded(2, of=[*CODED, 6])}, [(b"auxl", 2, [1])], 64),
    "with a thumbnail, a gain map, EXIF and XMP": (
        {**coded(1, 30), **coded(31, of=[*CODED, 7]), 40: EXIF, 41: XMP},
        BESIDE,
        64,
    ),
    "tiles, with all that": (
        {**TILED, **coded(30), **coded(31, of=[*CODED, 7]), 40: EXIF, 41: XMP},
        [(b"dimg", 1, TILES), *BESIDE],
        128,
    ),
    "a tone map of tiles beside them, whose gain map has tiles too": (
        {
            **TILED,
            2: (b"tmap", MADE, bytes(62)),
            3: (b"grid", [*GRID, 7], TILED[1][2]),
            **coded(20, 21, 22, 23),
        },
        [
            (b"dimg", 1, TILES),
            (b"dimg", 3, [20, 21, 22, 23]),
            (b"dimg", 2, [1, 3]),
            (b"auxl", 3, [1, 2]),
        ],
        128,
    ),
    "shown through another item": (
        {1: (b"iden", MADE, b""), **coded(2)},
        [(b"dimg", 1, [2])],
        64,
    ),
}


@pytest.mark.parametrize("name", PHONES)
def test_what_phones_write_is_accepted(name):
    items, references, side = PHONES[name]
    data = heic(items, references, (*PROPERTIES, ALPHA, GAIN))
    assert check_items(data, limits(side * side)) == side * side
    pytest.importorskip("pi_heif")
    assert decode_image(data, Framing(16), limits(side * side)).shape == (16, 16, 3)


def test_a_profile_counts_once_for_each_picture_that_has_it():
    profile = box(b"colr", b"prof" + bytes(2**20 - 12))  # a whole megabyte
    many = coded(*range(1, 17), of=[*CODED, 6])
    with pytest.raises(ImageTooLarge, match=r"16,779,\d+ bytes beside all its pictures"):
        check_items(heic(many, (), (*PROPERTIES, profile)), limits(16 * AREA))
    del many[16]
    check_items(heic(many, (), (*PROPERTIES, profile)), limits(16 * AREA))


def test_exif_counts_once_for_each_time_that_it_names_a_picture():
    exif = (b"Exif", [], bytes(200_000))
    items = {**coded(1), 2: exif}
    check_items(heic(items, [(b"cdsc", 2, [1] * 80)]), limits())
    with pytest.raises(ImageTooLarge, match=r"18,000,\d+ bytes beside all its pictures"):
        check_items(heic(items, [(b"cdsc", 2, [1] * 45)] * 2), limits())


def test_a_picture_may_be_turned_only_so_often():
    check_items(heic(coded(1, of=[*CODED, *[0x84] * 4])), limits())
    with pytest.raises(ImageTooLarge, match="5 turns of a picture; the limit is 4"):
        check_items(heic(coded(1, of=[*CODED, *[0x84] * 5])), limits())


def test_slices_count_as_pictures_wherever_they_stand():
    assert count_slices(SLICE * 3, 10) == 3
    assert check_items(heic({1: (b"hvc1", CODED, SLICE * 4)}), limits()) == AREA
    with pytest.raises(
        ImageTooLarge, match="20,480 pixels in all its pictures; the limit is 16,384"
    ):
        check_items(heic({1: (b"hvc1", CODED, SLICE * 5)}), limits())
    unit = SLICE[2:]  # its length, of two bytes, and itself
    lists = HVCC[8:30] + bytes([HVCC[30] + 1]) + HVCC[31:] + b"\x94\0\4" + unit * 4
    with pytest.raises(ImageTooLarge, match="20,480 pixels in all its pictures"):
        check_items(heic(coded(1), (), (box(b"hvcC", lists), *PROPERTIES[1:])), limits())
    with pytest.raises(ImageTooLarge, match="11 units of HEVC"):
        count_slices(b"\0\0\0\2\x40\1" * 11, 10)


def test_a_grid_counts_by_its_own_words():
    lying = {**TILED, 1: (b"grid", GRID, grid(2, 2, 20_000, 20_000))}
    with pytest.raises(ImageTooLarge, match="400,000,000 pixels in a picture, as it is coded"):
        check_items(heic(lying, [(b"dimg", 1, TILES)]), limits(16 * AREA))
    wide = struct.pack(">BBBBII", 0, 1, 1, 1, 80_000, 1)
    with pytest.raises(ImageTooLarge, match="80,000 pixels in a picture, as it is coded"):
        check_items(heic({**TILED, 1: (b"grid", GRID, wide)}), limits(15 * AREA))


def test_a_size_is_not_hidden_behind_a_thousand_properties():
    many = (*[box(b"free", b"")] * 1_000, *PROPERTIES)
    with pytest.raises(ImageTooLarge, match="1,001 properties of items"):
        check_items(heic(coded(1), (), many), limits())


def sequence_of(data):
    """The sequence header of an AVIF, as a unit."""
    stream = data[data.rfind(b"mdat") + 4 :]
    at = stream.index(b"\x0a")
    return stream[at : at + 2 + stream[at + 1]]


def test_hidden_frames_of_an_avif_count_as_pictures():
    sequence = sequence_of(avif(64, 64))

    def holding(hidden):
        item = sequence + HIDDEN * hidden + SHOWN
        return heic({1: (b"av01", MADE, item)}, brand=b"avif")

    assert coded_size(sequence + HIDDEN * 5 + SHOWN, 10).frames == 6
    assert check_items(holding(3), limits()) == AREA
    with pytest.raises(
        ImageTooLarge, match="20,480 pixels in all its pictures; the limit is 16,384"
    ):
        check_items(holding(4), limits())


def test_frames_of_a_sequence_count_up_to_the_first_that_is_shown():
    sequence = sequence_of(avif(64, 64))
    stream = sequence + HIDDEN * 4 + SHOWN + HIDDEN * 30
    assert coded_size(stream, 50, first_shown=True).frames == 5
    assert coded_size(stream, 50).frames == 35
    samples = box(b"stco", struct.pack(">III", 0, 1, 32)) + stream  # after `ftyp` and this table
    track = box(b"ftyp", b"avis" + bytes(4)) + samples
    track = track.replace(struct.pack(">I", 32), struct.pack(">I", track.index(sequence)))
    with pytest.raises(ImageTooLarge, match="20,480 pixels in all its pictures"):
        check_items(track, limits())
    assert check_items(track.replace(HIDDEN * 4, SHOWN + HIDDEN * 3), limits()) == AREA

"""EXIF and XMP of AVIF and HEIC cost no more than their limits, however they are stored."""

import struct
import time

import numpy as np
import pytest
from PIL import Image

from models.decoding.heif.items import check_items
from models.errors import ImageError, ImageTooLarge
from models.images import FORMATS, MORE_FORMATS, Framing, Limits, decode_image
from tests.test_images_kinds import HEIC

SMALL = Framing(16)
ALL_FORMATS = Limits(formats=FORMATS + MORE_FORMATS)


def shown(data):
    return decode_image(data, SMALL, ALL_FORMATS)


def box(name, content, size=None):
    """A box; its size of four bytes, of eight, or 0: to the end."""
    if size == "long":
        return struct.pack(">I4sQ", 1, name, len(content) + 16) + content
    return struct.pack(">I4s", 0 if size == "rest" else len(content) + 8, name) + content


def infe(number, kind, version=2):
    wide = "I" if version == 3 else "H"
    return box(b"infe", struct.pack(f">B3x{wide}H4s", version, number, 0, kind) + b"\0")


def iloc(items, version=0, of=4, size=None):
    """Where items lie, each a number and the lengths of its pieces; `of` bytes a length."""
    wide = "I" if version == 2 else "H"
    made = struct.pack(f">B3xBB{wide}", version, 0x40 | of, 0, len(items))
    for number, lengths in items:
        made += struct.pack(f">{wide}", number)
        made += struct.pack(">H", 1) if version else b""  # in `idat`
        made += struct.pack(">HH", 0, len(lengths))
        made += b"".join(bytes(4) + length.to_bytes(of, "big") for length in lengths)
    return box(b"iloc", made, size)


def describes(source, pictures):
    """A table in which an item says which pictures it describes."""
    named = struct.pack(f">HH{len(pictures)}H", source, len(pictures), *pictures)
    return box(b"iref", bytes(4) + box(b"cdsc", named))


def container(*boxes, brand=b"avif", size=None):
    meta = box(b"meta", bytes(4) + b"".join(boxes), size)
    return box(b"ftyp", brand + bytes(4) + brand) + meta


MOST = 262_144  # bytes of an item
HALF = MOST // 2
TABLES = {
    "one piece": lambda size: container(infe(1, b"Exif"), iloc([(1, [size])])),
    "XMP": lambda size: container(infe(1, b"mime"), iloc([(1, [size])])),
    "two pieces": lambda size: container(infe(1, b"Exif"), iloc([(1, [HALF, size - HALF])])),
    "table first": lambda size: container(iloc([(1, [size])]), infe(1, b"Exif")),
    "in idat": lambda size: container(infe(1, b"Exif"), iloc([(1, [size])], 1)),
    "wide numbers": lambda size: container(
        infe(70_000, b"Exif", 3), iloc([(5, [10**6]), (70_000, [size])], 2)
    ),
    "long lengths": lambda size: container(infe(1, b"Exif"), iloc([(1, [size])], of=8)),
    "long box": lambda size: container(infe(1, b"Exif"), iloc([(1, [size])], size="long")),
    "to the end": lambda size: container(infe(1, b"Exif"), iloc([(1, [size])]), size="rest"),
    "second table": lambda size: (
        container(infe(1, b"av01"), iloc([(1, [10])]))
        + box(b"moov", container(infe(2, b"Exif"), iloc([(2, [size])])))
    ),
    "named twice": lambda size: container(infe(1, b"av01"), infe(1, b"Exif"), iloc([(1, [size])])),
    "second of two": lambda size: container(
        infe(1, b"Exif"), infe(2, b"Exif"), iloc([(1, [10]), (2, [size])])
    ),
    "HEIC": lambda size: container(infe(1, b"Exif"), iloc([(1, [size])]), brand=b"heic"),
}


@pytest.mark.parametrize("table", TABLES)
def test_exif_in_an_item_is_measured_however_it_is_stored(table):
    check_items(TABLES[table](MOST), ALL_FORMATS)
    with pytest.raises(ImageTooLarge, match=r"262,145 bytes of EXIF or XMP; the limit is 262,144"):
        check_items(TABLES[table](MOST + 1), ALL_FORMATS)


def test_an_item_to_the_end_of_its_file_is_as_long_as_the_file():
    data = container(infe(1, b"Exif"), iloc([(1, [0])])) + bytes(MOST + 1)
    with pytest.raises(ImageTooLarge, match="bytes of EXIF or XMP"):
        check_items(data, ALL_FORMATS)


def test_pictures_in_items_may_be_of_any_length():
    items = [(1, [5_000_000]), (2, [5_000_000])]
    check_items(container(infe(1, b"hvc1"), infe(2, b"av01"), iloc(items)), ALL_FORMATS)


def test_all_that_lies_beside_the_pictures_has_a_limit():
    many = range(1, 6)  # libheif takes each kind that is no picture for metadata
    kinds = [infe(one, b"Exif" if one % 2 else b"abcd") for one in many]
    check_items(container(*kinds[:4], iloc([(one, [MOST]) for one in many])), ALL_FORMATS)
    with pytest.raises(ImageTooLarge, match=r"1,310,720 bytes beside its pictures; .* 1,048,576"):
        check_items(container(*kinds, iloc([(one, [MOST]) for one in many])), ALL_FORMATS)
    pictures = [infe(one, b"hvc1") for one in range(100, 229)]
    beside = [*pictures, kinds[0], iloc([(1, [MOST])])]
    check_items(container(*beside, describes(1, range(100, 164))), ALL_FORMATS)
    with pytest.raises(ImageTooLarge, match="17,039,360 bytes beside all its pictures"):
        check_items(container(*beside, describes(1, range(100, 165))), ALL_FORMATS)


def test_items_and_their_pieces_are_counted():
    with pytest.raises(ImageTooLarge, match="1,001 items; the limit is 1,000"):
        check_items(container(*[infe(1, b"hvc1")] * 1001), ALL_FORMATS)
    with pytest.raises(ImageTooLarge, match="1,001 items"):
        check_items(container(iloc([(1, [])] * 1001)), ALL_FORMATS)
    with pytest.raises(ImageTooLarge, match="1,001 pieces of an item"):
        check_items(container(infe(1, b"Exif"), iloc([(1, [1] * 1001)])), ALL_FORMATS)


def test_a_table_of_very_many_pieces_is_refused_at_once_whatever_formats_are_accepted():
    pieces = b"".join(struct.pack(">HHH", number, 0, 65_535) for number in range(9_000))
    places = bytes(6) + struct.pack(">H", 9_000) + pieces  # 590 million pieces in 54 kB
    data = box(b"ftyp", b"avif" + bytes(4)) + box(b"meta", bytes(4) + box(b"iloc", places))
    for formats in (FORMATS, FORMATS + MORE_FORMATS):
        began = time.process_time()
        with pytest.raises(ImageError):
            decode_image(data, Framing(16), Limits(formats=formats))
        assert time.process_time() - began < 2  # to step through them takes minutes


def exif_of(size):
    """EXIF of so many bytes: upright, and a text."""
    tags = Image.Exif()
    tags[0x010E] = "x" * size
    return tags


def test_an_avif_of_pillow_keeps_its_exif_and_its_limit(encode, paint):
    plain = shown(encode(paint(64, 64), "AVIF"))
    assert np.array_equal(shown(encode(paint(64, 64), "AVIF", exif=exif_of(260_000))), plain)
    with pytest.raises(ImageTooLarge, match="bytes of EXIF or XMP; the limit is 262,144"):
        shown(encode(paint(64, 64), "AVIF", exif=exif_of(MOST)))
    with pytest.raises(ImageTooLarge, match="262,145 bytes of EXIF or XMP"):
        shown(encode(paint(64, 64), "AVIF", xmp=bytes(MOST + 1)))


def test_an_avif_of_several_pictures_keeps_the_limit_of_exif(encode, paint):
    first, second = (Image.fromarray(paint(64, side)) for side in (64, 64))
    options = {"save_all": True, "append_images": [second]}
    assert shown(encode(first, "AVIF", exif=exif_of(40_000), **options)).shape == (16, 16, 3)
    with pytest.raises(ImageTooLarge, match="bytes of EXIF or XMP"):
        shown(encode(first, "AVIF", exif=exif_of(MOST), **options))


def test_a_heic_keeps_its_exif_and_its_limit():
    pytest.importorskip("pi_heif")
    at = HEIC.index(struct.pack(">HHIHII", 2, 0, 0x263, 1, 0, 36)) + 14  # the length of its EXIF
    for size in (MOST, MOST + 1):
        data = HEIC[:at] + struct.pack(">I", size) + HEIC[at + 4 :] + bytes(size - 36)
        if size == MOST:
            assert np.array_equal(shown(data), shown(HEIC))
        else:
            with pytest.raises(ImageTooLarge, match="262,145 bytes of EXIF or XMP"):
                shown(data)

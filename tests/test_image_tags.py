"""Tags of millions of numbers are refused before an object is made of each."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from models.decoding.tags import EXIF_BYTES, NUMBERS, PLACES, check_exif, check_tags
from models.errors import ImageTooLarge
from models.images import FORMATS, MORE_FORMATS, Framing, Limits, decode_image
from tests.conftest import encode_photo, paint_photo

ALL = Limits(formats=FORMATS + MORE_FORMATS)
RATIONAL, LONG, BYTES = 5, 4, 7


def tiff(tag, kind, count, order="<", large=False):
    """A file with one directory of one tag; its numbers are not there."""
    mark = b"II" if order == "<" else b"MM"
    if large:
        head = mark + struct.pack(order + "HHHQ", 43, 8, 0, 16)
        return head + struct.pack(order + "QHHQQQ", 1, tag, kind, count, 0, 0)
    return mark + struct.pack(order + "HIHHHIII", 42, 8, 1, tag, kind, count, 0, 0)


@pytest.mark.parametrize(("order", "large"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize("tag", [274, 258, 282, 338, 34665])
def test_a_tiff_with_a_long_tag_is_refused(tag, order, large):
    check_tags(tiff(tag, RATIONAL, NUMBERS, order, large))
    check_tags(tiff(tag, BYTES, 10**9, order, large))
    with pytest.raises(ImageTooLarge, match=f"numbers in its tag {tag}"):
        decode_image(tiff(tag, RATIONAL, NUMBERS + 1, order, large), Framing(8), ALL)


def test_a_tiff_may_have_as_many_strips_as_rows():
    check_tags(tiff(273, LONG, PLACES))
    with pytest.raises(ImageTooLarge):
        check_tags(tiff(273, LONG, PLACES + 1))


def test_directories_that_lead_to_one_another_are_read_once():
    first = struct.pack("<HI", 0, 14)
    check_tags(b"II*\0" + struct.pack("<I", 8) + first + struct.pack("<HI", 0, 8))
    many = struct.pack("<H", 65_535) + bytes(12 * 65_535)
    many += struct.pack("<IH", 8 + len(many) + 4, 10_000) + bytes(12 * 10_000 + 4)
    with pytest.raises(ImageTooLarge, match="tags"):
        check_tags(b"II*\0" + struct.pack("<I", 8) + many)


def test_tiffs_as_programs_write_them_are_read():
    picture = Image.fromarray(paint_photo(40, 600))
    for options in ({}, {"compression": "tiff_lzw"}, {"tiffinfo": {273: 0, 278: 1}}):
        buffer = io.BytesIO()
        picture.save(buffer, "TIFF", **options)
        assert decode_image(buffer.getvalue(), Framing(32), ALL).shape == (32, 32, 3)


def exif(size):
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 0) + bytes(size - 16)


def test_an_avif_with_much_exif_is_refused():
    photo = paint_photo(40, 60)
    few = encode_photo(photo, "AVIF", exif=exif(10_000))
    assert np.asarray(decode_image(few, Framing(32), ALL)).shape == (32, 32, 3)
    much = encode_photo(photo, "AVIF", exif=exif(EXIF_BYTES + 1000))
    with pytest.raises(ImageTooLarge, match="bytes of EXIF"):
        decode_image(much, Framing(32), ALL)


def box(kind, *content):
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


@pytest.mark.parametrize("version", [0, 1, 2])
def test_extents_of_an_item_are_summed_up(version):
    number, method = ("I" if version == 2 else "H"), (b"" if version == 0 else bytes(2))
    half = EXIF_BYTES // 2

    def file(*extents):
        listed = b"".join(struct.pack(">II", 0, size) for size in extents)
        item = struct.pack(">" + number, 7) + method + bytes(2) + struct.pack(">H", len(extents))
        places = bytes([version, 0, 0, 0, 0x44, 0]) + struct.pack(">" + number, 1) + item + listed
        entry = box(b"infe", bytes([2, 0, 0, 0]), struct.pack(">HH4s", 7, 0, b"Exif"), b"\0")
        items = box(b"iinf", bytes(4), struct.pack(">H", 1), entry)
        return box(b"ftyp", b"avif") + box(b"meta", bytes(4), items, box(b"iloc", places))

    check_exif(file(half, half))
    for extents in ((half, half, 1), (0,)):  # 0: all of the file
        whole = file(*extents) + bytes(2 * half)
        with pytest.raises(ImageTooLarge, match="bytes of EXIF"):
            check_exif(whole)

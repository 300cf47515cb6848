"""Tags of a TIFF cost no more than their limits; ordinary ones are read."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.decoding.tags import check_tags
from models.errors import ImageTooLarge, ImageUnreadable
from models.images import FORMATS, MORE_FORMATS, Framing, Limits, decode_image

SMALL = Framing(16)
ALL_FORMATS = Limits(formats=FORMATS + MORE_FORMATS)
SIDE = 64  # px
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, DOUBLE, LONG8 = 1, 2, 3, 4, 5, 7, 12, 16
SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1, DOUBLE: 8, LONG8: 8}
MOST = 8_192  # numbers in a tag
PLAIN = {256: SIDE, 257: SIDE, 258: 8, 259: 1, 262: 1, 277: 1, 278: SIDE, 279: SIDE * SIDE}


class Tiff:
    """A grey square of 64 x 64 px, its pixels first, then data and directories."""

    def __init__(self, order="<", large=False):
        self.order, self.large = order, large
        self.place = "Q" if large else "L"
        self.start = 16 if large else 8
        self.body = bytearray(bytes(range(SIDE)) * SIDE)

    def add(self, content):
        """Append bytes; where they begin."""
        at = self.start + len(self.body)
        self.body += content + bytes(len(content) % 2)
        return at

    def directory(self, tags, following=0, plain=True):
        """Append a directory of tags, each a type and a count, or a type, a count and a value."""
        every: dict[int, tuple[int, ...]]
        every = {tag: (LONG, 1, value) for tag, value in PLAIN.items()} if plain else {}
        every |= {273: (LONG, 1, self.start)} if plain else {}
        every |= tags
        entries = b""
        for tag, (kind, count, *value) in sorted(every.items()):
            if not value:
                value = [self.add(b"\1\0\0\0" * (count * SIZES[kind] // 4 + 1))]
            entries += self._entry(tag, kind, count, value[0])
        head = struct.pack(self.order + ("Q" if self.large else "H"), len(every))
        return self.add(head + entries + struct.pack(self.order + self.place, following))

    def _entry(self, tag, kind, count, value):
        head = struct.pack(self.order + "HH" + self.place, tag, kind, count)
        return head + struct.pack(self.order + self.place, value)

    def file(self, first):
        """The file, whose first directory is there."""
        mark = (b"II" if self.order == "<" else b"MM") + struct.pack(
            self.order + ("HHH" if self.large else "H"), *((43, 8, 0) if self.large else (42,))
        )
        return mark + struct.pack(self.order + self.place, first) + bytes(self.body)


def tiff(tags, **options):
    made = Tiff(**options)
    return made.file(made.directory(tags))


def shown(data):
    return decode_image(data, SMALL, ALL_FORMATS)


KINDS: dict[str, dict[str, Any]] = {"little": {}, "big": {"order": ">"}, "BigTIFF": {"large": True}}


@pytest.mark.parametrize("kind", KINDS)
def test_a_tiff_of_ordinary_tags_shows_its_pixels(kind):
    data = tiff({282: (RATIONAL, 1), 305: (ASCII, 100_000), 700: (BYTE, 100_000)}, **KINDS[kind])
    row = decode_image(data, Framing(16, fraction=1.0), ALL_FORMATS)[8, :, 0].astype(int)
    assert np.abs(row - np.linspace(1.5, 61.5, 16)).max() <= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tag", [258, 274, 282, 338, 339, 700, 34675, 305, 65_000])
@pytest.mark.parametrize("of", [SHORT, RATIONAL, DOUBLE])
def test_a_tag_may_not_have_more_numbers_than_the_limit(kind, tag, of):
    data = tiff({tag: (of, MOST + 1)}, **KINDS[kind])
    with pytest.raises(ImageTooLarge, match=f"8,193 numbers in its tag {tag}; the limit is 8,19"):
        shown(data)


def test_a_tag_may_have_as_many_numbers_as_the_limit():
    data = tiff({65_000: (RATIONAL, MOST), 274: (SHORT, MOST)})
    assert np.array_equal(shown(data), shown(tiff({})))


@pytest.mark.parametrize("tag", [258, 273, 320, 324, 338, 339])
@pytest.mark.parametrize("of", [BYTE, ASCII, UNDEFINED])
def test_bytes_that_pillow_computes_with_are_counted_as_numbers(tag, of):
    with pytest.raises(ImageTooLarge, match=f"8,193 numbers in its tag {tag}"):
        shown(tiff({tag: (of, MOST + 1)}))


def test_all_tags_together_may_not_have_more_numbers_than_the_limit():
    tags = {65_000 + one: (SHORT, MOST) for one in range(9)}
    with pytest.raises(ImageTooLarge, match=r"65,5.. numbers in its tags; the limit is 65,536"):
        shown(tiff(tags))
    made = Tiff()
    at = made.add(bytes(2 * MOST))
    last = 0
    for _ in range(9):  # a tag of each picture
        last = made.directory({65_000: (SHORT, MOST, at)}, last)
    with pytest.raises(ImageTooLarge, match="numbers in its tags"):
        shown(made.file(last))


@pytest.mark.parametrize("kind", [SHORT, LONG])
@pytest.mark.parametrize("count", [1, 3])  # of several numbers Pillow takes the first
@pytest.mark.parametrize("tag", [34665, 34853, 40965])
def test_directories_of_exif_are_checked_too(tag, kind, count):
    for numbers in (MOST, MOST + 1):
        made = Tiff()
        at = made.directory({1: (RATIONAL, numbers, made.start)}, plain=False)
        several = made.add(struct.pack("<3H" if kind == SHORT else "<3L", at, at, at))
        first = made.directory({tag: (kind, count, at if count == 1 else several)})
        made.add(bytes(8 * MOST))  # so much lies in the file
        if numbers == MOST:
            assert shown(made.file(first)).shape == (16, 16, 3)
        else:
            with pytest.raises(ImageTooLarge, match="8,193 numbers in its tag 1;"):
                shown(made.file(first))


def test_a_second_directory_of_exif_inside_the_first_is_checked():
    made = Tiff()
    inner = made.directory({2: (RATIONAL, MOST + 1)}, plain=False)
    outer = made.directory({40965: (LONG, 1, inner)}, plain=False)
    with pytest.raises(ImageTooLarge, match="numbers in its tag 2;"):
        shown(made.file(made.directory({34665: (LONG, 1, outer)})))


def test_a_later_picture_is_checked_as_the_first():
    made = Tiff()
    last = made.directory({338: (SHORT, MOST + 1)})
    with pytest.raises(ImageTooLarge, match="numbers in its tag 338"):
        shown(made.file(made.directory({}, last)))


def test_a_thousand_pictures_are_read_and_one_more_is_refused():
    for count in (1000, 1001):
        made, at = Tiff(), 0
        for _ in range(count):
            at = made.directory({}, at)
        data = made.file(at)
        if count == 1000:
            assert shown(data).shape == (16, 16, 3)
        else:
            with pytest.raises(ImageTooLarge, match="1,001 frames; the limit is 1,000"):
                shown(data)


def test_pictures_that_follow_each_other_in_a_circle_end():
    made = Tiff()
    here = made.start + len(made.body)
    first = made.directory({}, here)
    assert first == here
    assert shown(made.file(first)).shape == (16, 16, 3)
    part = made.start + len(made.body)
    made.directory({34665: (LONG, 1, part)}, plain=False)
    assert shown(made.file(made.directory({34665: (LONG, 1, part)}))).shape == (16, 16, 3)


def test_tags_are_counted_before_pillow_steps_through_them():
    made = Tiff()
    at = made.add(struct.pack("<H", 50_001) + bytes(12) * 50_001)
    with pytest.raises(ImageTooLarge, match="50,001 tags; the limit is 50,000"):
        shown(made.file(at))


def test_tags_may_not_share_bytes_until_they_are_more_than_the_file():
    made = Tiff()  # libtiff keeps a copy for each
    at = made.add(bytes(100_000))
    for count in (1, 2):
        tags = {65_000 + one: (UNDEFINED, 100_000, at) for one in range(count)}
        data = made.file(made.directory(tags))
        if count == 1:
            assert shown(data).shape == (16, 16, 3)
        else:
            with pytest.raises(ImageTooLarge, match="200,000 bytes in the tags of one picture"):
                shown(data)


def test_a_tag_that_lies_outside_the_file_is_passed_over():
    data = tiff({65_000: (RATIONAL, 2**31, 100), 65_001: (SHORT, 20_000, 2**31)})
    check_tags(data, ALL_FORMATS)


def test_a_bigtiff_that_libtiff_and_pillow_read_differently_is_refused():
    data = tiff({}, order=">", large=True)
    with pytest.raises(ImageUnreadable, match="BigTIFF of the byte order MM"):
        shown(data)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_a_tiff_of_20_megabytes_with_a_row_in_each_strip_is_read(compression, encode):
    grey = np.full((5000, 3900), 77, np.uint8)  # 19.5 MB
    data = encode(grey, "TIFF", tiffinfo={278: 1}, strip_size=3900, compression=compression)
    assert Image.open(io.BytesIO(data)).tag_v2[278] == 1
    assert (shown(data) == 77).all()


def tiled(count, side=16):
    """Tiles of 16 x 16 px, so many in a row, all from the same bytes."""
    made = Tiff()
    at = made.add(struct.pack("<L", made.start) * count)
    lengths = made.add(struct.pack("<L", side * side) * count)
    tags = {322: (LONG, 1, side), 323: (LONG, 1, side)}
    tags |= {324: (LONG, count, at), 325: (LONG, count, lengths)}
    plain = {tag: (LONG, 1, value) for tag, value in PLAIN.items() if tag not in (278, 279)}
    return made, plain | tags


def test_a_tiff_in_tiles_of_16_px_is_read_and_its_places_are_counted():
    made, tags = tiled(90_000)
    tags |= {256: (LONG, 1, 4800), 257: (LONG, 1, 4800)}  # 300 x 300 tiles
    assert shown(made.file(made.directory(tags, plain=False))).shape == (16, 16, 3)
    made, tags = tiled(100_001)
    with pytest.raises(ImageTooLarge, match="100,001 numbers in its tag 324; the limit is 100,000"):
        shown(made.file(made.directory(tags, plain=False)))


def test_places_of_strips_are_counted_over_all_pictures():
    made = Tiff()
    at = made.add(struct.pack("<H", made.start) * 75_000)
    last = 0
    for _ in range(3):
        last = made.directory({273: (SHORT, 75_000, at)}, last)
    with pytest.raises(ImageTooLarge, match="225,002 places of strips and tiles"):
        shown(made.file(last))


def test_strips_may_not_cover_a_picture_again_and_again():
    for count in (64, 6 * 64, 6 * 64 + 1):  # of a row each; each would be decoded
        made = Tiff()
        places = made.add(struct.pack(f"<{count}L", *(made.start + one for one in range(count))))
        data = made.file(made.directory({278: (LONG, 1, 1), 273: (LONG, count, places)}))
        if count <= 6 * 64:
            assert shown(data).shape == (16, 16, 3)
        else:
            with pytest.raises(
                ImageTooLarge, match=r"24,640 pixels in its strips or tiles; .*24,5"
            ):
                shown(data)

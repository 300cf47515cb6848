"""Strips and tiles of a TIFF: what they decode to is bounded and reckoned, however small it is."""

import io
import json
import struct
import subprocess
import sys
import zlib
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image

from models.errors import ImageTooLarge, ImageUnreadable, ImageUnsupported
from models.images import FORMATS, MORE_FORMATS, Framing, Limits, decode_image
from tests.test_images import raw_png

SMALL = Framing(16, fraction=1.0)
ALL_FORMATS = Limits(formats=FORMATS + MORE_FORMATS)
SHORT, LONG, LONG8, SLONG8 = 3, 4, 16, 17
DEFLATE, JPEG, FAX = 8, 7, 3
LETTERS = {SHORT: "H", LONG: "L", LONG8: "Q", SLONG8: "q"}


@pytest.fixture
def any_side(monkeypatch):
    """What a long side is refused for comes before what is tested."""
    monkeypatch.setattr("models.decoding.limits.SIDE", 2_000_000)


def tiff(width, height, content, *more, samples=1, bits=8, large=False, compression=DEFLATE):
    """A TIFF whose strips or tiles all share their bytes; `more` are (tag, type, numbers)."""
    extra = {int(tag): numbers for tag, _, numbers in more}
    wide, high = (extra.get(tag, [side])[0] for tag, side in ((322, width), (323, height)))
    high = min(extra.get(278, [high])[0], high)
    layers = samples if extra.get(284) == [2] else 1
    count = -(-width // wide) * -(-height // high) * layers
    places = (324, 325) if 322 in extra else (273, 279)
    start = 16 if large else 8
    tags = [(256, LONG, [width]), (257, LONG, [height]), (258, SHORT, [bits] * samples)]
    tags += [(259, SHORT, [compression]), (262, SHORT, [2 if samples > 2 else 1])]
    tags += [(277, SHORT, [samples]), (places[0], LONG, [start] * count)]
    tags += [(places[1], LONG, [len(content)] * count), *more]
    tags += [(338, SHORT, [2])] if samples in (2, 4) else []
    place, room = ("Q", 8) if large else ("L", 4)
    body, entries = bytearray(content), b""
    for tag, kind, numbers in sorted(tags):
        packed = struct.pack(f"<{len(numbers)}{LETTERS[kind]}", *numbers)
        if len(packed) > room:
            packed, at = b"", start + len(body)
            body += struct.pack(f"<{len(numbers)}{LETTERS[kind]}", *numbers)
            packed = struct.pack("<" + place, at)
        entries += struct.pack("<HH" + place, tag, kind, len(numbers)) + packed.ljust(room, b"\0")
    head = struct.pack("<2sHHH" if large else "<2sH", b"II", *((43, 8, 0) if large else (42,)))
    first = struct.pack("<" + place, start + len(body))
    listed = struct.pack("<" + ("Q" if large else "H"), len(tags))
    return head + first + bytes(body) + listed + entries + bytes(room)


def zeros(size):
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(min(1 << 20, size - at))) for at in range(0, size, 1 << 20)]
    return b"".join(parts) + packer.flush()


def tile(width, height):
    return (322, LONG, [width]), (323, LONG, [height])


def asked_for(data):
    asked = list[int]()

    def room(size):
        asked.append(size)
        return nullcontext()

    decode_image(data, SMALL, ALL_FORMATS, room)
    return asked[0]


@pytest.mark.parametrize("large", [False, True], ids=["TIFF", "BigTIFF"])
@pytest.mark.parametrize("planar", [1, 2])
def test_a_tile_far_larger_than_its_picture_is_reckoned(large, planar):
    data = tiff(
        1, 1, zeros(2048 * 2048 * 8), *tile(2048, 2048), (284, SHORT, [planar]),
        samples=4, bits=16, large=large,
    )  # fmt: skip
    part = 2048 * 2048 * (8 if planar == 1 else 2)
    assert part <= asked_for(data) <= part + 100_000


@pytest.mark.parametrize("large", [False, True], ids=["TIFF", "BigTIFF"])
def test_tiles_may_decode_to_no_more_than_four_pictures_or_16_megapixels(large, any_side):
    side = 4992
    with pytest.raises(ImageTooLarge, match=r"24,920,064 pixels in its strips or tiles; .*16,000"):
        decode_image(tiff(1, 1, b"x", *tile(side, side), large=large), SMALL, ALL_FORMATS)
    shared = tiff(2000, 1, zeros(16), *tile(16, 1_562_496), large=large)
    with pytest.raises(ImageTooLarge, match="3,124,992,000 pixels in its strips or tiles"):
        decode_image(shared, SMALL, ALL_FORMATS)


def test_tiles_that_hang_over_a_small_picture_are_read():
    grey = zlib.compress(bytes([7]) * 1024 * 1024)
    assert (decode_image(tiff(2000, 9, grey, *tile(1024, 1024)), SMALL, ALL_FORMATS) == 7).all()


def test_tiles_may_decode_to_no_more_than_ten_bytes_for_each_pixel_allowed():
    limits = Limits(pixels=1_000_000, formats=FORMATS + MORE_FORMATS)
    deep = {"samples": 4, "bits": 16}
    photo = zlib.compress(bytes(8 * 1000 * 1000))
    assert decode_image(tiff(1000, 1000, photo, **deep), SMALL, limits).shape == (16, 16, 3)
    with pytest.raises(ImageTooLarge, match=r"31,744,512 bytes in its strips or tiles; .*10,000,0"):
        decode_image(tiff(997, 997, photo, *tile(996, 996), **deep), SMALL, limits)


@pytest.mark.parametrize("compression", [34925, 50001, 32809])  # LZMA, WebP and older ones
def test_a_tiff_of_a_rare_compression_is_refused_with_advice(compression):
    data = tiff(16, 16, b"x" * 256, compression=compression)
    with pytest.raises(ImageUnsupported, match=f"compression {compression}: .* LZW or Deflate"):
        decode_image(data, SMALL, ALL_FORMATS)


def test_a_side_may_have_as_many_pixels_as_that_of_a_jpeg():
    assert decode_image(tiff(1, 65_535, zeros(65_535)), SMALL, ALL_FORMATS).max() == 0
    for width, height in ((1, 65_536), (65_536, 1)):
        with pytest.raises(ImageTooLarge, match="65,536 pixels along a side; the limit is 65,535"):
            decode_image(tiff(width, height, zeros(65_536)), SMALL, ALL_FORMATS)


def test_strips_and_tiles_are_counted_from_the_size_of_one(any_side):
    with pytest.raises(ImageTooLarge, match="300,000 strips or tiles; the limit is 100,000"):
        decode_image(_few_listed(), SMALL, ALL_FORMATS)


def _few_listed():
    """Of 300,000 strips, one is listed."""
    data = tiff(1, 300_000, zeros(300_000))
    at = data.rindex(struct.pack("<HHL", 277, SHORT, 1))
    return data[:at] + struct.pack("<HHLL", 278, LONG, 1, 1) + data[at + 12 :]


def test_a_strip_of_more_rows_than_the_picture_has_is_of_the_rows_it_has():
    data = tiff(64, 64, zlib.compress(bytes([9]) * 64 * 64), (278, LONG, [2**32 - 1]))
    assert (decode_image(data, SMALL, ALL_FORMATS) == 9).all()
    assert asked_for(data) == int(64 * 64 * (12.5 + 1)) + 2 * 64 * 32


@pytest.mark.parametrize("more", [
    (*tile(16, 16), (322, LONG, [4992])),  # libtiff takes the first, Pillow the last
    ((322, SLONG8, [4992]), (323, SLONG8, [4992])),  # of a type that Pillow passes over
    ((322, LONG, [16, 16]), (323, LONG, [16])),
    (*tile(16, 16), (259, SHORT, [1])),
    ((322, LONG, [16]), (323, LONG, [0])),
])  # fmt: skip
def test_sizes_that_two_libraries_may_read_differently_are_refused(more):
    data = tiff(16, 16, zeros(256), (278, LONG, [16]), large=True)
    assert decode_image(data, SMALL, ALL_FORMATS).max() == 0
    ambiguous = _tags_appended(more)
    with pytest.raises(ImageUnreadable, match="the image is damaged"):
        decode_image(ambiguous, SMALL, ALL_FORMATS)


def _tags_appended(more):
    plain = [(tag, kind, numbers) for tag, kind, numbers in more]
    made = tiff(16, 16, zeros(256), (324, LONG, [16]), (325, LONG, [9]), large=True)
    at = struct.unpack_from("<Q", made, 8)[0]
    (count,) = struct.unpack_from("<Q", made, at)
    entries = [made[at + 8 + 20 * one : at + 28 + 20 * one] for one in range(count)]
    for tag, kind, numbers in plain:
        packed = struct.pack(f"<{len(numbers)}{LETTERS[kind]}", *numbers).ljust(8, b"\0")
        entries.append(struct.pack("<HHQ", tag, kind, len(numbers)) + packed)
    entries.sort(key=lambda entry: entry[:2][::-1])
    return made[:at] + struct.pack("<Q", len(entries)) + b"".join(entries) + bytes(8)


def jpeg_of_scans(side, repeated, **options):
    buffer = io.BytesIO()
    Image.new("L", (side, side), 90).save(buffer, "JPEG", **options)
    data = buffer.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * repeated + b"\xff\xd9"


def test_scans_of_a_jpeg_in_a_tiff_are_counted_for_every_strip_that_shares_it():
    content = jpeg_of_scans(640, 85, progressive=True)
    few = tiff(640, 640 * 10, content, (278, LONG, [640]), compression=JPEG)
    assert (decode_image(few, SMALL, ALL_FORMATS) == 90).all()
    many = tiff(640, 640 * 17, content, (278, LONG, [640]), compression=JPEG)
    with pytest.raises(ImageTooLarge, match=r"pixels in the 9. scans of its JPEGs; .*600,000,000"):
        decode_image(many, SMALL, ALL_FORMATS)


@pytest.mark.parametrize("tiled", [False, True])
def test_a_jpeg_of_one_scan_in_each_strip_or_tile_is_read(tiled):
    size = tile(64, 64) if tiled else ((278, LONG, [64]),)
    data = tiff(64, 64 * 1000, jpeg_of_scans(64, 0), *size, compression=JPEG)
    assert (decode_image(data, SMALL, ALL_FORMATS) == 90).all()


def test_a_jpeg_of_arithmetic_coding_in_a_tiff_is_refused():
    content = jpeg_of_scans(64, 0).replace(b"\xff\xc0\0", b"\xff\xc9\0", 1)
    with pytest.raises(ImageUnsupported, match="arithmetic coding"):
        decode_image(tiff(64, 64, content, compression=JPEG), SMALL, ALL_FORMATS)


@pytest.mark.parametrize("codec", ["tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits", "zstd"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "CMYK"])
def test_what_programs_write_is_read(codec, mode):
    if codec == "jpeg" and mode == "RGBA":
        pytest.skip("no JPEG has it")
    buffer = io.BytesIO()
    Image.new(mode, (90, 60)).save(buffer, "TIFF", compression=codec)
    assert decode_image(buffer.getvalue(), SMALL, ALL_FORMATS).shape == (16, 16, 3)


def test_a_row_that_a_fax_code_keeps_is_reckoned(any_side):
    data = tiff(1_000_000, 1, bytes(64), bits=1, compression=FAX)
    assert asked_for(data) >= 1_000_000 * (12.5 + 16)


MEASURE = """
import sys, json
from contextlib import nullcontext
import PIL.TiffImagePlugin, PIL.ImageOps
from models.images import FORMATS, MORE_FORMATS, Framing, Limits, decode_image
def status(name):
    return next(int(x.split()[1]) for x in open("/proc/self/status") if x.startswith(name)) * 1024
data, asked = open(sys.argv[1], "rb").read(), []
framing = Framing(16, levels=(0.0, 4095.0))
limits = Limits(formats=FORMATS + MORE_FORMATS)
decode_image(open(sys.argv[2], "rb").read(), framing, limits)
before = status("VmRSS")
open("/proc/self/clear_refs", "w").write("5")
decode_image(data, framing, limits, lambda size: (asked.append(size), nullcontext())[1])
print(json.dumps([asked[0], status("VmHWM") - before]))
"""


def deep(kind, side):
    if kind.startswith("PNG"):
        colour, samples = (2, 3) if kind == "PNG RGB" else (6, 4)
        return raw_png(side, side, 16, colour, bytes(1 + side * samples * 2) * side)
    turned = (274, SHORT, [6])
    if kind == "TIFF grey of 32 bits, turned":
        return tiff(side, side, zeros(side * side * 4), turned, (339, SHORT, [3]), bits=32)
    samples = 3 if "RGB " in kind else 4
    rows = 64 if "strips" in kind else side
    content = zeros(rows * side * samples * 2)
    more = [(278, LONG, [rows]), turned]
    return tiff(side, side, content, *more, samples=samples, bits=16)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of a process from Linux")
@pytest.mark.parametrize("kind", [
    *("PNG RGB", "PNG RGBA", "TIFF RGB in one strip", "TIFF RGBA in one strip"),
    *("TIFF RGBA in strips", "TIFF grey of 32 bits, turned"),
])  # fmt: skip
def test_sixteen_bits_with_levels_take_no_more_memory_than_reckoned(kind, tmp_path):
    for name, side in (("large", 2048), ("small", 64)):
        (tmp_path / name).write_bytes(deep(kind, side))
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "large"), str(tmp_path / "small")]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    reckoned, taken = json.loads(said.stdout)
    assert 0.4 * reckoned < taken < 1.05 * reckoned + 4_000_000  # code that is run the first time


def test_colours_are_stretched_alike_in_every_block():
    side = 1100  # px: three blocks of 512 px
    values = np.random.default_rng(0).integers(0, 4096, (side, side, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    whole = Framing(side, fraction=1.0, levels=(0.0, 4095.0))
    found = decode_image(raw_png(side, side, 16, 2, rows), whole).astype(int)
    assert np.abs(found - values * (255 / 4095)).max() <= 0.501

"""Bytes meant to break or stall the decoder are refused, with a reason and at once."""

import contextlib
import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from models.errors import (
    ImageEmpty,
    ImageError,
    ImageTooLarge,
    ImageUnreadable,
    ImageUnsupported,
)
from models.images import FORMATS, Framing, Limits, decode_image

SMALL = Framing(16)


def bomb(side):
    """A PNG of `side` x `side` black pixels, one bit each; a thousandth of its decoded size."""

    def chunk(kind, content):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(side * (1 + -(-side // 8))), 9)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_a_png_with_a_second_header_is_refused():
    data = bomb(16)
    assert decode_image(data, SMALL).shape == (16, 16, 3)
    with pytest.raises(ImageUnreadable, match="two headers"):
        decode_image(data[:33] + data[8:], SMALL)  # the first 8 bytes, the header twice


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # Pillow's own limit
@pytest.mark.parametrize("side", [5001, 9400, 12_000, 14_000])  # Pillow refuses from 13,378
def test_more_pixels_than_the_limit_are_refused_before_they_are_decoded(side):
    data = bomb(side)
    started = time.perf_counter()
    with pytest.raises(ImageTooLarge, match=r"pixels.*the limit is 25,000,000"):
        decode_image(data, SMALL)
    assert time.perf_counter() - started < 0.25  # refusing takes 1 ms, decoding 9400 px over 1 s


def test_the_refusal_says_how_many_pixels_came():
    data = bomb(9400)
    assert len(data) < 12_000  # bytes; decoded it would take 88 MB, and 441 MiB on the way
    with pytest.raises(ImageTooLarge, match=r"88,360,000 pixels \(9400 x 9400\)"):
        decode_image(data, SMALL)


def test_exactly_as_many_pixels_and_bytes_as_allowed_are_decoded(encode, paint):
    data = encode(paint(40, 30))
    exact = Limits(pixels=1200, size_bytes=len(data))  # 40 x 30
    assert decode_image(data, SMALL, exact).max() > 0
    with pytest.raises(ImageTooLarge, match=r"1,200 pixels .*the limit is 1,199"):
        decode_image(data, SMALL, Limits(pixels=1199))
    with pytest.raises(ImageTooLarge, match=f"{len(data):,} bytes; the limit is {len(data) - 1:,}"):
        decode_image(data, SMALL, Limits(size_bytes=len(data) - 1))


def with_scans(jpeg, times):
    """A progressive JPEG with its last scan there `times` more."""
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * times + jpeg[-2:]


def test_a_progressive_jpeg_may_not_repeat_its_scans_without_end(encode, paint):
    jpeg = encode(paint(64, 64), "JPEG", progressive=True)
    scans = jpeg.count(b"\xff\xda")  # 10, as libjpeg writes them
    plain = decode_image(encode(paint(64, 64), "JPEG"), SMALL).astype(int)
    assert np.abs(decode_image(jpeg, SMALL) - plain).max() <= 1
    assert decode_image(with_scans(jpeg, 100 - scans), SMALL).shape == (16, 16, 3)
    with pytest.raises(ImageTooLarge, match="101 scans; the limit is 100"):
        decode_image(with_scans(jpeg, 101 - scans), SMALL)


@pytest.mark.parametrize("packed", [False, True])  # tEXt and zTXt
def test_a_png_may_not_hold_a_thousand_and_one_texts(packed, encode, paint):
    notes = PngImagePlugin.PngInfo()
    for number in range(1001):
        notes.add_text(f"note {number}", "x", zip=packed)
    data = encode(paint(16, 16), pnginfo=notes)
    # its header and its end are chunks too
    with pytest.raises(ImageTooLarge, match="1,003 chunks beside its pixels; the limit is 1,000"):
        decode_image(data, SMALL)
    assert decode_image(data, SMALL, Limits(parts=1003)).max() > 0


def film(frames, side):
    """A GIF of one black frame repeated, about 20 kB a frame at 5000 px."""
    buffer = io.BytesIO()
    Image.new("P", (side, side)).save(buffer, "GIF")
    gif = buffer.getvalue()
    frame = gif[gif.index(b"\x2c\0\0\0\0") : -1]  # from its image descriptor to before the trailer
    return gif[:-1] + frame * (frames - 1) + gif[-1:]


def test_a_gif_may_not_have_a_thousand_and_one_frames():
    assert decode_image(film(1000, 8), SMALL).max() == 0
    with pytest.raises(ImageTooLarge, match="frames"):
        decode_image(film(1001, 8), SMALL)


def test_only_the_first_frame_of_a_gif_costs_time():
    def seconds(frames):
        started = time.perf_counter()
        decode_image(film(frames, 2000), SMALL)
        return time.perf_counter() - started

    seconds(1)  # warm
    assert seconds(40) < 4 * seconds(1) + 0.1  # decoding all of them takes 40 times as long


def run_length_bmp(width):
    """118 bytes that announce `width` x 1 pixels of 4 bits, run-length coded, and hold one."""
    rows = b"\1\1\0\0\0\1"  # a run of one pixel, end of line, end of picture
    header = struct.pack("<IiiHHIIiiII", 40, width, 1, 1, 4, 2, len(rows), 0, 0, 16, 0)
    at = 14 + len(header) + 64  # 64: sixteen colours
    return b"BM" + struct.pack("<IHHI", at + len(rows), 0, 0, at) + header + bytes(64) + rows


@pytest.mark.parametrize(
    "place", [(0, 0, 65_535, 65_535), (65_000, 65_000, 8, 8), (0, 60_000, 5_000, 1)]
)
def test_a_gif_whose_picture_is_larger_than_its_screen_is_measured_before_it_is_opened(
    place, monkeypatch
):
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("Pillow makes room for it"))
    control = b"\x21\xf9\x04\x08\0\0\0\0"  # restore the background: filled when it is opened
    picture = b"\x2c" + struct.pack("<HHHHB", *place, 0) + b"\x02\x02\x44\x01\0;"
    with pytest.raises(ImageTooLarge, match="pixels"):
        decode_image(gif_head() + control + picture, Framing(8))


def gif_head():
    """A GIF of 8 x 8 pixels up to its first block."""
    gif = film(1, 8)
    return gif[: gif.index(b"\x2c\0\0\0\0")]


PRIVATE = b"\0\0\0\0abCd" + struct.pack(">I", zlib.crc32(b"abCd"))  # a chunk no reader knows
EMPTY_PARTS = {  # 4 MB each but for the last; each part costs Pillow a step in Python
    "JPEG padding": lambda jpeg, png: jpeg[:2] + b"\xff" * 4_000_000 + jpeg[2:],
    "JPEG comments": lambda jpeg, png: jpeg[:2] + b"\xff\xfe\0\2" * 1_000_000 + jpeg[2:],
    "JPEG fillers in a scan": lambda jpeg, png: jpeg[:-100] + b"\xff" * 4_000_000 + jpeg[-100:],
    "JPEG fillers behind it": lambda jpeg, png: jpeg[:-2] + b"\xff" * 4_000_000,
    "GIF zeros": lambda jpeg, png: gif_head() + bytes(4_000_000),
    "GIF empty extensions": lambda jpeg, png: gif_head() + b"\x21\xfe\0" * 1_300_000,
    "WebP empty chunks": lambda jpeg, png: (
        b"RIFF" + struct.pack("<I", 4_000_004) + b"WEBP" + b"VP8 \0\0\0\0" * 500_000
    ),
    "PNG private chunks": lambda jpeg, png: png[:33] + PRIVATE * 330_000 + png[33:],
    "BMP run-length": lambda jpeg, png: run_length_bmp(25_000_000),
}


@pytest.mark.parametrize("kind", EMPTY_PARTS)
def test_a_file_of_empty_parts_costs_no_second(kind, encode, paint):
    data = EMPTY_PARTS[kind](encode(paint(16, 16), "JPEG"), encode(paint(16, 16)))
    started = time.perf_counter()
    with contextlib.suppress(ImageError):  # refused or decoded, but soon
        decode_image(data, SMALL)
    took_s = time.perf_counter() - started
    assert took_s < 0.5  # such a part cannot be timed out: it holds the GIL


def test_no_bytes_are_no_photo():
    with pytest.raises(ImageEmpty, match="0 bytes"):
        decode_image(b"", SMALL)


@pytest.mark.parametrize(
    "data",
    [
        b"<!doctype html><title>404 Not Found</title>",  # saved as photo.jpg by many a crawler
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",  # would look for Ghostscript
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
        b"\xff\xd8",
        b"\0" * 1000,
    ],
    ids=["HTML", "EPS", "SVG", "two bytes", "zeros"],
)
def test_what_is_not_a_photo_is_refused_by_its_content(data):
    with pytest.raises(ImageUnsupported, match=r"accepted formats .*JPEG, PNG, WEBP, GIF, BMP"):
        decode_image(data, SMALL)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_photo_that_is_cut_off_is_refused(kind, share, encode):
    grain = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encode(grain, kind)
    with pytest.raises(ImageUnreadable, match=r"damaged: ."):
        decode_image(data[: int(len(data) * share)], SMALL)


@pytest.mark.parametrize("error", [RecursionError, MemoryError, SyntaxError, NotImplementedError])
def test_whatever_a_decoder_raises_leaves_as_an_image_error(error, encode, paint, monkeypatch):
    def fail(*args, **kwargs):  # no small file makes Pillow 13 raise these
        raise error("what Pillow said")

    monkeypatch.setattr(Image.Image, "resize", fail)
    with pytest.raises(ImageUnreadable, match="damaged: what Pillow said"):
        decode_image(encode(paint(16, 16)), SMALL)


def test_a_long_reason_is_cut_to_one_line(encode, paint, monkeypatch):
    def fail(*args, **kwargs):
        raise ValueError("line\n" * 1000)

    monkeypatch.setattr(Image.Image, "resize", fail)
    with pytest.raises(ImageUnreadable) as caught:
        decode_image(encode(paint(16, 16)), SMALL)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def exif_segment(size):
    """An APP1 segment of a JPEG: Pillow joins them all, which takes the square of their number."""
    content = b"Exif\0\0" + bytes(size)
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content


@pytest.mark.parametrize(
    "cover",
    [b"", b"\0", b"\xff\xd0", b"\xff\x01", b"\xff\xff"],
    ids=["none", "junk", "restart marker", "marker without length", "filler"],
)
def test_segments_cannot_hide_behind_what_pillow_passes_over(cover, encode, paint):
    data = encode(paint(16, 16), "JPEG")
    hostile = data[:2] + cover + exif_segment(100) * 20_000 + data[2:]
    started = time.perf_counter()
    with pytest.raises(ImageTooLarge, match="segments"):
        decode_image(hostile, SMALL)
    assert time.perf_counter() - started < 0.5  # Pillow takes 0.8 s; four times as long for twice


def test_junk_between_segments_is_counted():
    data = b"\xff\xd8" + bytes(5_000_000)
    with pytest.raises(ImageTooLarge, match="segments"):
        decode_image(data, SMALL)


def test_empty_pixel_chunks_are_counted(encode, paint):
    data = encode(paint(16, 16), "PNG")
    at = data.index(b"IDAT") - 4
    empty = struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    with pytest.raises(ImageTooLarge, match="chunks"):
        decode_image(data[:at] + empty * 2_000 + data[at:], SMALL)


def test_chunks_of_few_pixels_each_are_counted(encode, paint):
    data = encode(paint(16, 16), "PNG")
    chunk = struct.pack(">I", 64) + b"IDAT" + bytes(68)
    with pytest.raises(ImageTooLarge, match="chunks of pixels"):
        decode_image(data[:33] + chunk * 20_000, SMALL)


def test_scans_of_a_large_photo_are_weighed_with_its_pixels():
    buffer = io.BytesIO()
    Image.new("L", (5000, 4800)).save(buffer, "JPEG", progressive=True, quality=30)
    data = buffer.getvalue()
    end = data.rindex(b"\xff\xda")
    scans = data.count(b"\xff\xda")
    again = data[:-2] + data[end:-2] * (40 - scans) + data[-2:]  # 40 scans of 24 Mpx
    with pytest.raises(ImageTooLarge, match="pixels in its 40 scans; the limit is 600,000,000"):
        decode_image(again, SMALL)

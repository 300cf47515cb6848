"""What lies beside the picture in a JPEG counts for nothing, and harms nothing."""

import re
import struct
import time

import numpy as np
import pytest
from PIL import Image

from models.errors import ImageTooLarge, ImageUnreadable, ImageUnsupported
from models.images import Framing, Limits, decode_image, decode_photo
from tests.test_images_stream import AS_IT_IS, FILM, NOISE, SMALL, exif

SCAN = b"\xff\xda"


def segment(marker, content):
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content


@pytest.fixture(params=["sequential", "progressive"])
def jpeg(request, encode, paint):
    """A JPEG of 64 x 96 px, of one scan or of ten."""
    return encode(paint(64, 96), "JPEG", progressive=request.param == "progressive")


BESIDE_A_JPEG = {
    "a film behind it": lambda jpeg: jpeg + FILM,
    "another photo behind it": lambda jpeg: jpeg + jpeg * 200,
    "scans behind it": lambda jpeg: jpeg + (SCAN + b"\0\4\0\0ab") * 200,
    "noise in APP segments": lambda jpeg: (
        jpeg[:2]
        + b"".join(segment(0xE4, NOISE[at : at + 60_000]) for at in range(0, 1_800_000, 60_000))
        + jpeg[2:]
    ),
    "a preview of scans in EXIF": lambda jpeg: (
        jpeg[:2] + segment(0xE1, b"Exif\0\0" + (SCAN + b"\0\4\0\0") * 9_000) + jpeg[2:]
    ),
    "scans in a comment": lambda jpeg: jpeg[:2] + segment(0xFE, SCAN * 9_000) + jpeg[2:],
    "no end": lambda jpeg: jpeg[:-2],
    "half an end": lambda jpeg: jpeg[:-1],
    "no end, and zeros": lambda jpeg: jpeg[:-2] + bytes(5_000),
    "a damaged profile": lambda jpeg: jpeg[:2] + segment(0xE2, b"ICC_PROFILE\0") + jpeg[2:],
    "damaged Photoshop data": lambda jpeg: (
        jpeg[:2] + segment(0xED, b"Photoshop 3.0\x008BIM\4") + jpeg[2:]
    ),
    "damaged XMP": lambda jpeg: (
        jpeg[:2] + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0\xff\xfe<x") + jpeg[2:]
    ),
    "damaged EXIF": lambda jpeg: jpeg[:2] + segment(0xE1, b"Exif\0\0MM\0*\xff\xff") + jpeg[2:],
    "EXIF of noise": lambda jpeg: jpeg[:2] + segment(0xE1, b"Exif\0\0" + NOISE[:900]) + jpeg[2:],
    "a damaged list of photos": lambda jpeg: (
        jpeg[:2] + segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff") + jpeg[2:]
    ),
    "a length of nothing": lambda jpeg: jpeg[:2] + b"\xff\xe5\0\0" + jpeg[2:],
}


@pytest.mark.parametrize("beside", BESIDE_A_JPEG)
def test_a_jpeg_shows_the_same_whatever_lies_beside_its_picture(beside, jpeg):
    assert np.array_equal(
        decode_image(BESIDE_A_JPEG[beside](jpeg), SMALL), decode_image(jpeg, SMALL)
    )


@pytest.mark.parametrize("missing", [3, 10, 100, 400])
def test_a_jpeg_that_is_cut_off_in_its_pixels_is_refused(missing, encode):
    grain = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}):
        data = encode(grain, "JPEG", **options)
        for tail in (b"", b"\xff"):
            with pytest.raises(ImageUnreadable, match="damaged: image file is truncated"):
                decode_image(data[:-missing] + tail, SMALL)


def test_a_progressive_jpeg_without_its_last_scan_is_refused(encode, paint):
    data = encode(paint(64, 96), "JPEG", progressive=True)
    with pytest.raises(ImageUnreadable, match="truncated"):
        decode_image(data[: data.rindex(SCAN)], SMALL)


def test_a_jpeg_cut_off_between_restart_markers_is_refused(encode, paint):
    data = encode(paint(64, 96), "JPEG", restart_marker_rows=1)
    with pytest.raises(ImageUnreadable, match="truncated"):
        decode_image(data[: data.rindex(b"\xff\xd2")], SMALL)  # the third of four rows is the last


def test_a_jpeg_of_several_scans_without_its_end_may_have_half_as_many_pixels(encode, paint):
    data = encode(paint(64, 64), "JPEG", progressive=True)  # of 10 scans
    limits = Limits(scan_pixels=10 * 64 * 64)
    whole = decode_image(data, AS_IT_IS, limits)
    with pytest.raises(ImageTooLarge, match="81,920 pixels in its 10 scans"):
        decode_image(data[:-2], AS_IT_IS, limits)
    assert np.array_equal(decode_image(data[:-2], AS_IT_IS, Limits(scan_pixels=81_920)), whole)


@pytest.mark.parametrize("kind", [9, 10, 11, 13, 14, 15])
def test_a_jpeg_of_arithmetic_coding_is_refused_with_advice(kind, jpeg):
    frame = re.search(rb"\xff[\xc0\xc2]\0\x11", jpeg).start()
    data = jpeg[: frame + 1] + bytes([0xC0 + kind]) + jpeg[frame + 2 :]
    with pytest.raises(ImageUnsupported, match="arithmetic coding: save it as a usual JPEG"):
        decode_image(data, SMALL)


def test_a_turned_photo_with_a_film_behind_it_is_upright(encode, paint):
    stored = np.ascontiguousarray(np.rot90(paint(64, 96)))
    found = decode_image(encode(stored, "JPEG", exif=exif(6)) + FILM, SMALL).astype(int)
    assert np.abs(found - decode_image(encode(paint(64, 96)), SMALL)).max() <= 6  # JPEG's loss


def test_scans_are_counted_where_scans_can_be(encode, paint):
    data = encode(paint(64, 64), "JPEG", progressive=True)
    last = data.rindex(SCAN)
    between = segment(0xFE, SCAN * 50)  # a comment between scans, which holds none
    hostile = data[:-2] + (between + data[last:-2]) * 95 + data[-2:]
    with pytest.raises(ImageTooLarge, match="101 scans; the limit is 100"):
        decode_image(hostile, SMALL)


def test_parts_between_scans_are_counted(encode, paint):
    data = encode(paint(64, 64), "JPEG", progressive=True)
    last = data.rindex(SCAN)
    started = time.perf_counter()
    with pytest.raises(ImageTooLarge, match="segments between its scans"):
        decode_image(data[:last] + b"\xff\xfe\0\2" * 1_000_000 + data[last:], SMALL)
    assert time.perf_counter() - started < 0.5


def test_a_sequential_jpeg_of_three_scans_is_read_and_its_scans_are_counted(encode, paint):
    # Components one by one, as scanners write them: a scan for each; Pillow cannot write it.
    data = three_scans(encode(Image.fromarray(paint(16, 16)[..., 0]), "JPEG"))
    assert decode_image(data, AS_IT_IS).shape == (16, 16, 3)
    with pytest.raises(ImageTooLarge, match="3 scans"):
        decode_image(data, AS_IT_IS, Limits(scans=2))
    with pytest.raises(ImageUnreadable, match="truncated"):
        decode_image(data[: data.rindex(SCAN)], AS_IT_IS)


def three_scans(grey):
    """A JPEG whose three components are the one of a grey JPEG."""
    frame, scan = grey.index(b"\xff\xc0"), grey.index(SCAN)
    pixels = grey[scan + 10 : -2]
    colours = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    header = segment(0xC0, grey[frame + 4 : frame + 9] + b"\3" + colours)
    scans = [segment(0xDA, bytes([1, number, 0, 0, 63, 0])) + pixels for number in (1, 2, 3)]
    return grey[:frame] + header + grey[frame + 13 : scan] + b"".join(scans) + grey[-2:]


def test_what_a_file_was_like_is_known_without_opening_it_again(encode, paint):
    stored = encode(paint(30, 40), "JPEG", exif=exif(6)) + FILM
    found = decode_photo(stored, SMALL)
    assert (found.width, found.height, found.kind) == (40, 30, "JPEG")
    assert found.pixels.shape == (16, 16, 3)
    assert not found.alpha_ignored


def test_a_jpeg_of_four_times_the_pixels_is_read_where_it_is_decoded_at_half_its_size(
    encode, paint
):
    data, few = encode(paint(60, 64), "JPEG"), Limits(pixels=1000)  # 3,840 pixels
    assert decode_image(data, Framing(8), few).shape == (8, 8, 3)
    with pytest.raises(ImageTooLarge, match=r"3,840 pixels \(64 x 60\); the limit is 1,000; --max"):
        decode_image(data, Framing(16), few)  # needs more of it than half its size
    with pytest.raises(ImageTooLarge, match=r"3,840 pixels .*the limit is 3,836; --max-megapixels"):
        decode_image(data, Framing(8), Limits(pixels=959))
    with pytest.raises(ImageTooLarge, match="the limit is 1,000"):
        decode_image(encode(paint(60, 64)), Framing(8), few)  # a PNG is decoded in full


def test_what_a_progressive_jpeg_keeps_until_its_last_scan_is_weighed(encode, paint):
    for subsampling, kept in ((0, 3), (2, 1.5)):  # numbers a pixel: full colours, quartered ones
        data = encode(paint(64, 64), "JPEG", progressive=True, subsampling=subsampling)
        most = int(kept * 64 * 64)
        assert decode_image(data, SMALL, Limits(coefficients=most)).max() > 0
        with pytest.raises(ImageTooLarge, match=f"{most:,} coefficients to keep"):
            decode_image(data, SMALL, Limits(coefficients=most - 1))
    assert decode_image(encode(paint(64, 64), "JPEG"), SMALL, Limits(coefficients=0)).max() > 0


def test_scans_that_name_more_components_than_a_decoder_takes_cost_nothing():
    frame = segment(0xC2, struct.pack(">BHHB", 8, 64, 64, 3) + b"\1\x11\0\2\x11\0\3\x11\0")
    named = b"".join(bytes([one, 0]) for one in range(255))
    scan = segment(0xDA, b"\xff" + named + b"\0\xff\0")
    began = time.process_time()
    with pytest.raises(ImageUnreadable):
        decode_image(b"\xff\xd8" + frame + scan * 100 + b"\xff\xd9", Framing(16))
    assert time.process_time() - began < 0.1  # 0.3 s where each pair of numbers was noted

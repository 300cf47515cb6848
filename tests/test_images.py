"""Encoded bytes become the picture that a person would see."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from models.errors import ImageUnreadable, ImageUnsupported
from models.images import FORMATS, MORE_FORMATS, Framing, Limits, decode_image, shrink_image

AS_IT_IS = Framing(16, fraction=1.0)  # a 16 x 16 photo is not resampled: pixels can be compared
ALL_FORMATS = Limits(formats=FORMATS + MORE_FORMATS)
WHITE, RED = (255, 255, 255), (255, 0, 0)

# Stored pixels of an upright photo, for each EXIF orientation (Exif 2.32, tag 0x0112).
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),  # shown after a quarter turn clockwise
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def png_chunk(kind, content=b""):
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def raw_png(width, height, depth, colour, rows, *chunks):
    """A PNG written by hand, for kinds that Pillow reads but cannot write."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    content = png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + content + png_chunk(b"IEND")


@pytest.mark.parametrize("orientation", STORED)
def test_a_png_in_any_orientation_gives_the_same_pixels(orientation, encode, paint):
    upright = paint(16, 16)
    data = encode(np.ascontiguousarray(STORED[orientation](upright)), exif=exif(orientation))
    assert np.array_equal(decode_image(data, AS_IT_IS), upright)


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"lossless": True})]
)
@pytest.mark.parametrize("orientation", STORED)
def test_a_wide_photo_in_any_orientation_gives_the_same_picture(
    orientation, kind, options, encode, paint
):
    upright = paint(120, 160)  # larger than the network's square, and not square itself
    stored = np.ascontiguousarray(STORED[orientation](upright))
    found = decode_image(encode(stored, kind, exif=exif(orientation), **options), Framing(32))
    expected = decode_image(encode(upright), Framing(32))
    assert np.abs(found.astype(int) - expected).max() <= 6  # JPEG's loss; a turn changes up to 255


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_changes_nothing(orientation, encode, paint):
    data = encode(paint(16, 16), exif=exif(orientation))
    assert np.array_equal(decode_image(data, AS_IT_IS), paint(16, 16))


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})]
)
def test_every_lossless_format_gives_the_same_pixels(kind, options, encode, paint):
    expected = decode_image(encode(paint(40, 30)), Framing(16))
    found = decode_image(encode(paint(40, 30), kind, **options), Framing(16))
    assert np.array_equal(found, expected)


def see_through(mode):
    """64 x 64: the left half blue (white, if grey), the right half hidden red (black)."""
    left, right = {"RGBA": ((0, 0, 255, 255), (255, 0, 0, 0)), "LA": ((255, 255), (0, 0))}[mode]
    image = Image.new(mode, (64, 64), left)
    image.paste(right, (32, 0, 64, 64))
    return image


def palette_image():
    image = Image.new("P", (64, 64), 0)
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.paste(1, (32, 0, 64, 64))
    return image


@pytest.mark.parametrize(
    ("image", "kind", "options"),
    [
        (see_through("RGBA"), "PNG", {}),
        (see_through("RGBA"), "WEBP", {"lossless": True, "exact": True}),  # keeps hidden colours
        (see_through("LA"), "PNG", {}),
        (palette_image(), "PNG", {"transparency": b"\xff\x00"}),
        (palette_image(), "GIF", {"transparency": 1}),
        (see_through("RGBA").convert("RGB"), "PNG", {"transparency": RED}),
    ],
    ids=["RGBA", "WebP", "LA", "palette", "GIF", "RGB with one colour"],
)
def test_a_hidden_colour_never_shows(image, kind, options, encode):
    pixels = decode_image(encode(image, kind, **options), Framing(8, fraction=1.0)).astype(int)
    assert (pixels[:, -1] == WHITE).all()  # transparent becomes white
    # Blue and white mix to equal red and green; hidden red would lift red, hidden black lower both.
    assert np.abs(pixels[..., 0] - pixels[..., 1]).max() <= 1
    assert pixels[..., 2].min() >= 254


@pytest.mark.parametrize(("depth", "hidden"), [(8, 9), (16, 9 * 257)])
def test_a_grey_png_with_one_transparent_level_shows_white_there(depth, hidden):
    level = struct.pack(">H", hidden)[-depth // 8 :]
    rows = (b"\0" + level * 16) * 16  # every row: no filter, then 16 pixels of the hidden level
    data = raw_png(16, 16, depth, 0, rows, png_chunk(b"tRNS", struct.pack(">H", hidden)))
    assert decode_image(data, AS_IT_IS).min() == 255


def test_half_transparent_black_over_white_is_mid_grey(encode):
    data = encode(Image.new("RGBA", (16, 16), (0, 0, 0, 128)))
    assert np.unique(decode_image(data, AS_IT_IS)).tolist() == [127]  # 255 * (1 - 128 / 255)


def test_sixteen_bit_grey_is_scaled_and_not_clipped(encode):
    levels = np.zeros((16, 16), "uint16")
    levels[:, 4:8], levels[:, 8:12], levels[:, 12:] = 257, 128 * 257, 65535
    pixels = decode_image(encode(levels), AS_IT_IS)
    assert pixels[0, ::4].tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


def test_sixteen_bit_colour_is_scaled_and_not_clipped():
    rows = (b"\0" + struct.pack(">HHH", 0, 128 * 257, 65535) * 16) * 16
    assert decode_image(raw_png(16, 16, 16, 2, rows), AS_IT_IS)[3, 3].tolist() == [0, 128, 255]


def test_one_bit_is_black_and_white(encode):
    half = np.zeros((16, 16), bool)
    half[:, 8:] = True
    assert decode_image(encode(half), AS_IT_IS)[0, [0, 15]].tolist() == [[0] * 3, [255] * 3]


def without_adobe(jpeg):
    """The same JPEG without its APP14 segment, which says that CMYK is stored inverted."""
    start = jpeg.index(b"\xff\xee\x00\x0eAdobe")
    return jpeg[:start] + jpeg[start + 16 :]


def test_cmyk_is_red_with_and_without_the_adobe_marker(encode):
    data = encode(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")  # stored inverted
    for jpeg in (data, without_adobe(data)):  # Pillow, as browsers do, takes all for inverted
        found = decode_image(jpeg, AS_IT_IS).astype(int)
        assert np.abs(found - RED).max() <= 2  # JPEG's loss


@pytest.mark.parametrize("side", [16, 512])  # in full, and drafted
def test_the_first_photo_of_an_mpo_is_taken(side, encode, paint):
    first, second = Image.fromarray(paint(side, side)), Image.new("RGB", (side, side), RED)
    mpo = encode(first, "MPO", save_all=True, append_images=[second])
    expected = decode_image(encode(first, "JPEG"), AS_IT_IS)
    assert np.array_equal(decode_image(mpo, AS_IT_IS), expected)


def test_the_first_frame_of_a_gif_is_taken(encode):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, WHITE, (0, 0, 0))]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode_image(data, AS_IT_IS) == RED).all()


def test_a_gif_whose_second_frame_is_cut_off_still_shows_the_first(encode):
    frames = [Image.new("RGB", (16, 16), RED), Image.effect_noise((16, 16), 90).convert("RGB")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode_image(data[:-40], AS_IT_IS) == RED).all()  # 40 bytes of a frame of over 100


@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_a_large_jpeg_decoded_small_looks_as_if_decoded_in_full(resize, encode):
    blocks = np.random.default_rng(0).integers(0, 256, (18, 24, 3), dtype=np.uint8)
    photo = blocks.repeat(16, axis=0).repeat(16, axis=1)  # 288 x 384: drafted to a quarter
    data = encode(photo, "JPEG", quality=90)
    full = encode(Image.open(io.BytesIO(data)))  # the same pixels, in a format without a draft
    one = decode_image(data, Framing(32, resize)).astype(int)
    difference = np.abs(one - decode_image(full, Framing(32, resize))).mean()
    assert difference < 3  # of 255; found 2, and from 10 on where the draft is of an eighth


def test_decoding_twice_gives_the_same_pixels(encode, paint):
    data = encode(paint(600, 800), "JPEG")
    assert np.array_equal(decode_image(data, Framing(32)), decode_image(data, Framing(32)))


@pytest.mark.parametrize("kind", ["TIFF", "AVIF"])
def test_a_further_format_is_accepted_only_by_the_setting(kind, encode, paint):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    data = encode(paint(16, 16), kind)
    with pytest.raises(ImageUnsupported, match="JPEG, PNG, WEBP, GIF, BMP"):
        decode_image(data, AS_IT_IS)
    difference = decode_image(data, AS_IT_IS, ALL_FORMATS).astype(int) - paint(16, 16)
    assert np.abs(difference).mean() < 4  # AVIF loses a little, TIFF nothing


@pytest.mark.parametrize(("dtype", "mode"), [("float32", "F"), ("int32", "I")])
def test_numbers_without_a_fixed_range_are_refused(dtype, mode, encode):
    with pytest.raises(ImageUnreadable, match=rf"mode {mode} \(32 bits\).*save it with 8 or 16"):
        decode_image(encode(np.ones((16, 16), dtype), "TIFF"), AS_IT_IS, ALL_FORMATS)


def test_a_shrunk_photo_is_upright_and_carries_no_metadata(encode, paint):
    stored = np.ascontiguousarray(STORED[6](paint(60, 80)))
    small = Image.open(io.BytesIO(shrink_image(encode(stored, exif=exif(6)), 40)))
    assert small.size == (40, 30)
    assert not small.getexif()
    assert np.abs(np.asarray(small).astype(int) - paint(30, 40)).mean() < 3  # JPEG's loss

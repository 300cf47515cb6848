"""Alpha that is not alpha, and numbers that use fewer bits than their file stores."""

import struct

import numpy as np
import pytest
from PIL import Image

from models.decoding.deep_pixels import join, measure, to_bytes
from models.errors import ImageTooLarge, ImageUnreadable, SettingError
from models.images import FORMATS, Framing, Limits, decode_image, decode_photo, measure_levels
from tests.test_images import raw_png

AS_IT_IS = Framing(16, fraction=1.0)
TIFF = Limits(formats=(*FORMATS, "TIFF"))
RED = (255, 0, 0)


def framing(levels):
    return Framing(16, fraction=1.0, levels=levels)


def with_alpha(paint, alpha):
    """A painted 16 x 16 photo with an alpha channel: a number, or (16, 16) of them."""
    image = Image.fromarray(paint(16, 16)).convert("RGBA")
    image.putalpha(Image.fromarray(np.full((16, 16), alpha, np.uint8)))
    return image


INFRARED = np.random.default_rng(0).integers(0, 61, (16, 16))  # dark, as water and asphalt are


@pytest.mark.parametrize("alpha", [0, 1, 60, 127, INFRARED], ids=["0", "1", "60", "127", "band"])
@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True})]
)
def test_colours_are_kept_where_alpha_hides_nearly_everything(alpha, kind, options, encode, paint):
    found = decode_photo(encode(with_alpha(paint, alpha), kind, **options), AS_IT_IS)
    assert np.array_equal(found.pixels, paint(16, 16))
    assert found.alpha_ignored


def test_grey_is_kept_where_alpha_hides_nearly_everything(encode, paint):
    grey = Image.fromarray(paint(16, 16)[..., 0])
    image = Image.merge("LA", (grey, Image.new("L", (16, 16), 30)))
    found = decode_photo(encode(image), AS_IT_IS)
    assert np.array_equal(found.pixels[..., 0], np.asarray(grey))
    assert found.alpha_ignored


def test_a_palette_is_kept_where_all_its_colours_are_hidden(encode):
    image = Image.new("P", (16, 16), 0)
    image.putpalette([0, 0, 255, 255, 0, 0])
    image.paste(1, (8, 0, 16, 16))
    found = decode_photo(encode(image, transparency=b"\x05\x00"), AS_IT_IS)
    assert found.pixels[0, [0, 15]].tolist() == [[0, 0, 255], [255, 0, 0]]
    assert found.alpha_ignored


def test_an_alpha_of_sixteen_bits_of_which_twelve_are_used_hides_nothing():
    rows = (b"\0" + struct.pack(">HHHH", 65535, 0, 0, 4095) * 16) * 16
    found = decode_photo(raw_png(16, 16, 16, 6, rows), AS_IT_IS)
    assert (found.pixels == RED).all()
    assert found.alpha_ignored


@pytest.mark.parametrize("side", [1, 4, 12])
def test_what_is_cut_out_is_shown_on_white_however_small_it_is(side, encode):
    image = Image.new("RGBA", (16, 16), (0, 200, 0, 0))
    image.paste((*RED, 255), (0, 0, side, side))
    found = decode_photo(encode(image), AS_IT_IS)
    assert (found.pixels[:side, :side] == RED).all()
    assert (found.pixels[side:] == 255).all()
    assert not found.alpha_ignored


def test_a_single_glint_does_not_make_a_band_an_alpha_channel(encode):
    image = Image.new("RGBA", (64, 64), (*RED, 40))
    image.putpixel((3, 3), (*RED, 255))  # one pixel of 4,096
    found = decode_photo(encode(image), AS_IT_IS)
    assert (found.pixels == RED).all()
    assert found.alpha_ignored


def test_the_rule_does_not_ask_which_part_is_looked_at(encode):
    image = Image.new("RGBA", (64, 64), (*RED, 0))
    image.paste((*RED, 255), (0, 0, 8, 64))  # cut out at the edge, which the crop leaves out
    found = decode_photo(encode(image), Framing(16, fraction=0.5))
    assert (found.pixels == 255).all()
    assert not found.alpha_ignored


def deep_png(values):
    """(H, W) or (H, W, 3 or 4) of uint16 as a PNG of 16 bits."""
    colour = {2: 0, 3: {3: 2, 4: 6}.get(values.shape[-1])}[values.ndim]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    height, width = values.shape[:2]
    return raw_png(width, height, 16, colour, rows)


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_fewer_bits_than_sixteen_are_stretched_by_the_levels(bits, channels):
    rng, most = np.random.default_rng(0), 2**bits - 1
    values = rng.integers(0, most + 1, (16, 16, *channels))
    if channels == (4,):
        values[..., 3] = 65535
    found = decode_image(deep_png(values), framing((0, most))).astype(int)
    expected = (values[..., :3] if channels else values[..., None]) * 255 / most
    assert np.abs(found - expected).max() <= 0.501
    assert len(np.unique(found)) > 150  # of 16 levels that are left at 12 bits without


def test_colours_that_are_decoded_twice_for_their_levels_count_twice():
    values, many = np.zeros((16, 16, 3), int), Limits(pixels=511)
    assert decode_image(deep_png(values), AS_IT_IS, many).shape == (16, 16, 3)
    with pytest.raises(ImageTooLarge, match="512 pixels in 16-bit colours"):
        decode_image(deep_png(values), framing((0, 99)), many)
    assert decode_image(deep_png(values), framing((0, 99)), Limits(pixels=512)).max() == 0


@pytest.mark.parametrize("shape", [(1, 60_000, 3), (60_000, 1, 3), (9, 60_000, 3), (600, 700, 3)])
def test_a_photo_of_any_shape_is_stretched_in_a_few_blocks(shape, monkeypatch):
    """One pixel wide it would be thousands, if a block had a side of so many pixels."""
    blocks = []

    def counted(values, levels):
        blocks.append(values.shape)
        return to_bytes(values, levels)

    monkeypatch.setattr("models.decoding.deep_pixels.to_bytes", counted)
    values = np.broadcast_to(np.array([4095, 0, 2048], np.uint16), shape)
    found = decode_image(deep_png(values), framing((0, 4095)))
    assert len(blocks) <= 4
    assert sum(high * wide for high, wide, _ in blocks) == shape[0] * shape[1]
    assert (np.abs(found.astype(int) - [255, 0, 128]) <= 1).all()


def test_without_levels_all_sixteen_bits_are_the_range():
    values = np.random.default_rng(0).integers(0, 4096, (16, 16, 3))
    assert decode_image(deep_png(values), AS_IT_IS).max() == 15


def test_levels_change_no_photo_of_eight_bits(encode, paint):
    for kind in ("PNG", "BMP", "JPEG"):
        data = encode(paint(16, 16), kind)
        assert np.array_equal(decode_image(data, framing((0, 99))), decode_image(data, AS_IT_IS))


def test_alpha_and_orientation_are_kept_when_levels_are_used(encode):
    values = np.zeros((16, 16, 4), int)
    values[..., 0], values[:8, :, 3] = 4095, 65535  # the lower half is hidden
    found = decode_image(deep_png(values), framing((0, 4095)))
    assert (found[:8] == RED).all()
    assert (found[8:] == 255).all()


@pytest.mark.parametrize(
    ("dtype", "compression"),
    [
        *(("uint16", "raw"), ("uint16", "tiff_lzw"), ("int32", "raw")),
        *(("float32", "raw"), ("float32", "tiff_adobe_deflate")),
    ],
)
def test_a_tiff_of_deep_grey_is_stretched_by_the_levels(dtype, compression, encode):
    values = (np.arange(256).reshape(16, 16) * 16).astype(dtype)
    data = encode(Image.fromarray(values), "TIFF", compression=compression)
    found = decode_image(data, framing((0, 4080)), TIFF)
    assert np.array_equal(found[..., 0], np.arange(256).reshape(16, 16))


def test_what_is_not_finite_becomes_black_or_white(encode):
    values = np.full((16, 16), 0.5, np.float32)
    values[0, 0], values[0, 1], values[0, 2] = np.nan, np.inf, -np.inf
    data = encode(values, "TIFF")
    found = decode_image(data, framing((0.0, 1.0)), TIFF)[..., 0]
    assert found[0, :4].tolist() == [0, 255, 0, 128]
    with pytest.raises(ImageUnreadable, match="have no fixed range"):
        decode_image(data, AS_IT_IS, TIFF)


def test_the_range_of_a_photo_leaves_out_dead_pixels():
    values = np.linspace(100, 4000, 65_536).reshape(256, 256).astype(np.uint16)
    values[0, :20] = 65535
    low, high = measure(values)
    assert 100 <= low < 110
    assert 3980 < high <= 4000
    assert measure(np.full((4, 4), np.nan)) is None


def test_levels_of_a_set_hold_the_range_of_all_its_photos_and_are_round():
    assert join([(3.0, 4080.0), (10.0, 2000.0)], fixed=True) == (0, 4095)
    assert join([(0.0, 1000.2)], fixed=True) == (0, 1023)
    assert join([(7010.0, 8900.0)], fixed=True) == (6912.0, 8960.0)  # of a thermal camera
    assert join([(0.01, 0.98)], fixed=False) == (0, 1)
    assert join([(-1.0, -1.0)], fixed=False) == (-1.0, -0.875)
    assert join([(0.0, 65_000.0)], fixed=True) is None
    assert join([(5.0, 5.0)], fixed=True) is None


def test_every_number_of_sixteen_bits_is_shown_as_by_arithmetic():
    values = np.arange(65_536).reshape(256, 256).astype(np.uint16)
    found = to_bytes(values, (100.0, 4000.0))
    expected = ((values.astype(float) - 100) * 255 / 3900).clip(0, 255).round()
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("levels", [(5.0, 5.0), (9.0, 1.0), (0.0, float("nan"))])
def test_levels_that_are_no_range_are_refused(levels):
    with pytest.raises(SettingError, match=r"levels are .* the lower first"):
        framing(levels)


def test_only_a_photo_of_more_than_eight_bits_has_levels_to_measure(encode, paint):
    values = np.random.default_rng(0).integers(0, 4096, (16, 16, 3))
    (low, high), sixteen = measure_levels(deep_png(values))
    assert sixteen
    assert (low < 100, 4000 < high < 4096) == (True, True)
    assert measure_levels(encode(paint(16, 16))) is None
    assert measure_levels(encode(paint(16, 16), "JPEG")) is None
    assert measure_levels(encode(paint(16, 16), "TIFF"), TIFF) is None
    assert measure_levels(deep_png(values)[:100]) is None  # damaged: said when it is decoded
    floats = encode(np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16), "TIFF")
    assert measure_levels(floats, TIFF)[1] is False
    assert measure_levels(floats) is None  # TIFF is not asked for

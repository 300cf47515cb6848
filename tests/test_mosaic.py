"""Feature maps become a sheet on which the channels can be compared."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from models import mosaic
from models.errors import SettingError
from tests.serving import ROOT


def test_every_channel_gets_a_tile():
    maps = np.zeros((2, 2, 5), "float32")  # 5 channels fill no rectangle
    maps[..., 4] = 1.0  # only the last one answers
    sheet = mosaic.draw(maps, columns=3, gap=0)
    assert sheet.shape == (4, 6)  # 2 rows x 3 columns of 2 x 2 tiles
    assert sheet[2:, 2:4].min() == 255  # the fifth tile is there, and bright
    assert sheet[2:, 4:].max() == 0  # the sixth place stays empty


def test_all_channels_share_one_scale():
    maps = np.array([[[0.0, 1.0, 5.0, 10.0]]], "float32")  # 1 x 1 px, four channels
    assert mosaic.draw(maps, columns=4, gap=0).tolist() == [[0, 26, 128, 255]]  # 255 * value / 10


def test_a_channel_keeps_its_places():
    maps = np.arange(6, dtype="float32").reshape(2, 3, 1)
    assert mosaic.draw(maps).tolist() == [[0, 51, 102], [153, 204, 255]]  # 255 / 5 = 51 a step


def test_a_brightness_from_elsewhere_makes_two_sheets_comparable():
    maps = np.array([[[2.0, 30.0]]], "float32")
    sheet = mosaic.draw(maps, columns=2, gap=0, brightest=10)
    assert sheet.tolist() == [[51, 255]]  # 255 * 2 / 10; what is brighter than that stops at 255


def test_negative_numbers_are_black():
    maps = np.array([[[-9.0, 1.0]]], "float32")
    assert mosaic.draw(maps, columns=2, gap=0).tolist() == [[0, 255]]


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_counts_as_zero(odd):
    maps = np.array([[[odd, 1.0, 4.0]]], "float32")
    assert mosaic.draw(maps, columns=3, gap=0).tolist() == [[0, 64, 255]]  # 255 / 4 = 63.75
    assert mosaic.peak(maps) == 4
    assert mosaic.strengths(maps).tolist() == [0, 1, 4]


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_a_silent_layer_is_black(value):
    maps = np.full((2, 2, 3), value, "float32")
    assert mosaic.draw(maps).max() == 0
    assert mosaic.peak(maps) == 0


@pytest.mark.parametrize("largest", [1e-45, 1e-40, 3e38])  # float32 ends at 1.4e-45 and 3.4e38
def test_the_scale_holds_at_the_ends_of_float32(largest):
    maps = np.array([[[0.0, largest]]], "float32")
    assert mosaic.draw(maps, columns=2, gap=0).tolist() == [[0, 255]]


def test_the_maps_are_not_changed():
    maps = np.array([[[np.nan, -1.0, 4.0]]], "float32")
    before = maps.copy()
    mosaic.draw(maps)
    mosaic.strengths(maps)
    assert np.array_equal(maps, before, equal_nan=True)


def test_a_strength_is_the_mean_of_the_positive_part():
    maps = np.array([[[4.0, -8.0]], [[-4.0, 1.0]]], "float32")  # 2 x 1 px, two channels
    assert mosaic.strengths(maps).tolist() == [2, 0.5]


def test_a_layer_without_channels_is_refused():
    with pytest.raises(SettingError, match="no channels to draw: request at least one"):
        mosaic.draw(np.zeros((2, 2, 0), "float32"))


@pytest.mark.parametrize(
    ("shape", "options", "sheet"),
    [
        ((2, 2, 1), {"gap": 1}, (2, 2)),  # one tile, no gap around it
        ((2, 2, 4), {"gap": 1}, (5, 5)),  # 2 x 2 tiles and one gap
        ((2, 2, 4), {"columns": 9, "gap": 0}, (2, 8)),  # no more columns than channels
        ((7, 7, 1), {"tile": 28}, (28, 28)),  # 28 / 7: each position becomes 4 x 4 px
        ((7, 7, 1), {"tile": 30}, (28, 28)),  # the nearest whole zoom
        ((14, 7, 1), {"tile": 28}, (28, 14)),  # of the longer side
        ((56, 56, 1), {"tile": 8}, (56, 56)),  # never smaller than one pixel a position
        ((1, 8, 16), {"gap": 0}, (16, 8)),  # wide tiles: one column is nearest to a square
    ],
)
def test_the_size_of_the_sheet(shape, options, sheet):
    assert mosaic.draw(np.zeros(shape, "float32"), **options).shape == sheet


def test_tiles_that_are_higher_than_wide_do_not_overlap():
    maps = np.arange(8, dtype="float32").reshape(2, 1, 4)  # 2 rows x 1 column, four channels
    expected = [[0, 36], [146, 182], [73, 109], [219, 255]]  # 255 / 7 = 36.4 a step
    assert mosaic.draw(maps, columns=2, gap=0).tolist() == expected


def test_the_gap_between_tiles_is_black():
    sheet = mosaic.draw(np.ones((1, 1, 4), "float32"), columns=2, gap=2)
    assert np.argwhere(sheet).tolist() == [[0, 0], [0, 3], [3, 0], [3, 3]]


def test_the_png_decodes_to_the_colour_of_every_level():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    with Image.open(io.BytesIO(mosaic.png(levels))) as image:
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image.convert("RGB")), mosaic.EMBER[levels])


def test_the_colours_grow_lighter_from_black_to_pale_yellow():
    assert mosaic.EMBER[0].tolist() == [0, 0, 4]
    assert mosaic.EMBER[255].tolist() == [252, 255, 164]
    light = mosaic.EMBER @ np.array([0.299, 0.587, 0.114])  # as ITU-R BT.601 weighs the bands
    assert np.diff(light).min() > -0.5  # printed in grey the order of levels stays


@pytest.mark.parametrize("squeeze", [True, False])
def test_a_plain_png_holds_the_levels_as_they_are(squeeze):
    levels = np.random.default_rng(0).integers(0, 256, (5, 7), np.uint8)
    levels[2] = 0
    with Image.open(io.BytesIO(mosaic.plain_png(levels, squeeze))) as image:
        assert (image.format, image.mode) == ("PNG", "L")
        np.testing.assert_array_equal(np.asarray(image), levels)


def test_a_contact_sheet_gives_each_channel_its_own_scale():
    maps = np.zeros((2, 3, 5), np.float32)  # five channels fill no rectangle
    maps[0, 1, 0], maps[1, 2, 3] = 4.0, 0.5
    maps[0, 0, 4] = np.nan
    sheet, peaks, columns = mosaic.contact_sheet(maps)
    assert peaks.tolist() == [4.0, 0.0, 0.0, 0.5, 0.0]
    assert columns == 2
    assert sheet.shape == (6, 6)  # three rows of two tiles, each 2 x 3
    assert np.argwhere(sheet).tolist() == [[0, 1], [3, 5]]
    assert set(sheet[sheet > 0].tolist()) == {255}


def test_a_photo_glows_where_the_map_speaks_and_is_dimmed_elsewhere():
    photo = np.full((8, 8, 3), 200, np.uint8)
    heat = np.array([[0, 0], [0, 3]], np.float32)
    over = mosaic.lay_over(photo, heat).astype(int)
    assert over.shape == (8, 8, 3)
    assert over[0, 0].tolist() == [150, 150, 151]  # a quarter of the darkest colour, (0, 0, 4)
    assert over[7, 7, 0] > over[0, 0, 0]
    np.testing.assert_array_equal(mosaic.lay_over(photo, heat * 0), mosaic.lay_over(photo, -heat))


def test_the_page_draws_in_the_same_colours():
    """The page's own anchor colours, interpolated as it does; test_page.py asks the page itself."""
    source = (ROOT / "service" / "page" / "ember.js").read_text(encoding="utf-8")
    table = re.search(r"const ANCHORS = (\[.*?\]);", source, re.S)[1]
    anchors = np.array(json.loads(re.sub(r",\s*\]$", "]", table)), float)
    steps = np.linspace(0, len(anchors) - 1, 256)
    page = [np.interp(steps, np.arange(len(anchors)), anchors[:, band]) for band in range(3)]
    assert np.abs(np.stack(page, axis=1) - mosaic.EMBER).max() < 1.001  # fractions are cut off
    assert mosaic.EMBER[[0, 255]].tolist() == anchors[[0, -1]].tolist()

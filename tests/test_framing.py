"""Which part of a photo meets the network's square."""

import numpy as np
import pytest

from models.errors import SettingError
from models.images import Framing, decode_image


@pytest.mark.parametrize(
    ("framing", "box"),
    [
        (Framing(224), (110, 30, 530, 450)),  # a side of 0.875 * 480 = 420, centred
        (Framing(224, fraction=1.0), (80, 0, 560, 480)),
        (Framing(224, "squash"), (0, 0, 640, 480)),
    ],
)
def test_the_box_of_a_640_x_480_photo(framing, box):
    assert framing.box(640, 480) == box


def test_the_box_of_one_pixel_is_that_pixel():
    assert Framing(224).box(1, 1) == (0, 0, 1, 1)  # not 0.875 of it


@pytest.mark.parametrize(
    "setting", [{"size": 7}, {"size": 2049}, {"resize": "stretch"}, {"fraction": 0.05}]
)
def test_a_framing_out_of_range_is_refused_by_name(setting):
    name, value = next(iter(setting.items()))
    with pytest.raises(SettingError, match=f"{name} is .*{value}.*; expected"):
        Framing(**{"size": 32, **setting})


def test_crop_keeps_the_centre_and_squash_the_whole(encode):
    photo = np.zeros((40, 80, 3), "uint8")
    photo[:, 20:60] = 255  # exactly the centred square of a photo twice as wide as high
    kept = decode_image(encode(photo), Framing(16, "crop", 1.0))
    assert kept[:, 1:-1].min() == 255  # in the outermost columns resampling mixes in neighbours
    assert kept.min() > 200
    squashed = decode_image(encode(photo), Framing(16, "squash"))
    assert squashed[:, 0].max() == 0
    assert squashed[:, 8].min() == 255

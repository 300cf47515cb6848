"""An adopted model is served as any other; saliency is what its head allows, and says which."""

import numpy as np
import pytest
from PIL import Image

from models.images import Framing, decode_image
from service.app import create_app
from tests.conftest import encode_photo, paint_photo
from tests.foreign import MODELS
from tests.foreign_files import liven
from training.adopt.adopt import adopt
from training.adopt.config import AdoptConfig
from training.settings.console import Stages

PHOTO = encode_photo(paint_photo(48, 40))
JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    made = {}
    for name in ("sequential", "nested_backbone", "without_channel"):
        place = tmp_path_factory.mktemp(name)
        model = liven(MODELS[name]())
        model.save(place / "model.h5")
        labels = "ant,bee" if model.output_shape[-1] == 1 else "ant,bee,cow"
        config = AdoptConfig(scaling="raw", resize="pad")
        adopt(place / "model.h5", labels, place / "made", None, config, Stages(quiet=True))
        made[name] = create_app([place / "made"]).test_client()
    return made


@pytest.mark.parametrize(
    ("name", "method", "size"),
    [("sequential", "masks", 13), ("nested_backbone", "position", 8),
     ("without_channel", "occlusion", 14)],
)  # fmt: skip
def test_saliency_without_a_method_is_the_one_that_the_head_allows(clients, name, method, size):
    found = clients[name].post("/saliency", data=PHOTO, headers=JSON).json
    assert (found["method"], found["height"]) == (method, size)
    assert np.ptp(found["map"]) > 0
    assert clients[name].post("/saliency", data=PHOTO).mimetype == "image/png"


@pytest.mark.parametrize("method", ["position", "occlusion"])
def test_both_classes_of_one_number_have_saliency_and_it_is_opposite(clients, method):
    path = f"/saliency?method={method}&label="
    found = [
        np.array(
            clients["nested_backbone"].post(path + label, data=PHOTO, headers=JSON).json["map"]
        )
        for label in ("ant", "bee")
    ]
    assert np.ptp(found[0]) > 0
    np.testing.assert_allclose(found[0], -found[1], atol=1e-5 * np.ptp(found[0]))


def test_a_model_that_was_measured_on_nothing_is_served_without_a_report(clients):
    model = clients["sequential"].get("/models/made").json
    assert (model["accuracy"], model["report"], model["resize"]) == (None, None, "pad")
    assert clients["sequential"].post("/predict", data=PHOTO).status_code == 200


@pytest.mark.parametrize("turned", [False, True])
def test_pad_keeps_the_whole_photo_with_black_beside_it(turned):
    photo = np.full((40, 80, 3), 255, "uint8")
    photo[:, :20] = (255, 0, 0)
    data = encode_photo(photo.transpose(1, 0, 2) if turned else photo, "PNG")
    found = decode_image(data, Framing(16, "pad"))
    found = found.transpose(1, 0, 2) if turned else found
    assert found[:4].max() == 0
    assert found[12:].max() == 0
    assert found[4:12].min(axis=(0, 1)).tolist() == [255, 0, 0]
    assert found[6, 2].tolist() == [255, 0, 0]
    assert found[6, 12].tolist() == [255, 255, 255]


def test_pad_turns_a_photo_upright_and_enlarges_a_small_one(tmp_path):
    photo = np.zeros((4, 8, 3), "uint8")
    photo[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side: to be turned clockwise
    Image.fromarray(photo).save(tmp_path / "photo.png", exif=exif)
    found = decode_image((tmp_path / "photo.png").read_bytes(), Framing(16, "pad"))
    assert found[:, :4].max() == found[:, 12:].max() == 0
    assert found[2, 8].min() == 255  # its left half is the upper one now
    assert found[14, 8].max() == 0

"""Every family of `keras.applications` is adopted, nested; some flat, or in a Sequential."""

import keras
import numpy as np
import pytest
from keras import layers

from models.adopting.files.model_file import read_model_file
from models.adopting.rebuild import rebuild
from models.building.export import to_onnx
from models.building.graph import mapped_layers
from models.runtime import Graph
from tests.foreign_files import liven, photos_for
from tests.test_families import FAMILIES, shorten
from tests.test_families import find_backbone as find

FAMILY_NAMES = [name for name in FAMILIES if name != "efficientnet-lite0"]
# Nested, a family's layers are rebuilt from its own configuration; in the other two forms from that
# of the whole, which treats all families alike.
FORMS = [
    *((name, "nested") for name in FAMILY_NAMES),
    *((name, "flat") for name in ("densenet121", "efficientnetb0", "mobilenetv3small")),
    *((name, "sequential") for name in ("convnexttiny", "mobilenetv2", "resnet50v2")),
]


def whole(name: str, size: int, form: str) -> keras.Model:
    """The smallest member of a family with a head, as people put one on."""
    constructor = getattr(keras.applications, find(name).constructor)
    image = keras.Input((size, size, 3))
    known = {"include_top": False, "weights": None}
    if form == "flat":
        backbone = constructor(input_tensor=layers.Rescaling(1 / 127.5, -1)(image), **known)
        x = layers.GlobalAveragePooling2D()(backbone.output)
        return keras.Model(image, layers.Dense(3, activation="softmax")(x))
    backbone = constructor(input_shape=(size, size, 3), **known)
    if form == "nested":
        x = layers.RandomFlip()(layers.Rescaling(1 / 127.5, -1)(image))
        x = layers.GlobalAveragePooling2D()(backbone(x, training=False))
        return keras.Model(image, layers.Dense(3, activation="softmax")(x))
    return keras.Sequential(
        [image, layers.Rescaling(1 / 127.5, -1), backbone, layers.GlobalAveragePooling2D(),
         layers.Dropout(0.2), layers.Dense(3)]
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_family_is_adopted_with_the_same_answers(name, form, tmp_path, monkeypatch):
    shorten(name, monkeypatch)
    size = FAMILIES[name]
    model = liven(whole(name, size, form))
    photos = photos_for(size, 3).astype("float32")
    for ending in ("keras", "h5") if form == "nested" else ("keras",):
        model.save(tmp_path / f"m.{ending}")
        rebuilt = rebuild(read_model_file(tmp_path / f"m.{ending}")).network
        features = rebuilt.layers[-2].output  # before the softmax, which hides differences
        expected = np.asarray(model(photos, training=False))
        np.testing.assert_allclose(rebuilt(photos, training=False), expected, atol=1e-4)
        assert not [one for one in rebuilt.layers if isinstance(one, keras.Model)]
    part = keras.Model(rebuilt.input, features)
    (found,) = Graph(to_onnx(part, {"features": features})).run(photos, ["features"])
    mine = np.asarray(part(photos))
    np.testing.assert_allclose(found, mine, atol=1e-3 * max(1.0, np.abs(mine).max()))
    assert np.ptp(mine) > 0
    assert len(mapped_layers(rebuilt)) > 5

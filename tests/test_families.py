"""Every family of `keras.applications` can be trained on, saved, shown, and loaded again."""

import inspect
import sys
from typing import Any

import keras
import numpy as np
import pytest

from models.building.backbones import find_backbone
from models.building.graph import map_tensors
from models.building.head import DenseLayer
from models.building.network import build_backbone
from models.bundle import Bundle
from models.classifier import Classifier
from models.errors import SettingError
from models.inside import explain, look_inside
from tests.conftest import CLASS_NAMES
from tests.networks import add_head, liven_network, save_network

# The smallest member of each family, at the smallest size in px at which maps of more than one
# position remain after its last stride.
FAMILIES = {
    "convnexttiny": 64,
    "densenet121": 64,
    "efficientnetb0": 64,
    "efficientnetv2b0": 64,
    "inceptionresnetv2": 96,
    "inceptionv3": 96,
    "mobilenet": 64,
    "mobilenetv2": 64,
    "mobilenetv3small": 64,
    "nasnetmobile": 64,
    "resnet50": 64,
    "resnet50v2": 64,
    "vgg16": 64,
    "xception": 72,
    "efficientnet-lite0": 64,  # our own, for comparison
}
NEURAL = ("mobilenetv2", "efficientnet-lite0")  # with a hidden layer in the head too
CLOSE = 1e-3  # of a map, and of its range: livened maps span 2 to 20, a wrong layer is off by 1


# Where a family repeats its cells: a network of the module with the function that says how often,
# that function, and what it is told here.
SHORT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "convnexttiny": ("ConvNeXtTiny", "ConvNeXt", {"depths": [1, 1, 1, 1]}),
    "densenet121": ("DenseNet121", "DenseNet", {"blocks": [2, 2, 2, 2]}),
    "efficientnetb0": ("EfficientNetB0", "EfficientNet", {"depth_coefficient": 0.3}),
    "efficientnetv2b0": ("EfficientNetV2B0", "EfficientNetV2", {"depth_coefficient": 0.3}),
    "nasnetmobile": ("NASNetMobile", "NASNet", {"num_blocks": 1}),
    "resnet50": ("ResNet50", "stack_residual_blocks_v1", {"blocks": 2}),
    "resnet50v2": ("ResNet50", "stack_residual_blocks_v2", {"blocks": 2}),
}


def shorten(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras takes up to a minute for a deep family: here each kind of cell comes once or twice.

    test_scaling.py has whole ones.
    """
    if name == "inceptionresnetv2":
        building = sys.modules[keras.applications.InceptionResNetV2.__module__]
        block = building.inception_resnet_block

        def first_and_last(x, scale, block_type, block_idx, activation="relu"):
            if block_idx > 1 and activation is not None:
                return x
            return block(x, scale, block_type, block_idx, activation)

        monkeypatch.setattr(building, "inception_resnet_block", first_and_last)
    if name in SHORT:
        beside, function, changes = SHORT[name]
        building = sys.modules[getattr(keras.applications, beside).__module__]
        network = getattr(building, function)

        def shorter(*args, **named):
            said = inspect.signature(network).bind(*args, **named).arguments
            return network(**said | changes)

        monkeypatch.setattr(building, function, shorter)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "hidden"), [*((name, 0) for name in FAMILIES), *((name, 12) for name in NEURAL)]
)
def test_a_family_goes_from_keras_to_a_bundle_and_back(name, hidden, tmp_path, monkeypatch):
    shorten(name, monkeypatch)
    size = FAMILIES[name]
    rng = np.random.default_rng(0)
    # 16 photos of 4 x 4 blocks: few or finer ones differ so little behind many layers that
    # batch normalisation, with statistics of them, would magnify the rounding of float32.
    blocks = rng.integers(0, 256, (16, 4, 4, 3), dtype=np.uint8)
    photos = blocks.repeat(size // 4, axis=1).repeat(size // 4, axis=2)
    features = liven_network(build_backbone(find_backbone(name), size, "none"), photos)
    width = features.output.shape[-1]
    shapes = [(width, hidden), (hidden, 3)] if hidden else [(width, 3)]
    head = [
        DenseLayer(rng.normal(0, ins**-0.5, (ins, outs)).astype("f4"), rng.random(outs, "f4"), kind)
        for (ins, outs), kind in zip(shapes, ["relu", "linear"][-len(shapes) :], strict=True)
    ]
    bundle = save_network(features, head, tmp_path / name, photos[:4], CLASS_NAMES)
    network = add_head(features, head)
    tensors = map_tensors(network)
    assert len(tensors) >= 10
    model = keras.Model(network.input, [network.output, *tensors.values()])
    logits, *expected = (np.asarray(one) for one in model(photos[:1].astype("float32")))
    classifier = Classifier(Bundle(bundle))
    found = classifier.look(photos[0], list(tensors))
    for layer, maps in zip(tensors, expected, strict=True):
        spread = float(np.ptp(maps))
        assert spread > 1e-3, layer  # not vanished: another map in its place would be noticed
        difference = float(np.abs(found.maps[layer] - maps[0]).max())
        assert difference < CLOSE, f"{layer}: {difference:.2g} of {spread:.2g}"
        assert difference < CLOSE * spread, f"{layer}: {difference:.2g} of {spread:.2g}"

    if name.startswith("inception"):  # at 96 px their last maps have one position: none to take out
        assert classifier.pooled_layer is None
        assert look_inside(classifier, photos[0]).heat.tolist() == [[0.0]]
        with pytest.raises(SettingError, match="use method=masks"):
            explain(classifier, photos[0], None, "position")
    else:
        last = found.maps[classifier.pooled_layer]  # what saliency takes apart
        answer = classifier.head.run(last.mean(axis=(0, 1))[None], ["logits"])[0]
        np.testing.assert_allclose(answer, logits, atol=CLOSE)

    again = keras.saving.load_model(bundle / "model.keras")  # without custom objects
    assert not any(isinstance(layer, keras.Model) for layer in again.layers)
    assert np.array_equal(np.asarray(again(photos[:1].astype("float32"))), logits)
    assert np.abs(np.asarray(again(photos.astype("float32"))) - logits).max() > 1e-3  # it looks

"""Raw RGB in our graph is what each `keras.applications` family expects to be given."""

from pathlib import Path

import keras
import numpy as np
import pytest

from models.building.backbones import find_backbone
from models.building.network import build_backbone
from models.errors import WeightsUnreadable

# A member for each way of scaling, with the module that holds its `preprocess_input`.
MEMBERS = {
    "DenseNet121": "densenet",  # torch: mean and deviation of each colour
    "EfficientNetB0": "efficientnet",  # inside, by a Normalization with weights
    "ConvNeXtTiny": "convnext",  # inside, in a nested model; custom layers
    "MobileNet": "mobilenet",  # minus one to one
    "VGG16": "vgg16",  # caffe: blue first, minus the mean
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MEMBERS)
def test_a_familys_own_weights_and_scaling_give_its_own_features(name: str, tmp_path: Path):
    row = find_backbone(name)
    size = max(48, row.smallest)
    keras.utils.set_random_seed(1)
    original = getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(size, size, 3), pooling="avg"
    )
    weights = tmp_path / "some.weights.h5"
    original.save_weights(weights)
    photo = np.random.default_rng(0).integers(0, 256, (1, size, size, 3)).astype("float32")
    prepare = getattr(keras.applications, MEMBERS[name]).preprocess_input
    expected = np.asarray(original(prepare(photo.copy()), training=False))
    found = np.asarray(build_backbone(row, size, str(weights))(photo, training=False))
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


def test_weights_of_another_network_are_refused(tmp_path: Path):
    tiny = build_backbone(find_backbone("tiny"), 16, "none")
    tiny.save_weights(tmp_path / "tiny.weights.h5")
    with pytest.raises(WeightsUnreadable, match="mobilenetv2"):
        build_backbone(find_backbone("mobilenetv2"), 32, str(tmp_path / "tiny.weights.h5"))


def test_a_missing_weights_file_is_named(tmp_path: Path):
    with pytest.raises(WeightsUnreadable, match=r"nowhere\.h5"):
        build_backbone(find_backbone("tiny"), 16, str(tmp_path / "nowhere.h5"))

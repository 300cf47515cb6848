"""The table of backbones, and the flat graph built from one of its rows."""

import hashlib
import importlib
from pathlib import Path

import keras
import matplotlib
import numpy as np
import pytest
import sklearn
from keras import layers

from models.building import network as building
from models.building.backbones import BACKBONES, find_backbone, weights_identity
from models.building.flatten import graft
from models.building.head import DenseLayer
from models.building.network import build_backbone, pretrained_head
from models.errors import SettingError, UnknownBackbone, WeightsUnreadable
from models.images import Framing, decode_image
from tests.networks import add_head

TINY = BACKBONES["tiny"]
APPLICATIONS = [row for row in BACKBONES.values() if row.constructor]


def equal_weights(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def family_of(row):
    """The module of `keras.applications` that has the constructor and its own scaling."""
    apps = keras.applications
    modules = [getattr(apps, name) for name in dir(apps) if name[0].islower()]
    if row.constructor.startswith("MobileNetV3"):
        return apps.mobilenet_v3  # the only module without its constructors
    return next(one for one in modules if hasattr(one, row.constructor))


def is_plain(network):
    plain = ("keras.src.layers", "keras.src.ops")
    nested = any(isinstance(layer, keras.Model) for layer in network.layers)
    return not nested and all(type(one).__module__.startswith(plain) for one in network.operations)


def test_a_backbone_is_found_in_any_case_and_a_wrong_name_gets_the_nearest():
    assert find_backbone("MobileNetV2") is find_backbone("mobilenetv2")
    with pytest.raises(UnknownBackbone, match="'mobilnetv2'; nearest names: mobilenetv2"):
        find_backbone("mobilnetv2")


def test_every_application_of_keras_has_a_row():
    made = {name for name in dir(keras.applications) if name[0].isupper()}
    assert made == {row.constructor for row in APPLICATIONS}


@pytest.mark.parametrize("row", APPLICATIONS, ids=lambda row: row.name)
def test_scaling_equals_that_of_the_keras_family(row, noise):
    pixels = noise[:1].astype("float32")
    expected = family_of(row).preprocess_input(pixels.copy())
    found = np.asarray(building.scaling_layer(row)(pixels))  # building all takes minutes
    assert np.abs(found - expected).max() < 1e-4  # of up to 151, where the mean is subtracted


def test_scaling_of_efficientnet_lite_is_minus_127_over_128():
    pixels = np.array([0, 127, 255], "float32").reshape(1, 1, 1, 3)
    found = np.asarray(building.scaling_layer(BACKBONES["efficientnet-lite0"])(pixels))
    assert np.allclose(found.ravel(), [-127 / 128, 0, 1], atol=1e-6)


def test_the_same_seed_gives_the_same_weights_and_another_does_not():
    first, again, other = (build_backbone(TINY, 32, "none", seed) for seed in (1, 1, 2))
    assert equal_weights(first, again)
    assert not equal_weights(first, other)


def test_a_size_below_the_smallest_is_refused_with_both_numbers():
    with pytest.raises(SettingError, match="size is 7 px; tiny needs 8 px or more"):
        build_backbone(TINY, 7, "none")


def test_features_are_the_mean_of_the_last_map(noise):
    network = build_backbone(TINY, 32, "none")
    last = keras.Model(network.input, network.get_layer("block2_relu").output)
    expected = np.asarray(last(noise.astype("float32"))).mean(axis=(1, 2))
    assert network.layers[-1].name == "pool"
    assert np.abs(np.asarray(network(noise.astype("float32"))) - expected).max() < 1e-6


def test_a_head_of_two_layers_computes_what_numpy_does(noise):
    rng = np.random.default_rng(0)
    wide = DenseLayer(rng.normal(size=(16, 5)), rng.normal(size=5), "relu")
    last = DenseLayer(rng.normal(size=(5, 3)), rng.normal(size=3))
    backbone = build_backbone(TINY, 32, "none")
    network = add_head(backbone, [wide, last])
    features = np.asarray(backbone(noise.astype("float32")))
    expected = np.maximum(features @ wide.kernel + wide.bias, 0) @ last.kernel + last.bias
    assert np.abs(np.asarray(network(noise.astype("float32"))) - expected).max() < 1e-5
    assert network.layers[-1].name == "logits"


def test_a_saved_network_reloads_and_gives_equal_logits(tiny_network, noise, tmp_path):
    tiny_network.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    photos = noise.astype("float32")
    assert np.array_equal(np.asarray(again(photos)), np.asarray(tiny_network(photos)))


def test_the_embedded_network_recognises_three_photos():
    samples = Path(sklearn.__file__).parent / "datasets" / "images"
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    photos = [
        decode_image(hopper.read_bytes(), Framing(224, "squash")),  # the cap lies outside the crop
        decode_image((samples / "flower.jpg").read_bytes(), Framing(224)),
        decode_image((samples / "china.jpg").read_bytes(), Framing(224)),
    ]
    row = BACKBONES["efficientnet-lite0"]
    network = add_head(build_backbone(row, 224, "embedded"), pretrained_head(row))
    found = np.asarray(network(np.stack(photos).astype("float32"))).argmax(axis=1)
    assert found.tolist() == [652, 985, 698]  # ImageNet's military uniform, daisy, palace
    assert is_plain(network)


@pytest.mark.parametrize("name", ["tiny", "mobilenetv2"])
def test_only_embedded_backbones_bring_a_head(name):
    with pytest.raises(WeightsUnreadable, match=f"{name}: only embedded"):
        pretrained_head(BACKBONES[name])


@pytest.mark.parametrize(
    ("name", "weights"),
    [("tiny", "embedded"), ("tiny", "imagenet"), ("efficientnet-lite0", "imagenet")],
)
def test_weights_that_a_backbone_does_not_have_are_refused(name, weights):
    with pytest.raises(WeightsUnreadable, match=name):  # else it would be random, and nobody told
        build_backbone(BACKBONES[name], 32, weights)


@pytest.mark.filterwarnings("ignore:.*HDF5")  # Keras advises against the format it still publishes
@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".keras"])
def test_weights_of_another_network_are_refused(suffix, tmp_path):
    path = tmp_path / f"other{suffix}"
    other = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="other")])
    (other.save_weights if suffix == ".weights.h5" else other.save)(path)
    with pytest.raises(WeightsUnreadable, match="other"):
        build_backbone(TINY, 32, str(path))


@pytest.mark.parametrize("name", ["w.h5", "w.weights.h5", "w.keras", "w.txt"])
def test_a_file_that_holds_no_weights_is_refused_by_name(name, tmp_path):
    (tmp_path / name).write_bytes(b"not HDF5")
    with pytest.raises(WeightsUnreadable, match=name):
        build_backbone(TINY, 32, str(tmp_path / name))
    with pytest.raises(WeightsUnreadable, match=r"absent.h5: no such file"):
        build_backbone(TINY, 32, str(tmp_path / "absent.h5"))


def test_a_failed_download_says_what_to_do(monkeypatch):
    def fail(**_):  # what Keras raises without a network, which a test cannot count on
        raise Exception("URL fetch failure on https://storage.googleapis.com/...")

    monkeypatch.setattr(keras.applications, "MobileNetV2", fail)
    with pytest.raises(WeightsUnreadable, match=r"mobilenetv2: URL fetch failure.*give a file"):
        build_backbone(BACKBONES["mobilenetv2"], 32, "imagenet")


def test_the_identity_of_weights_tells_them_apart(tmp_path):
    file, row = tmp_path / "w.h5", BACKBONES["efficientnet-lite0"]
    file.write_bytes(b"numbers")
    assert weights_identity(row, "embedded") == row.embedded.sha256
    assert weights_identity(TINY, str(file)) == hashlib.sha256(b"numbers").hexdigest()
    assert weights_identity(TINY, "none", 1) != weights_identity(TINY, "none", 2)
    assert keras.__version__ in weights_identity(TINY, "imagenet")
    with pytest.raises(WeightsUnreadable, match=r"absent.h5: no such file"):
        weights_identity(TINY, str(tmp_path / "absent.h5"))


def plain_copy(network):
    image = keras.Input(network.input_shape[1:])
    return keras.Model(image, graft(network, image))


def test_a_grafted_convnext_is_plain_and_answers_as_before(noise):
    module = importlib.import_module("keras.src.applications.convnext")
    nested = module.ConvNeXt(  # as small as it gets with all its parts
        [1, 1, 1, 1], [4, 8, 8, 8], include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    rng = np.random.default_rng(0)
    for weight in nested.weights:  # the scales start at 1e-6: no branch would matter
        weight.assign(rng.uniform(0.5, 1, weight.shape))
    flat = plain_copy(nested)
    photos = noise.astype("float32")
    expected = np.asarray(nested(photos))
    assert is_plain(flat)
    assert not is_plain(nested)
    assert np.abs(np.asarray(flat(photos)) - expected).max() < 1e-4 * np.abs(expected).max()


def test_a_grafted_scaled_residual_is_plain_and_answers_as_before(noise):
    module = importlib.import_module("keras.src.applications.inception_resnet_v2")
    image = keras.Input((32, 32, 3))
    residual = layers.Conv2D(3, 1)(image)
    nested = keras.Model(image, module.CustomScaleLayer(0.17)([image, residual]))
    flat = plain_copy(nested)
    photos = noise.astype("float32")
    assert is_plain(flat)
    assert not is_plain(nested)
    assert np.abs(np.asarray(flat(photos)) - np.asarray(nested(photos))).max() < 1e-4  # of 255


def test_grafting_leaves_the_original_as_it_was(noise):
    image = keras.Input((32, 32, 3))
    original = keras.Model(image, layers.Conv2D(2, 3, name="conv")(image))
    copy = plain_copy(original)
    copy.get_layer("conv").set_weights([np.zeros((3, 3, 3, 2)), np.zeros(2)])
    assert np.abs(np.asarray(original(noise.astype("float32")))).max() > 0

"""Older files are read in their own spelling: what Keras 3 refuses, and what it reads wrongly."""

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from models.adopting.files.model_file import read_model_file
from models.adopting.rebuild import rebuild
from models.errors import AdoptError
from tests.foreign import MODELS
from tests.foreign_files import edit_archive, edit_h5, liven, photos_for
from tests.old_files import compare, each, old_nodes

OLD = "2.11.0"


def separable():
    image = keras.Input((32, 32, 3))
    x = layers.DepthwiseConv2D(3)(layers.Rescaling(1 / 255)(image))
    x = layers.BatchNormalization()(layers.SeparableConv2D(6, 3)(x))
    x = layers.LeakyReLU(negative_slope=0.07)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return liven(keras.Model(image, layers.Dense(3, activation="softmax")(x)))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("DepthwiseConv2D", lambda c: c.update(groups=1)),  # Teachable Machine
        ("BatchNormalization", lambda c: c.update(axis=[3])),
        ("BatchNormalization", lambda c: c.update(renorm=False, virtual_batch_size=None)),
        ("LeakyReLU", lambda c: c.update(alpha=c.pop("negative_slope"))),
        ("Rescaling", lambda c: c.update(batch_input_shape=[None, 32, 32, 3])),
        (
            "Dense",
            lambda c: c.update(dtype={"class_name": "Policy", "config": {"name": "float32"}}),
        ),
        ("Dense", lambda c: c.pop("quantization_config", None)),
    ],
)
def test_a_setting_in_an_older_spelling_is_read(kind, change, tmp_path):
    model = separable()
    model.save(tmp_path / "m.keras")

    def edit(config):
        for layer in each(config, kind):
            change(layer["config"])

    compare(edit_archive(tmp_path / "m.keras", tmp_path / "old.keras", edit), model)
    model.save(tmp_path / "m.h5")
    compare(edit_h5(tmp_path / "m.h5", edit), model)


@pytest.mark.parametrize("alpha", [0.3, 0.01])
def test_a_slope_is_never_dropped(alpha, tmp_path):
    model = separable()
    model.save(tmp_path / "m.keras")

    def edit(config):
        for layer in each(config, "LeakyReLU"):
            del layer["config"]["negative_slope"]
            layer["config"]["alpha"] = alpha

    path = edit_archive(tmp_path / "m.keras", tmp_path / "old.keras", edit)
    slopes = [one.negative_slope for one in rebuild(read_model_file(path)).network.layers
              if isinstance(one, layers.LeakyReLU)]  # fmt: skip
    assert slopes == [alpha]


def test_groups_that_are_more_than_one_are_refused(tmp_path):
    separable().save(tmp_path / "m.keras")

    def edit(config):
        for layer in each(config, "DepthwiseConv2D"):
            layer["config"]["groups"] = 3

    path = edit_archive(tmp_path / "m.keras", tmp_path / "old.keras", edit)
    with pytest.raises(AdoptError, match="groups 3; expected 1 or None"):
        rebuild(read_model_file(path))


def test_a_rotation_with_its_value_range_is_left_out(tmp_path):
    model = liven(MODELS["sequential_of_sequentials"]())
    model.save(tmp_path / "m.keras")

    def edit(config):
        for layer in each(config, "RandomRotation"):
            layer["config"]["value_range"] = [0, 255]

    compare(edit_archive(tmp_path / "m.keras", tmp_path / "old.keras", edit), model)


def test_a_legacy_file_without_an_input_layer_is_read(tmp_path):
    model = liven(MODELS["sequential"]())
    model.save(tmp_path / "m.h5")

    def edit(config):
        config["config"]["layers"].pop(0)
        config["config"]["layers"][0]["config"]["batch_input_shape"] = [None, 32, 32, 3]

    compare(edit_h5(tmp_path / "m.h5", edit), model)


def test_a_legacy_file_called_keras_is_read(tmp_path):
    model = liven(MODELS["residual"]())
    model.save(tmp_path / "m.h5")
    compare((tmp_path / "m.h5").rename(tmp_path / "m.keras"), model)


@pytest.mark.parametrize("name", ["residual", "nested_backbone", "nested_twice", "twins",
                                  "shared_model"])  # fmt: skip
def test_calls_in_the_form_of_keras_2_are_read(name, tmp_path):
    model = liven(MODELS[name]())
    model.save(tmp_path / "m.h5")
    compare(edit_h5(tmp_path / "m.h5", old_nodes), model)


def operation(name: str, function: str, source: str, /, **named) -> dict:
    """An operation as Keras 2 wrote it."""
    return {
        "class_name": "TFOpLambda",
        "config": {"name": name, "trainable": True, "dtype": "float32", "function": function},
        "name": name,
        "inbound_nodes": [[source, 0, 0, named]],
    }


@pytest.mark.parametrize("wrapped", [False, True])
def test_operations_in_the_form_of_keras_2_are_read(wrapped, tmp_path):
    image = keras.Input((32, 32, 3), name="input_1")
    x = layers.Conv2D(4, 3, name="conv")(image)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = liven(keras.Model(image, layers.Dense(3, name="answer")(x)))
    model.save(tmp_path / "m.h5")

    def edit(config):
        old_nodes(config)
        found = config["config"]["layers"]
        flip = operation("flip", "", "input_1", slice_spec=[
            {"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}])  # fmt: skip
        flip["class_name"] = "SlicingOpLambda"
        steps = [
            flip,
            operation("tf.nn.bias_add", "nn.bias_add", "flip", bias=[-103.9, -116.8, -123.7]),
            operation("tf.math.truediv", "math.truediv", "tf.nn.bias_add", y=127.5, name=None),
            operation("tf.math.subtract", "math.subtract", "tf.math.truediv", y=1.0, name=None),
            operation("tf.cast", "cast", "tf.math.subtract", dtype="float32"),
            operation("tf.nn.relu", "nn.relu", "tf.cast"),
            operation("sum", "__operators__.add", "tf.nn.relu", y=["tf.cast", 0, 0]),
        ]
        if wrapped:
            for step in steps:
                step["inbound_nodes"] = [[node] for node in step["inbound_nodes"]]
        found[1:1] = steps
        for layer in found:
            if layer["config"]["name"] == "conv":
                layer["inbound_nodes"] = [[["sum", 0, 0, {}]]]

    path = edit_h5(tmp_path / "m.h5", edit)
    rebuilt = rebuild(read_model_file(path))
    photos = photos_for(32).astype("float32")
    scaled = (photos[..., ::-1] - np.array([103.9, 116.8, 123.7])) / 127.5 - 1
    scaled = np.maximum(scaled, 0) + scaled
    expected = model(scaled.astype("float32"))
    np.testing.assert_allclose(rebuilt.network(photos), expected, atol=1e-4)
    assert rebuilt.scalings == ["tf.nn.bias_add", "tf.math.truediv", "tf.math.subtract"]


def test_an_operation_that_is_not_known_is_refused_by_its_name(tmp_path):
    image = keras.Input((32, 32, 3), name="input_1")
    x = layers.GlobalAveragePooling2D()(keras.ops.sin(image))
    keras.Model(image, layers.Dense(3)(x)).save(tmp_path / "m.keras")
    with pytest.raises(AdoptError, match=r"operation 'sin\w*' \(sin\) has no counterpart"):
        rebuild(read_model_file(tmp_path / "m.keras"))


@pytest.mark.parametrize("where", ["layer", "activation"])
def test_the_hard_sigmoid_of_keras_2_is_another_function(where, tmp_path):
    image = keras.Input((8, 8, 3), name="image_in")
    x = layers.Conv2D(4, 3, name="conv", activation="hard_sigmoid")(image)
    if where == "layer":
        x = layers.Conv2D(4, 3, name="conv")(image)
        x = layers.Activation("hard_sigmoid", name="gate")(x)
    model = liven(keras.Model(image, layers.Dense(3)(layers.Flatten()(x))))
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.attrs["keras_version"] = OLD
    photos = np.random.default_rng(0).normal(0, 1, (4, 8, 8, 3)).astype("float32")
    network = rebuild(read_model_file(tmp_path / "m.h5")).network
    conv = model.get_layer("conv")
    linear = keras.ops.conv(photos, conv.kernel) + conv.bias
    gated = np.clip(0.2 * np.asarray(linear) + 0.5, 0, 1).reshape(4, -1)
    dense = model.layers[-1]
    expected = gated @ np.asarray(dense.kernel) + np.asarray(dense.bias)
    np.testing.assert_allclose(network(photos), expected, atol=1e-5)
    assert np.abs(np.asarray(model(photos)) - expected).max() > 0.01  # what Keras 3 makes of it


def test_a_thresholded_relu_of_keras_2_is_read(tmp_path):
    model = separable()
    model.save(tmp_path / "m.h5")

    def edit(config):
        for layer in each(config, "LeakyReLU"):
            layer["class_name"] = "ThresholdedReLU"
            layer["config"] = {"name": layer["config"]["name"], "theta": 0.4}

    network = rebuild(read_model_file(edit_h5(tmp_path / "m.h5", edit))).network
    (found,) = [one for one in network.layers if isinstance(one, layers.ReLU)]
    values = np.array([[-1, 0.3, 0.5]], "float32")
    np.testing.assert_allclose(found(values), [[0, 0, 0.5]])


@pytest.mark.parametrize("version", [OLD, "3.4.0"])
def test_a_layer_that_keras_2_keeps_active_is_refused(version, tmp_path):
    image = keras.Input((32, 32, 3), name="input_1")
    x = layers.Dropout(0.5, name="drop")(layers.Flatten()(image), training=True)
    model = liven(keras.Model(image, layers.Dense(3)(x)))
    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.attrs["keras_version"] = version
    if version == OLD:
        with pytest.raises(AdoptError, match=r"'drop' \(Dropout\) is called with training=True"):
            rebuild(read_model_file(tmp_path / "m.h5"))
    else:  # Keras 3 leaves it out all the same
        compare(tmp_path / "m.h5", model)

"""The weights of a file find their layers, in every form that Keras has given it."""

import json

import keras
import numpy as np
import pytest
from keras import layers

from models.adopting.files.model_file import ModelFile, read_model_file
from models.adopting.rebuild import rebuild
from models.errors import AdoptError
from tests.foreign import MODELS, nested_backbone, stem
from tests.foreign_files import edit_h5, liven, photos_for
from tests.old_files import compare, each, old_nodes


def test_weights_of_a_frozen_backbone_in_a_legacy_file_find_their_layers(tmp_path):
    model = nested_backbone()
    model.get_layer("stem").trainable = False
    liven(model).save(tmp_path / "frozen.h5")
    compare(tmp_path / "frozen.h5", model)
    model.get_layer("stem").trainable = True
    for layer in model.get_layer("stem").layers[:4]:
        layer.trainable = False
    model.save(tmp_path / "half.h5")
    compare(tmp_path / "half.h5", model)


def test_weights_are_found_where_layers_were_renamed_since(tmp_path):
    model = liven(MODELS["nested_backbone"]())
    model.save(tmp_path / "m.h5")

    def edit(config):
        for inner in each(config, "Functional"):
            renamed = {}
            for number, layer in enumerate(inner["config"]["layers"]):
                renamed[layer["config"]["name"]] = f"other_{number}"
            text = json.dumps(inner["config"])
            for old, new in renamed.items():
                text = text.replace(f'"{old}"', f'"{new}"')
            inner["config"] = json.loads(text)

    compare(edit_h5(tmp_path / "m.h5", edit), model)


def test_renamed_layers_of_which_only_some_can_be_trained_are_refused(tmp_path):
    model = liven(MODELS["nested_backbone"]())
    model.get_layer("stem").layers[1].trainable = False
    model.save(tmp_path / "m.h5")

    def edit(config):
        text = json.dumps(config)
        for name in ("one_conv", "one_bn", "two_conv", "two_bn"):
            text = text.replace(f'"{name}"', f'"other_{name}"')
        config["config"] = json.loads(text)["config"]

    path = edit_h5(tmp_path / "m.h5", edit)
    with pytest.raises(AdoptError, match="renamed after they were built"):
        rebuild(read_model_file(path))


def keras_213(path, target):
    """Write a file's weights where Keras 2.13 put them, each weighted layer counted twice."""
    file = read_model_file(path)
    arrays, names = {}, {}
    numbers: dict[str, int] = {}
    for layer in file.config["config"]["layers"]:
        stem_ = {"Conv2D": "conv2d", "Dense": "dense", "BatchNormalization": "batch_normalization"}
        kind = layer["class_name"]
        if kind in stem_:
            base, number = stem_[kind], numbers.get(kind, 0)
            numbers[kind] = number + 1
            old = f"layers/{base}{f'_{number}' if number else ''}/vars/"
            new = f"_layer_checkpoint_dependencies/{base}{f'_{2 * number}' if number else ''}/vars/"
            arrays |= {p.replace(old, new): a for p, a in file.arrays.items() if p.startswith(old)}
    return ModelFile("keras", "2.13.1", file.config, arrays, {}, names, {})


def test_weights_of_a_keras_file_of_keras_2_find_their_layers(tmp_path):
    model = liven(MODELS["sequential"]())
    model.save(tmp_path / "m.keras")
    photos = photos_for(32).astype("float32")
    rebuilt = rebuild(keras_213(tmp_path / "m.keras", tmp_path))
    np.testing.assert_allclose(rebuilt.network(photos), model(photos, training=False), atol=1e-5)


def teachable(tmp_path):
    """A model as Teachable Machine exports it: Sequential of Sequentials around a `Model`."""
    features = keras.Sequential([stem(), layers.GlobalAveragePooling2D()], name="features_part")
    top = keras.Sequential(
        [keras.Input((12,)), layers.Dense(10, activation="relu"),
         layers.Dense(3, use_bias=False, activation="softmax")], name="top_part")  # fmt: skip
    model = keras.Sequential([features, top])
    model.build((None, 32, 32, 3))
    liven(model).save(tmp_path / "m.h5")

    def edit(config):
        for layer in each(config, "Functional"):
            layer["class_name"] = "Model"
            old_nodes(layer)
        for key in ("build_input_shape",):
            config["config"].pop(key, None)
        config["config"]["layers"] = [
            one for one in config["config"]["layers"] if one["class_name"] != "InputLayer"
        ]
        for layer in each(config, "InputLayer"):
            layer["config"]["batch_input_shape"] = layer["config"].pop("batch_shape")

    return edit_h5(tmp_path / "m.h5", edit), model


def test_a_model_of_teachable_machine_is_read(tmp_path):
    path, model = teachable(tmp_path)
    compare(path, model)


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_weights_of_another_precision_become_single_precision(dtype, tmp_path):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        model = liven(MODELS["fully_convolutional"]())
    finally:
        keras.config.set_dtype_policy(policy)
    model.save(tmp_path / "m.keras")
    photos = photos_for(32).astype("float32")
    found = np.asarray(rebuild(read_model_file(tmp_path / "m.keras")).network(photos))
    expected = np.asarray(keras.ops.cast(model(photos), "float32"))
    np.testing.assert_allclose(found, expected, atol={"float64": 1e-5}.get(dtype, 0.05))
    assert found.dtype == np.float32

"""A model whose text cannot be rebuilt, or that is none of images, is refused by what it is."""

import json
from contextlib import suppress
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from models.adopting.files.model_file import read_model_file
from models.adopting.rebuild import rebuild
from models.errors import AdoptError
from tests.foreign import grey, sequential
from tests.foreign_files import edit_archive, edit_h5, liven, read_archive, write_archive
from tests.refusing import refused


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("good") / "model.keras"
    liven(grey()).save(path)
    return path


@pytest.fixture(scope="module")
def good_h5(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("good") / "model.h5"
    liven(grey()).save(path)
    return path


def lambda_model():
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Lambda(lambda x: x / 255), layers.Flatten(),
         layers.Dense(3)]
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_a_lambda_is_refused_by_its_name_with_the_remedy(ending, tmp_path):
    path = tmp_path / f"m.{ending}"
    model = lambda_model()
    model.layers[0].name = "divide"
    model.save(path)
    refused(path, "divide", "Lambda", "Rescaling")


@pytest.mark.parametrize(
    ("module", "kind", "registered"),
    [
        ("os", "system", None),
        ("builtins", "eval", "eval"),
        ("__main__", "Attention2", None),
        ("my_package.layers", "Conv2D", None),
        (None, "Squeeze", "Custom>Squeeze"),
        ("keras.layers", "Flatten", "Custom>Flatten"),
        ("keras.src.utils.file_utils", "get_file", None),
        ("tensorflow_hub", "KerasLayer", None),
    ],
)
def test_a_class_of_somebodys_own_is_refused_by_its_name(module, kind, registered, good, tmp_path):
    def change(config):
        layer = next(one for one in config["config"]["layers"] if one["class_name"] == "Flatten")
        layer |= {"module": module, "class_name": kind, "registered_name": registered}

    refused(edit_archive(good, tmp_path / "m.keras", change), "flatten", "layer")


def test_a_model_that_is_subclassed_is_refused(good, tmp_path):
    def change(config):
        config["class_name"] = "MyModel"

    refused(edit_archive(good, tmp_path / "m.keras", change), "MyModel", "subclassed")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("LSTM", "sequences"),
        ("Embedding", "text"),
        ("StringLookup", "text"),
        ("Conv3D", "volumes"),
        ("MultiHeadAttention", "no counterpart"),
        ("KerasLayer", "TensorFlow Hub"),
        ("TFSMLayer", "not made of Keras"),
        ("Nonsense", "somebody's own"),
    ],
)
def test_a_layer_that_cannot_be_rebuilt_is_refused_with_the_reason(kind, words, good_h5, tmp_path):
    path = tmp_path / "m.h5"
    path.write_bytes(good_h5.read_bytes())

    def change(config):
        layer = next(one for one in config["config"]["layers"] if one["class_name"] == "Flatten")
        layer["class_name"] = kind

    found = refused(edit_h5(path, change), words)
    assert kind == "Embedding" or (kind in found and "flatten" in found)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_an_operation_without_a_counterpart_is_called_that(ending, tmp_path):
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.Flatten()(keras.ops.square(image)))
    model.save(tmp_path / f"m.{ending}")  # HDF5 does not say that it is one of Keras' own
    refused(tmp_path / f"m.{ending}", "operation 'square", "(square) has no counterpart")


def test_an_activation_of_somebodys_own_is_refused(good, tmp_path):
    def change(config):
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Conv2D":
                layer["config"]["activation"] = {
                    "module": "builtins", "class_name": "function", "config": "my_gate",
                    "registered_name": "my_gate",
                }  # fmt: skip

    refused(edit_archive(good, tmp_path / "m.keras", change), "my_gate", "activation")


def test_a_setting_that_nobody_knows_is_refused_by_its_name(good, tmp_path):
    def change(config):
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Conv2D":
                layer["config"]["spectral"] = 3

    refused(edit_archive(good, tmp_path / "m.keras", change), "'spectral'", "Conv2D")


@pytest.mark.parametrize(
    "config",
    [
        b"[1, 2",
        b"[]",
        b"{}",
        b'{"class_name": "Functional", "config": 3}',
        b'{"class_name": "Functional", "config": {"layers": 7}}',
        b'{"class_name": "Functional", "config": {"layers": [3]}}',
        b'{"class_name": "Sequential", "config": {"layers": []}}',
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_a_configuration_that_is_none_is_refused(config, good, tmp_path):
    refused(write_archive(tmp_path / "m.keras", read_archive(good) | {"config.json": config}))


def test_graphs_that_wait_for_each_other_or_for_nobody_are_refused(good, tmp_path):
    def circle(config):
        found = config["config"]["layers"]
        second = found[1]["inbound_nodes"][0]["args"][0]["config"]
        second["keras_history"][0] = found[-1]["name"]

    refused(edit_archive(good, tmp_path / "a.keras", circle), "waits")

    def nobody(config):
        found = config["config"]["layers"]
        found[1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0] = "nobody"

    refused(edit_archive(good, tmp_path / "b.keras", nobody), "nobody")


def test_every_single_change_of_a_configuration_is_read_or_refused(tmp_path):
    """Whatever stands in a place of the text, no other error than a refusal comes out."""
    path = tmp_path / "m.keras"
    liven(sequential()).save(path)
    file = read_model_file(path)
    text = json.dumps(file.config)
    places = list(_places(file.config))
    rng = np.random.default_rng(0)
    odd = [None, -1, 10**9, "x", [], {}, [None], {"class_name": "Dense"}, True, 1.5, [["a", 0, 0]]]
    for place in rng.permutation(len(places))[:250]:
        config = json.loads(text)
        holder = config
        *path_to, last = places[place]
        for key in path_to:
            holder = holder[key]
        holder[last] = odd[int(rng.integers(len(odd)))]
        with suppress(AdoptError):
            rebuild(type(file)(**{**vars(file), "config": config}))


def _places(value, path=()):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from _places(inner, (*path, key))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b'{"class_name": "Sequential"}', "without its weights"),
        (b"cat\ndog\n", "text"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\x18\x00\x00\x00TFL3\x00\x00", "LiteRT"),
        (b"\x93NUMPY\x01\x00", "NumPy"),
        (bytes(range(256)), "neither"),
    ],
)
def test_a_file_that_is_no_model_is_called_what_it_is(content, words, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    refused(path, words)


def test_folders_are_called_what_they_are(tmp_path):
    refused(tmp_path, "folder")
    (tmp_path / "saved_model.pb").touch()
    refused(tmp_path, "SavedModel")
    refused(tmp_path / "missing.keras", "cannot be read")


def test_weights_without_a_network_are_called_that(tmp_path):
    model = liven(grey())
    model.save_weights(tmp_path / "m.weights.h5")
    refused(tmp_path / "m.weights.h5", "without their network")


def test_a_model_of_pytorch_is_called_that(tmp_path):
    path = write_archive(tmp_path / "m.keras", {"archive/data.pkl": b"x", "archive/version": b"3"})
    refused(path, "PyTorch")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((12,), "vectors of 12 numbers"),
        ((49,), "vectors of 49 numbers"),
        ((8, 8, 4), "4 channels"),
        ((5, 8, 8, 3), "shape (5, 8, 8, 3)"),
    ],
)
def test_a_model_of_something_else_than_images_is_called_that(shape, words, tmp_path):
    flat = [layers.Flatten()] if len(shape) > 1 else []
    model = keras.Sequential([keras.Input(shape), *flat, layers.Dense(3)])
    model.save(tmp_path / "m.keras")
    refused(tmp_path / "m.keras", words)


def test_an_input_of_any_size_needs_one(tmp_path):
    image = keras.Input((None, None, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(image))
    keras.Model(image, layers.Dense(3)(x)).save(tmp_path / "m.keras")
    refused(tmp_path / "m.keras", "--size")
    assert rebuild(read_model_file(tmp_path / "m.keras"), 40).network.input_shape[1:] == (40, 40, 3)

"""Layers behind the last activation hide nothing; rows of pixels are images, too."""

import keras
import numpy as np
import pytest
from keras import layers

from models.adopting.files.model_file import read_model_file
from models.adopting.rebuild import rebuild
from models.building.ending import split_ending
from models.errors import AdoptError, SettingError
from tests.foreign import inputs
from tests.foreign_files import edit_archive, liven, photos_for
from tests.refusing import refused
from tests.test_adopt_models import SAME, adopt_file, own_probabilities


def trunk(image):
    x = layers.Conv2D(6, 3, strides=2, activation="relu")(layers.Rescaling(1 / 255)(image))
    return layers.GlobalAveragePooling2D(keepdims=True)(x)


def vector(image):
    return layers.Flatten()(trunk(image))


ENDINGS = {
    "linear_after_softmax": lambda x: layers.Activation("linear")(
        layers.Dense(3, activation="softmax")(layers.Flatten()(x))
    ),
    "reshape_after_softmax": lambda x: layers.Reshape((3,))(
        layers.Softmax()(layers.Dense(3)(layers.Flatten()(x)))
    ),
    "flatten_after_sigmoid": lambda x: layers.Flatten()(
        layers.Dense(1, activation="sigmoid")(layers.Flatten()(x))
    ),
    "flatten_after_convolution": lambda x: layers.Flatten()(
        layers.Conv2D(3, 1, activation="softmax")(x)
    ),
    "reshape_after_convolution": lambda x: layers.Reshape((1,))(
        layers.Conv2D(1, 1, activation="sigmoid")(x)
    ),
    "softmax_of_maps": lambda x: layers.Flatten()(layers.Softmax()(layers.Conv2D(3, 1)(x))),
    "map_of_one_position": lambda x: layers.Conv2D(3, 1, activation="softmax")(x),
    "logits_of_maps": lambda x: layers.Flatten()(layers.Conv2D(3, 1)(x)),
    "dense_on_a_map": lambda x: layers.Flatten()(layers.Dense(3, activation="softmax")(x)),
    "two_softmaxes": lambda x: layers.Softmax()(
        layers.Dense(3, activation="softmax")(layers.Flatten()(x))
    ),
    "temperature": lambda x: layers.Softmax()(layers.Dense(3)(layers.Flatten()(x)) / 2.5),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_an_activation_below_layers_that_only_reshape_is_the_last(name, tmp_path):
    image = inputs()
    model = liven(keras.Model(image, ENDINGS[name](trunk(image))))
    model.save(tmp_path / "model.keras")
    classifier = adopt_file(tmp_path / "model.keras", tmp_path / "bundle", model)
    photos = photos_for(32)
    answers = np.asarray(model(photos.astype("float32"))).reshape(len(photos), -1)
    flat = keras.Model(image, layers.Flatten()(model.output))
    expected = own_probabilities(flat, photos.astype("float32"))
    np.testing.assert_allclose(classifier.predict(photos), expected, atol=SAME)
    if answers.shape[1] == 1:
        np.testing.assert_allclose(classifier.predict(photos)[:, 1], answers[:, 0], atol=SAME)
    elif name != "logits_of_maps":
        np.testing.assert_allclose(classifier.predict(photos), answers, atol=SAME)


def test_a_log_softmax_is_taken_off_as_a_softmax(tmp_path):
    image = inputs()
    model = liven(keras.Model(image, layers.Dense(3, "log_softmax")(vector(image))))
    model.save(tmp_path / "model.keras")
    photos = photos_for(32)
    expected = np.exp(model(photos.astype("float32")))
    classifier = adopt_file(tmp_path / "model.keras", tmp_path / "bundle", model)
    np.testing.assert_allclose(classifier.predict(photos), expected, atol=SAME)


def softmax(image):
    return layers.Dense(3, activation="softmax")(vector(image))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda i: layers.Average()([softmax(i), softmax(i)]), "after their softmax"),
        (lambda i: 0.25 * softmax(i) + 0.75 * softmax(i), "after their softmax"),
        (
            lambda i: layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3, activation="softmax")(i)),
            "after their softmax",
        ),
        (
            lambda i: layers.Concatenate()(
                [1 - (p := layers.Dense(1, activation="sigmoid")(vector(i))), p]
            ),
            "after their sigmoid",
        ),
        (lambda i: layers.LeakyReLU(0.3)(layers.Dense(3)(vector(i))), "ends with 'LeakyReLU'"),
        (lambda i: layers.ReLU(6.0)(layers.Dense(3)(vector(i))), "ends with 'ReLU'"),
        (lambda i: layers.Softmax(axis=1)(layers.Dense(3)(trunk(i))), "softmax of axis 1"),
    ],
)
def test_probabilities_that_were_put_together_are_not_read_as_logits(answer, words, tmp_path):
    image = inputs()
    keras.Model(image, answer(image)).save(tmp_path / "m.keras")
    rebuilt = rebuild(read_model_file(tmp_path / "m.keras"))
    with pytest.raises(AdoptError, match=words):
        split_ending(rebuilt.network)


def test_logits_of_several_networks_are_added_up():
    image = inputs()
    logits = layers.Add()([layers.Dense(3)(vector(image)), layers.Dense(3)(vector(image))])
    assert split_ending(keras.Model(image, logits)).kind == "logits"
    gated = layers.Multiply()([layers.Dense(3)(vector(image)), softmax(image)])
    assert split_ending(keras.Model(image, gated)).kind == "logits"


def test_sums_of_sums_without_end_are_walked_once():
    image = inputs()
    x = layers.Dense(3, activation="softmax")(vector(image))
    for _ in range(60):  # 2^60 ways from the last to the first
        x = layers.Average()([x, x])
    with pytest.raises(AdoptError, match="after their softmax"):
        split_ending(keras.Model(image, x))


@pytest.mark.parametrize(("length", "channels"), [(784, 1), (192, 3)])
def test_rows_of_pixels_are_adopted_as_images(length, channels, tmp_path):
    model = keras.Sequential(
        [keras.Input((length,)), layers.Rescaling(1 / 255, name="over_255"), layers.Dense(9),
         layers.ReLU(), layers.BatchNormalization(), layers.Dense(3, activation="softmax")]
    )  # fmt: skip
    liven(model).save(tmp_path / "model.keras")
    side = round((length / channels) ** 0.5)
    classifier = adopt_file(tmp_path / "model.keras", tmp_path / "bundle", model)
    assert classifier.framing.size == side
    photos = photos_for(side)
    grey = np.array([0.299, 0.587, 0.114], "float32")
    pixels = photos.astype("float32") @ grey if channels == 1 else photos.astype("float32")
    expected = model(pixels.reshape(len(pixels), -1))  # row after row, as NumPy reshapes
    np.testing.assert_allclose(classifier.predict(photos), expected, atol=SAME)
    assert rebuild(read_model_file(tmp_path / "model.keras")).scalings == ["over_255"]


def test_rows_that_may_be_features_need_a_size(tmp_path):
    model = keras.Sequential([keras.Input((1024,)), layers.Dense(3)])
    model.save(tmp_path / "m.keras")
    refused(tmp_path / "m.keras", "features of another network", "--size 32")
    assert rebuild(read_model_file(tmp_path / "m.keras"), 32).network.input_shape[1:] == (32, 32)
    with pytest.raises(AdoptError, match="32 x 32 px only"):
        rebuild(read_model_file(tmp_path / "m.keras"), 28)


def test_rows_without_a_scaling_need_one(tmp_path):
    keras.Sequential([keras.Input((784,)), layers.Dense(3)]).save(tmp_path / "m.keras")
    model = keras.models.load_model(tmp_path / "m.keras")
    with pytest.raises(SettingError, match="nothing says how its program did"):
        adopt_file(tmp_path / "m.keras", tmp_path / "bundle", model, scaling=None)


@pytest.mark.parametrize(("written", "plain"), [("softmax_v2", "softmax"), ("swish", "silu")])
def test_functions_of_tensorflow_are_read_by_the_names_it_gives_them(written, plain, tmp_path):
    image = inputs()
    model = liven(keras.Model(image, layers.Dense(3, activation=plain)(vector(image))))
    model.save(tmp_path / "m.keras")
    own = {"module": "builtins", "class_name": "function", "registered_name": "function"}

    def change(config):
        config["config"]["layers"][-1]["config"]["activation"] = own | {"config": written}

    path = edit_archive(tmp_path / "m.keras", tmp_path / "tf.keras", change)
    photos = photos_for(32).astype("float32")
    found = rebuild(read_model_file(path)).network(photos)
    np.testing.assert_allclose(found, model(photos), atol=1e-6)


@pytest.mark.parametrize(("name", "words"), [("glu", "no counterpart"), ("my>relu", "its own")])
def test_a_function_that_is_not_read_is_called_what_it_is(name, words, tmp_path):
    image = inputs()
    keras.Model(image, layers.Dense(3)(vector(image))).save(tmp_path / "m.keras")

    def change(config):
        config["config"]["layers"][-1]["config"]["activation"] = name

    refused(edit_archive(tmp_path / "m.keras", tmp_path / "own.keras", change), name, words)


def test_a_pipeline_of_augmentation_is_left_out(tmp_path):
    image = inputs()
    x = layers.Pipeline([layers.RandomFlip(), layers.Rescaling(1 / 255, name="over_255")])(image)
    model = liven(keras.Model(image, layers.Dense(3)(layers.Flatten()(x))))
    model.save(tmp_path / "m.keras")
    rebuilt = rebuild(read_model_file(tmp_path / "m.keras"))
    assert rebuilt.scalings == ["over_255"]
    photos = photos_for(32).astype("float32")
    np.testing.assert_allclose(rebuilt.network(photos), model(photos, training=False), atol=1e-5)


def test_channels_are_reduced_as_spatial_attention_does(tmp_path):
    image = inputs()
    x = layers.Conv2D(6, 3, activation="relu")(layers.Rescaling(1 / 255)(image))
    pooled = [keras.ops.mean(x, axis=-1, keepdims=True), keras.ops.max(x, axis=3, keepdims=True)]
    gate = layers.Conv2D(1, 7, padding="same", activation="sigmoid")(layers.Concatenate()(pooled))
    x = layers.GlobalAveragePooling2D()(layers.Multiply()([x, gate]))
    model = liven(keras.Model(image, layers.Dense(3, activation="softmax")(x)))
    model.save(tmp_path / "m.keras")
    classifier = adopt_file(tmp_path / "m.keras", tmp_path / "bundle", model)
    photos = photos_for(32)
    expected = model(photos.astype("float32"))
    np.testing.assert_allclose(classifier.predict(photos), expected, atol=SAME)

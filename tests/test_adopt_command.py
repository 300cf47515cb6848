"""`adopt` asks for what the file does not say, says what it assumes, and measures on photos."""

import json
import re

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers
from PIL import Image

from models.building.scalings import Front, numbers
from models.errors import AdoptError, SettingError
from tests.colours import colour_model, run_adopt
from tests.foreign import oblong
from tests.foreign_files import CLASSES, liven, photos_for
from training.__main__ import training


def test_without_a_scaling_it_is_refused_with_the_ways_to_find_out(tmp_path):
    with pytest.raises(SettingError, match=r"rescale=1\./255.*--photos") as caught:
        run_adopt(colour_model(), tmp_path)
    assert "model.keras does not scale pixels inside" in str(caught.value)
    assert not (tmp_path / "bundle").exists()


def test_a_network_that_scales_inside_needs_no_setting(tmp_path):
    image = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(image)))
    model = liven(keras.Model(image, layers.Dense(3)(x)))
    classifier, heard = run_adopt(model, tmp_path)
    assert "warning" not in heard.text
    assert "reads RGB images of 32 x 32 px, ends with logits (dense" in heard.text
    expected = keras.ops.softmax(model(photos_for(32).astype("float32")))
    np.testing.assert_allclose(classifier.predict(photos_for(32)), expected, atol=1e-4)


def test_scaling_twice_is_warned_of(tmp_path):
    image = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255, name="inside")(image))
    _, heard = run_adopt(liven(keras.Model(image, layers.Dense(3)(x))), tmp_path, scaling="0..1")
    assert "warning: the network scales pixels itself (inside)" in heard.text


@pytest.mark.parametrize(
    ("settings", "by_hand"),
    [
        ({"scaling": "raw"}, lambda x: x),
        ({"scaling": "0..1"}, lambda x: x / 255),
        ({"scaling": "-1..1"}, lambda x: x / 127.5 - 1),
        ({"scaling": "caffe"}, lambda x: x[..., ::-1] - [103.939, 116.779, 123.68]),
        ({"scaling": "torch"}, lambda x: (x / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
        ({"scaling": "100,50"}, lambda x: (x - 100) / 50),
        ({"scaling": "0..1", "bgr": True}, lambda x: x[..., ::-1] / 255),
        ({"scaling": "-1..1", "invert": True}, lambda x: (255 - x) / 127.5 - 1),
    ],
)
def test_what_its_program_did_to_pixels_becomes_part_of_the_graph(settings, by_hand, tmp_path):
    model = liven(colour_model())
    classifier, _ = run_adopt(model, tmp_path, **settings)
    photos = photos_for(32)
    expected = model(by_hand(photos.astype("float64")).astype("float32"))
    np.testing.assert_allclose(classifier.predict(photos), expected, atol=1e-4)


def test_a_grey_network_reads_the_brightness_of_colours(tmp_path):
    image = keras.Input((32, 32, 1))
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(image))
    model = liven(keras.Model(image, layers.Dense(3)(x)))
    classifier, heard = run_adopt(model, tmp_path, scaling="0..1", invert=True)
    photos = photos_for(32)
    grey = np.stack([np.asarray(Image.fromarray(one).convert("L")) for one in photos])
    expected = keras.ops.softmax(model((255.0 - grey[..., None]) / 255))
    np.testing.assert_allclose(classifier.predict(photos), expected, atol=0.01)  # L is rounded
    assert "reads grey images" in heard.text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"scaling": "caffe", "bgr": True}, "blue first already"),
        ({"scaling": "0..255"}, "--scaling is '0..255'"),
        ({"scaling": "0.5,0.5"}, "127.5,127.5"),
        ({"scaling": "nan,1"}, "pixel values"),
        ({"scaling": "1,2,3"}, "expected one of raw"),
        ({"scaling": "raw", "resize": "fit"}, "--resize is 'fit'"),
        ({"scaling": "raw", "size": 64}, "--size is 64; the network reads 32 x 32"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(settings, words, tmp_path):
    with pytest.raises((SettingError, AdoptError), match=re.escape(words)):
        run_adopt(colour_model(), tmp_path, **settings)


def test_colours_of_a_grey_network_are_refused():
    for front in (Front("raw", bgr=True), Front("caffe"), Front("torch")):
        with pytest.raises(SettingError, match="grey"):
            front.check(1)
    Front("0..1", invert=True).check(1)
    assert numbers(" 10 , 5 ") == (0.2, -2.0)


def test_an_oblong_input_is_squashed_or_cropped_inside_the_graph(tmp_path):
    model = liven(oblong())
    photos = photos_for(40)
    squashed, heard = run_adopt(model, tmp_path)
    assert "its input is oblong: a photo is brought to a square of 40 px" in heard.text
    small = keras.layers.Resizing(24, 40)(photos.astype("float32"))
    np.testing.assert_allclose(squashed.predict(photos), model(small), atol=1e-4)
    cropped, _ = run_adopt(model, tmp_path, resize="crop")
    middle = photos[:, 8:32].astype("float32")
    np.testing.assert_allclose(cropped.predict(photos), model(middle), atol=1e-4)
    with pytest.raises(SettingError, match="--resize pad needs a square"):
        run_adopt(model, tmp_path, resize="pad")


def test_one_sigmoid_is_two_classes_and_it_is_said_which_is_one(tmp_path):
    model = colour_model(scale=1.0, last="sigmoid")
    classifier, heard = run_adopt(model, tmp_path, labels="ant,bee", scaling="0..1")
    assert "1 means 'bee', 0 means 'ant'" in heard.text
    photos = photos_for(32)
    ones = np.asarray(model(photos / 255.0))
    expected = np.concatenate([1 - ones, ones], axis=1)
    np.testing.assert_allclose(classifier.predict(photos), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (lambda: layers.Dense(3, activation="sigmoid"), "sigmoid over 3 units"),
        (lambda: layers.Dense(1, activation="softmax"), "always answers 1"),
        (lambda: layers.Dense(3, activation="tanh"), "ends with 'tanh'"),
        (lambda: layers.Reshape((2, 6)), "2 x 6 numbers"),
    ],
)
def test_an_ending_that_chooses_no_class_is_refused(last, words, tmp_path):
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(12, 3)(layers.Rescaling(1 / 255)(image))
    x = last()(layers.GlobalAveragePooling2D()(x))
    with pytest.raises(AdoptError, match=words):
        run_adopt(keras.Model(image, x), tmp_path)


def test_a_regression_is_refused(tmp_path):
    image = keras.Input((32, 32, 3))
    model = keras.Model(image, layers.Dense(1)(layers.Flatten()(layers.Rescaling(1.0)(image))))
    model.compile("sgd", "mse")
    with pytest.raises(SettingError, match="to estimate a number"):
        run_adopt(model, tmp_path, labels="a,b", scaling="raw")


def test_a_network_that_tells_nothing_apart_is_refused(tmp_path):
    model = colour_model()
    for weight in model.weights:
        weight.assign(np.zeros(weight.shape))
    with pytest.raises(AdoptError, match="with the same numbers"):
        run_adopt(model, tmp_path, scaling="raw")
    assert not (tmp_path / "bundle").exists()


def test_several_outputs_are_refused(tmp_path):
    image = keras.Input((32, 32, 3))
    x = layers.Flatten()(image)
    with pytest.raises(AdoptError, match="2 outputs"):
        run_adopt(keras.Model(image, [layers.Dense(3)(x), layers.Dense(3)(x)]), tmp_path)


def test_the_command_says_what_it_made(tmp_path):
    colour_model(scale=1.0).save(tmp_path / "model.keras")
    (tmp_path / "labels.txt").write_text("0 ant\n1 bee\n2 cow\n")
    words = ["adopt", str(tmp_path / "model.keras"), "--labels", str(tmp_path / "labels.txt"),
             "--out", str(tmp_path / "made"), "--scaling", "0..1", "--quiet",
             "--json", str(tmp_path / "made.json")]  # fmt: skip
    result = CliRunner().invoke(training, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "3 classes; without --photos it has predictions, maps and saliency only" in result.output
    assert json.loads((tmp_path / "made.json").read_text())["class_names"] == list(CLASSES)
    words[1] = str(tmp_path / "labels.txt")
    result = CliRunner().invoke(training, words, catch_exceptions=False)
    assert result.exit_code == 2
    assert result.output.startswith("error: ")

"""`adopt` asks for what the file does not say, says what it assumes, and measures on photos."""

import json
import re

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import layers
from PIL import Image

from models.adopting.front import Front, numbers
from models.bundle import Bundle
from models.classifier import Classifier
from models.errors import AdoptError, SettingError
from models.examine import examine
from tests.foreign import CLASSES, liven, oblong, photos_for
from training.__main__ import training
from training.adopt.adopt import adopt
from training.adopt.config import AdoptConfig
from training.settings.console import Stages

COLOURS = {"ant": (200, 40, 40), "bee": (40, 190, 50), "cow": (50, 60, 210)}


class Heard(Stages):
    """Stages that keep what was said."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    @property
    def text(self):
        return "\n".join(self.lines)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Class folders: each class has its colour, in squares before noise."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for label, colour in COLOURS.items():
        (root / label).mkdir()
        for number in range(24):
            pixels = rng.integers(0, 90, (40, 48, 3))
            top, left = rng.integers(0, 16, 2)
            pixels[top : top + 24, left : left + 30] = np.array(colour) + rng.integers(-30, 30, 3)
            picture = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))
            picture.save(root / label / f"{number}.png")
    return root


def colour_model(scale=255.0, bgr=False, order=(0, 1, 2), last="softmax"):
    """A network that tells the three colours apart, where pixels come as it wants them."""
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(3, 1, use_bias=False, name="mix")(image)
    x = layers.ReLU(name="answers")(x)
    x = layers.GlobalAveragePooling2D()(x)
    units = 1 if last == "sigmoid" else 3
    model = keras.Model(image, layers.Dense(units, activation=last, name="last")(x))
    mix = np.eye(3)[::-1] if bgr else np.eye(3)
    opposed = 1.5 * np.eye(3) - 0.5
    kernel = 255 / scale * (mix @ opposed).reshape(1, 1, 3, 3)
    model.get_layer("mix").set_weights([kernel])
    head = 20 * np.eye(3)[:, list(order)] if units == 3 else 20 * np.array([[-1.0], [1], [0]])
    model.get_layer("last").set_weights([head, np.zeros(units)])
    return model


def run(model, tmp_path, photos=None, labels="ant,bee,cow", **settings):
    path = tmp_path / "model.keras"
    model.save(path)
    heard = Heard()
    adopt(path, labels, tmp_path / "bundle", photos, AdoptConfig(**settings), heard)
    return Classifier(Bundle(tmp_path / "bundle")), heard


def test_without_a_scaling_it_is_refused_with_the_ways_to_find_out(tmp_path):
    with pytest.raises(SettingError, match=r"rescale=1\./255.*--photos") as caught:
        run(colour_model(), tmp_path)
    assert "model.keras does not scale pixels inside" in str(caught.value)
    assert not (tmp_path / "bundle").exists()


def test_a_network_that_scales_inside_needs_no_setting(tmp_path):
    image = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(image)))
    model = liven(keras.Model(image, layers.Dense(3)(x)))
    classifier, heard = run(model, tmp_path)
    assert "warning" not in heard.text
    assert "reads RGB images of 32 x 32 px, ends with logits (dense" in heard.text
    expected = keras.ops.softmax(model(photos_for(32).astype("float32")))
    np.testing.assert_allclose(classifier.predict(photos_for(32)), expected, atol=1e-4)


def test_scaling_twice_is_warned_of(tmp_path):
    image = keras.Input((32, 32, 3))
    x = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255, name="inside")(image))
    _, heard = run(liven(keras.Model(image, layers.Dense(3)(x))), tmp_path, scaling="0..1")
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
    classifier, _ = run(model, tmp_path, **settings)
    photos = photos_for(32)
    expected = model(by_hand(photos.astype("float64")).astype("float32"))
    np.testing.assert_allclose(classifier.predict(photos), expected, atol=1e-4)


def test_a_grey_network_reads_the_brightness_of_colours(tmp_path):
    image = keras.Input((32, 32, 1))
    x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(image))
    model = liven(keras.Model(image, layers.Dense(3)(x)))
    classifier, heard = run(model, tmp_path, scaling="0..1", invert=True)
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
        run(colour_model(), tmp_path, **settings)


def test_colours_of_a_grey_network_are_refused():
    for front in (Front("raw", bgr=True), Front("caffe"), Front("torch")):
        with pytest.raises(SettingError, match="grey"):
            front.check(1)
    Front("0..1", invert=True).check(1)
    assert numbers(" 10 , 5 ") == (0.2, -2.0)


def test_an_oblong_input_is_squashed_or_cropped_inside_the_graph(tmp_path):
    model = liven(oblong())
    photos = photos_for(40)
    squashed, heard = run(model, tmp_path)
    assert "its input is oblong: a photo is brought to a square of 40 px" in heard.text
    small = keras.layers.Resizing(24, 40)(photos.astype("float32"))
    np.testing.assert_allclose(squashed.predict(photos), model(small), atol=1e-4)
    cropped, _ = run(model, tmp_path, resize="crop")
    middle = photos[:, 8:32].astype("float32")
    np.testing.assert_allclose(cropped.predict(photos), model(middle), atol=1e-4)
    with pytest.raises(SettingError, match="--resize pad needs a square"):
        run(model, tmp_path, resize="pad")


def test_one_sigmoid_is_two_classes_and_it_is_said_which_is_one(tmp_path):
    model = colour_model(scale=1.0, last="sigmoid")
    classifier, heard = run(model, tmp_path, labels="ant,bee", scaling="0..1")
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
        run(keras.Model(image, x), tmp_path)


def test_a_regression_is_refused(tmp_path):
    image = keras.Input((32, 32, 3))
    model = keras.Model(image, layers.Dense(1)(layers.Flatten()(layers.Rescaling(1.0)(image))))
    model.compile("sgd", "mse")
    with pytest.raises(SettingError, match="to estimate a number"):
        run(model, tmp_path, labels="a,b", scaling="raw")


def test_several_outputs_are_refused(tmp_path):
    image = keras.Input((32, 32, 3))
    x = layers.Flatten()(image)
    with pytest.raises(AdoptError, match="2 outputs"):
        run(keras.Model(image, [layers.Dense(3)(x), layers.Dense(3)(x)]), tmp_path)


@pytest.mark.parametrize(
    ("scale", "bgr", "front"),
    [(1.0, False, "--scaling 0..1"), (1.0, True, "--scaling 0..1 --bgr"),
     (255.0, False, "--scaling raw")],
)  # fmt: skip
def test_photos_find_the_scaling_and_the_order_of_the_channels(
    scale, bgr, front, photos, tmp_path
):
    classifier, heard = run(colour_model(scale * 5, bgr), tmp_path, photos)
    chosen = next(line for line in heard.lines if line.startswith("chosen: "))
    order = "--bgr" in chosen
    assert order == bgr
    table = [line for line in heard.lines if re.match(r"  --scaling ", line)]
    assert len(table) == 9
    accuracies = [float(line.split()[-1]) for line in table]
    assert accuracies == sorted(accuracies, reverse=True)
    assert accuracies[0] > 0.9
    assert min(accuracies) < 0.5
    manifest = classifier.manifest
    assert manifest.metrics["test"]["accuracy"] > 0.9
    assert manifest.calibration is not None
    assert manifest.training["adopted"] == "model.keras"
    assert front.split()[0] in chosen


def test_with_photos_the_bundle_has_all_that_fit_gives(photos, tmp_path):
    classifier, _ = run(colour_model(scale=1.0), tmp_path, photos)
    examine(Bundle(tmp_path / "bundle"))
    files = set(classifier.manifest.files)
    assert {"report.html", "model_card.md", "familiarity.npz", "insight/insight.json"} <= files
    assert classifier.pooled_layer == "answers"
    assert classifier.class_names == list(CLASSES)
    assert len(classifier.manifest.data["samples"]) == 3
    report = (tmp_path / "bundle" / "report.html").read_text()
    assert "adopted from model.keras" in report
    assert "Whether it was trained on these photos is not known" in report
    assert "--fine-tune" not in report
    card = (tmp_path / "bundle" / "model_card.md").read_text()
    assert "it is not known whether it was trained on them" in card
    assert "pretrained" not in card and "ImageNet" not in card


def test_an_order_of_the_classes_that_fits_better_is_said(photos, tmp_path):
    classifier, heard = run(colour_model(scale=1.0, order=(1, 2, 0)), tmp_path, photos)
    warning = next(line for line in heard.lines if "another order of the classes" in line)
    order = re.search(r"--labels '(.*?)'", warning)[1]
    assert classifier.class_names == list(CLASSES)  # never changed without being asked
    again, heard = run(
        colour_model(scale=1.0, order=(1, 2, 0)), tmp_path, photos, labels=order.replace(" ", "")
    )
    assert "another order" not in heard.text
    assert again.manifest.metrics["test"]["accuracy"] > 0.9


def test_a_declared_scaling_is_kept_and_a_better_one_is_named(photos, tmp_path):
    classifier, heard = run(colour_model(scale=1.0), tmp_path, photos, scaling="raw", bgr=True)
    assert classifier.manifest.training["bgr"] is True
    assert "warning: --scaling raw --bgr was given and is used; --scaling" in heard.text


def test_folders_are_matched_to_labels_by_their_letters(photos, tmp_path):
    classifier, _ = run(colour_model(scale=1.0), tmp_path, photos, labels="Ant,BEE,co-w")
    assert classifier.class_names == ["Ant", "BEE", "co-w"]
    assert classifier.manifest.metrics["test"]["accuracy"] > 0.9


def test_folders_that_no_label_names_are_refused(photos, tmp_path):
    with pytest.raises(Exception, match="classes that --labels has not: cow"):
        run(colour_model(scale=1.0), tmp_path, photos, labels="ant,bee,dog")


def test_a_network_without_maps_is_adopted_with_photos(photos, tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3)]
    )
    classifier, _ = run(liven(model), tmp_path, photos)
    assert classifier.layers == {}
    assert "report.html" in classifier.manifest.files


def test_the_command_says_what_it_made(photos, tmp_path):
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

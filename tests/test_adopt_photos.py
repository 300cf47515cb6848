"""With labelled photos `adopt` finds the scaling, and measures as `fit` does."""

import re

import keras
import pytest
from keras import layers

from models.bundle import Bundle
from models.examine import examine
from tests.colours import colour_model, run_adopt, write_photos
from tests.foreign_files import CLASSES, liven


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.mark.parametrize(
    ("scale", "bgr", "front"),
    [(1.0, False, "--scaling 0..1"), (1.0, True, "--scaling 0..1 --bgr"),
     (255.0, False, "--scaling raw")],
)  # fmt: skip
def test_photos_find_the_scaling_and_the_order_of_the_channels(scale, bgr, front, photos, tmp_path):
    classifier, heard = run_adopt(colour_model(scale * 5, bgr), tmp_path, photos)
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
    classifier, _ = run_adopt(colour_model(scale=1.0), tmp_path, photos)
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
    assert "pretrained" not in card
    assert "ImageNet" not in card


def test_an_order_of_the_classes_that_fits_better_is_said(photos, tmp_path):
    classifier, heard = run_adopt(colour_model(scale=1.0, order=(1, 2, 0)), tmp_path, photos)
    warning = next(line for line in heard.lines if "another order of the classes" in line)
    order = re.search(r"--labels '(.*?)'", warning)[1]
    assert classifier.class_names == list(CLASSES)  # never changed without being asked
    again, heard = run_adopt(
        colour_model(scale=1.0, order=(1, 2, 0)), tmp_path, photos, labels=order.replace(" ", "")
    )
    assert "another order" not in heard.text
    assert again.manifest.metrics["test"]["accuracy"] > 0.9


def test_a_declared_scaling_is_kept_and_a_better_one_is_named(photos, tmp_path):
    classifier, heard = run_adopt(
        colour_model(scale=1.0), tmp_path, photos, scaling="raw", bgr=True
    )
    assert classifier.manifest.training["bgr"] is True
    assert "warning: --scaling raw --bgr was given and is used; --scaling" in heard.text


def test_folders_are_matched_to_labels_by_their_letters(photos, tmp_path):
    classifier, _ = run_adopt(colour_model(scale=1.0), tmp_path, photos, labels="Ant,BEE,co-w")
    assert classifier.class_names == ["Ant", "BEE", "co-w"]
    assert classifier.manifest.metrics["test"]["accuracy"] > 0.9


def test_folders_that_no_label_names_are_refused(photos, tmp_path):
    with pytest.raises(Exception, match="classes that --labels has not: cow"):
        run_adopt(colour_model(scale=1.0), tmp_path, photos, labels="ant,bee,dog")


def test_a_network_without_maps_is_adopted_with_photos(photos, tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(3)]
    )
    classifier, _ = run_adopt(liven(model), tmp_path, photos)
    assert classifier.layers == {}
    assert "report.html" in classifier.manifest.files

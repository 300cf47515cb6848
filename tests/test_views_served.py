"""Two views are served as one answer: that of the head to the mean of their features."""

import hashlib
import json
from typing import Any

import keras
import numpy as np
import pytest

from models.building.backbones import find_backbone
from models.building.export import to_onnx
from models.building.graph import map_tensors
from models.building.network import build_backbone
from models.building.views import average_network, average_views
from models.bundle import Bundle
from models.classifier import Classifier
from models.errors import SettingError
from models.onnx_weights import check_graph
from models.runtime import Graph
from tests.making import write_classes
from training.exporting.config import ExportConfig
from training.exporting.export import export_bundle
from training.fit import fit
from training.photos.find import find_photos
from training.settings.config import FitConfig
from training.settings.console import Stages

QUIET = Stages(quiet=True)
OPTIONS: dict[str, Any] = {
    "backbone": "tiny",
    "seed": 3,
    "views_served": 2,
    "validation_share": 0.4,
}
TUNED = OPTIONS | {"cut": "block1_relu", "epochs": 2, "insight": False}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("views") / "photos", 60)


@pytest.fixture(scope="module")
def run(photos):
    cache = photos.parent / "cache"
    one = FitConfig(cache=cache, **OPTIONS | {"views_served": 1})
    fit(photos, photos.parent / "one", one, QUIET)
    return fit(photos, photos.parent / "two", FitConfig(cache=cache, **OPTIONS), QUIET)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)


def opened(photos, name, precision="fp32"):
    return Classifier(Bundle(photos.parent / name), precision=precision)


def test_a_graph_answers_the_mean_of_both_views_and_the_maps_of_the_photo(pixels):
    network = build_backbone(find_backbone("tiny"), 32, "none", seed=1)
    tensors = map_tensors(network)
    plain = to_onnx(network, {"features": network.output} | tensors)
    content = average_views(plain)
    check_graph(content)  # the service takes it
    graph, names = Graph(content), ["features", *tensors]
    found, *maps = graph.run(pixels, names)
    one, *expected = Graph(plain).run(pixels, names)
    (other,) = Graph(plain).run(pixels[:, :, ::-1], ["features"])
    np.testing.assert_allclose(found, (one + other) / 2, atol=1e-4)
    assert np.abs(one - other).max() > 0.01
    for some, wanted in zip(maps, expected, strict=True):
        np.testing.assert_allclose(some, wanted, atol=1e-4)


def test_a_photo_and_its_mirror_image_get_one_answer(run, photos, pixels):
    assert run.training["views_served"] == 2
    two, one = opened(photos, "two"), opened(photos, "one")
    mirrored = pixels[:, :, ::-1]
    np.testing.assert_allclose(two.logits(pixels), two.logits(mirrored), rtol=1e-5)
    assert np.abs(one.logits(pixels) - one.logits(mirrored)).max() > 0.01


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_all_answers_about_a_photo_agree(run, photos, pixels, precision):
    assert run.int8.kept
    classifier = opened(photos, "two", precision)
    read, looked = classifier.read(pixels[0]), classifier.look(pixels[0], ["block2_relu"])
    np.testing.assert_array_equal(read.probabilities, looked.probabilities)
    assert read.familiarity == looked.reading.familiarity
    plain = opened(photos, "one").look(pixels[0], ["block2_relu"])
    np.testing.assert_allclose(looked.maps["block2_relu"], plain.maps["block2_relu"], atol=1e-4)
    assert classifier.pooled_layer == "block2_relu"  # saliency by position stays exact


def measured_and_answered(photos, name, manifest):
    classifier, asked = opened(photos, name), []
    sides = json.loads((photos.parent / name / "split.json").read_text())["sides"]
    for photo in find_photos(photos).photos:
        data = photo.path.read_bytes()
        if hashlib.sha256(data).hexdigest() in sides["test"]:
            answer = classifier.read(classifier.decode(data)).probabilities
            asked.append(-np.log(answer[classifier.class_names.index(photo.label)]))
    assert len(asked) == manifest.metrics["test"]["photos"]
    return manifest.metrics["test"]["log_loss"], np.mean(asked)


def test_what_was_measured_is_what_two_views_answer(run, photos):
    told, found = measured_and_answered(photos, "two", run)
    assert told == pytest.approx(found, abs=1e-3)


@pytest.mark.parametrize("kept", [True, False])
def test_a_fine_tuned_network_serves_two_views_and_so_does_the_frozen_one_kept_instead(
    photos, kept, pixels, monkeypatch
):
    monkeypatch.setattr("training.fine_tuning.fine_tune.are_worth_keeping", lambda *_: kept)
    name = f"tuned-{kept}"
    config = FitConfig(cache=photos.parent / "cache", fine_tune="auto", **TUNED)
    manifest = fit(photos, photos.parent / name, config, QUIET)
    assert manifest.training["fine_tuning"]["kept"] == kept
    told, found = measured_and_answered(photos, name, manifest)
    assert told == pytest.approx(found, abs=1e-3)
    classifier = opened(photos, name)
    both = [classifier.read(view) for view in (pixels[0], pixels[0][:, ::-1])]
    assert both[0].familiarity == pytest.approx(both[1].familiarity, abs=1e-5)
    np.testing.assert_allclose(both[0].probabilities, both[1].probabilities, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["keras", "saved_model", "litert", "onnx"])
def test_an_export_answers_with_two_views_too(run, photos, form):
    out = photos.parent / f"as-{form}"
    made = export_bundle(photos.parent / "two", out, ExportConfig(form, photos), QUIET)
    assert made.facts["proof"]["largest_difference"] < 1e-3


def test_two_views_of_a_network_with_a_head_of_several_layers_are_averaged_before_it(pixels):
    network = build_backbone(find_backbone("tiny"), 32, "none", seed=1)
    hidden = keras.layers.Dense(4, "tanh", name="head_dense1")(network.output)
    whole = keras.Model(network.input, keras.layers.Dense(3, name="logits")(hidden))
    views = [network(view.astype("float32")) for view in (pixels, pixels[:, :, ::-1])]
    expected = whole.get_layer("logits")(whole.get_layer("head_dense1")(sum(views) / 2))
    found = average_network(whole)(pixels.astype("float32"))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_mirror_image_that_is_of_another_class_is_not_served():
    with pytest.raises(SettingError, match="--views-served contradicts --no-mirror"):
        FitConfig(fine_tune="yes", mirror=False, views_served=2)

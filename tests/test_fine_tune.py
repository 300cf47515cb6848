"""Fine-tuning moves what is above the cut and nothing below it."""

import hashlib
import json
from typing import Any

import numpy as np
import pytest

from models.building.graph import mapped_layers
from models.bundle import Bundle, LayerEntry
from models.classifier import Classifier
from models.errors import SettingError, UnknownLayer
from models.images import decode_image
from models.runtime import Graph
from tests.making import COLOURS, write_classes
from training.features.backbone import build
from training.fine_tuning.cut import choose_cut, later_cut
from training.fine_tuning.fine_tune import are_worth_keeping
from training.fit import fit
from training.photos.find import find_photos
from training.settings.config import FitConfig
from training.settings.console import Stages

OPTIONS: dict[str, Any] = {"backbone": "tiny", "fine_tune": "yes", "cut": "block1_relu",
           "insight": False, "learning_rate": 0.0003, "epochs": 4,
           "dropout": 0.0, "seed": 3}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fine")
    # colours so near to one another that a head on random features cannot tell them apart
    near = {
        label: (110 + red // 64, 110 + green // 64, 110 + blue // 64)
        for label, (red, green, blue) in COLOURS.items()
    }
    photos = write_classes(folder / "photos", 24, near)
    config = FitConfig(cache=folder / "cache", **OPTIONS)
    manifest = fit(photos, folder / "tuned", config, Stages(quiet=True))
    return folder, config, manifest


def keras_model(path):
    import keras

    return keras.saving.load_model(path / "model.keras", compile=False)


def test_blocks_above_the_cut_are_trained_and_those_below_are_not(run):
    folder, config, manifest = run
    before, after = build(config), keras_model(folder / "tuned")
    moved = {
        layer.name
        for layer in before.layers
        for one, other in zip(
            layer.get_weights(), after.get_layer(layer.name).get_weights(), strict=True
        )
        if not np.array_equal(one, other)
    }
    assert moved == {"block2_conv", "block2_bn"}  # block1 is below the cut
    statistics = [network.get_layer("block2_bn").get_weights()[2:] for network in (before, after)]
    np.testing.assert_array_equal(*statistics)  # gamma and beta learn, ImageNet's mean stays
    tuned = manifest.training["fine_tuning"]
    assert tuned["kept"]
    assert (tuned["cut"], tuned["views"]) == ("block1_relu", 4)
    assert tuned["epochs"][tuned["best"]]["calibrated_loss"] < tuned["start_judged"]


def test_what_is_served_is_what_was_measured(run):
    folder, _, manifest = run
    classifier = Classifier(Bundle(folder / "tuned"))
    sides = json.loads((folder / "tuned" / "split.json").read_text())["sides"]
    assert len(sides["test"]) == manifest.metrics["test"]["photos"]
    photos = find_photos(folder / "photos").photos
    pixels = np.stack([decode_image(p.path.read_bytes(), classifier.framing) for p in photos])
    graph = Graph(Bundle(folder / "tuned").read("predict.onnx"))
    logits = keras_model(folder / "tuned").predict_on_batch(pixels.astype("float32"))
    assert np.abs(graph.run(pixels, ["logits"])[0] - logits).max() < 1e-3


def test_it_knows_photos_by_the_cut_and_its_features_in_the_pass_that_is_made_anyway(run):
    import keras

    folder, _, manifest = run
    known = manifest.thresholds.familiarity
    assert known.layers == ["block1_relu", "features"]  # the cut, and what the head reads
    classifier = Classifier(Bundle(folder / "tuned"))
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    network = keras_model(folder / "tuned")
    layers = [network.get_layer(name).output for name in ("block1_relu", "pool")]
    maps, features = keras.Model(network.input, layers)(pixels[None].astype("float32"))
    vector = np.concatenate([np.asarray(maps).mean(axis=(1, 2)), np.asarray(features)], axis=1)
    expected = classifier.familiarity.score(vector)[0]
    assert classifier.read(pixels).familiarity == pytest.approx(expected, abs=1e-3)
    looked = classifier.look(pixels, ["block2_relu"])  # the other graph, with maps to draw
    assert looked.reading.familiarity == pytest.approx(expected, abs=1e-3)
    assert not classifier.describe(classifier.read(pixels), top=1)["in_distribution"]


def test_what_was_measured_of_it_is_what_evaluate_measures(run):
    folder, _, manifest = run
    classifier, photos = Classifier(Bundle(folder / "tuned")), find_photos(folder / "photos").photos
    sides = json.loads((folder / "tuned" / "split.json").read_text())["sides"]
    scores = [
        classifier.read(classifier.decode(data)).familiarity
        for data in (photo.path.read_bytes() for photo in photos)
        if hashlib.sha256(data).hexdigest() in sides["test"]
    ]
    measured = manifest.calibration.test.familiarity
    assert np.median(np.array(scores)) == pytest.approx(measured.median_familiarity, abs=1e-3)


def test_the_same_seed_gives_the_same_network_from_the_cache_and_without(run, tmp_path):
    folder, config, manifest = run
    for name, cache in (("again", config.cache), ("fresh", tmp_path / "cache")):
        twin = FitConfig(cache=cache, **OPTIONS)
        again = fit(folder / "photos", tmp_path / name, twin, Stages(quiet=True))
        one, other = (
            keras_model(path).get_weights() for path in (folder / "tuned", tmp_path / name)
        )
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        assert again.metrics == manifest.metrics


def test_nothing_of_the_run_is_left_in_the_cache_but_what_another_can_use(run):
    _, config, _ = run
    kinds = {path.name.split("-")[0] for path in config.cache.iterdir()}
    assert kinds == {"compiled", "tiny", "views"}


def test_auto_keeps_the_frozen_backbone_when_validation_does_not_gain(run, tmp_path):
    folder, config, _ = run
    worse = OPTIONS | {"fine_tune": "auto", "learning_rate": 3.0, "schedule": "constant",
                       "epochs": 1, "optimiser": "sgd"}  # fmt: skip
    config = FitConfig(cache=config.cache, **worse)
    manifest = fit(folder / "photos", tmp_path / "auto", config, Stages(quiet=True))
    assert manifest.training["fine_tuning"]["kept"] is False
    assert manifest.image == FitConfig(backbone="tiny").framing  # that of a frozen one
    tested = json.loads((tmp_path / "auto" / "split.json").read_text())["sides"]["test"]
    classifier = Classifier(Bundle(tmp_path / "auto"))
    right = []
    for photo in find_photos(folder / "photos").photos:
        data = photo.path.read_bytes()
        if hashlib.sha256(data).hexdigest() in tested:
            best = classifier.predict(classifier.decode(data)[None]).argmax()
            right.append(classifier.class_names[best] == photo.label)
    assert np.mean(right) == manifest.metrics["test"]["accuracy"]
    before, after = build(config).get_weights(), keras_model(tmp_path / "auto").get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(before, after[: len(before)], strict=True))


def test_the_cut_is_the_last_block_that_is_fine_enough_and_every_path_passes():
    config = FitConfig(backbone="tiny")
    entries = mapped_layers(build(config))
    assert choose_cut(entries, None) == "block1_relu"
    with pytest.raises(UnknownLayer, match="block9"):
        choose_cut(entries, "block9")
    with pytest.raises(SettingError, match="--cut block2_relu: not every path"):
        choose_cut(entries, "block2_relu")


@pytest.mark.parametrize(("given", "words"), [
    ({"epochs": 3}, "--epochs contradicts --head logistic: use --head neural or --fine-tune yes"),
    ({"views": 3}, "--views contradicts --fine-tune no"),
    ({"minutes": 3}, "--minutes contradicts --fine-tune no"),
    ({"fine_tune": "yes", "minutes": 3, "epochs": 2}, "--epochs contradicts --minutes"),
    ({"hidden": (3,)}, "--hidden contradicts --head logistic"),
    ({"head": "neural", "find_rate": True, "learning_rate": 0.1}, "--find-rate contradicts"),
    ({"head": "knn"}, "--head is 'knn'; expected logistic"),
    ({"fine_tune": "maybe"}, "--fine-tune is 'maybe'"),
    ({"fine_tune": "yes", "views": 100}, "--views is 100; expected 1 to 64"),
    ({"coverage": 0.2}, "--coverage is 0.2; expected 0.5 to 0.999"),
])  # fmt: skip
def test_settings_that_contradict_each_other_are_refused_with_both_names(given, words):
    with pytest.raises(SettingError, match=words):
        FitConfig(**given)


def test_where_little_fits_into_the_time_less_is_trained():
    layers = [
        LayerEntry(name=name, kind="ReLU", height=8, width=8, channels=4, stride=stride,
                   receptive_field=9, trunk=True, block=True)
        for name, stride in (("a1", 8), ("b1", 16), ("c1", 32), ("d1", 32))
    ]  # fmt: skip
    assert choose_cut(layers, None) == "b1"
    assert later_cut(layers, "b1") == "c1"
    assert later_cut(layers, "c1") is None  # after the last block nothing but the head is left


def test_minutes_choose_views_and_epochs_and_leave_no_plan_behind(run, tmp_path):
    folder, config, _ = run
    options = {name: value for name, value in OPTIONS.items() if name != "epochs"}
    timed = FitConfig(cache=config.cache, minutes=1, **options)
    manifest = fit(folder / "photos", tmp_path / "timed", timed, Stages(quiet=True))
    tuned = manifest.training["fine_tuning"]
    assert len(tuned["epochs"]) > 8  # tiny: a minute is long
    assert tuned["views"] == 8
    assert not list(config.cache.glob("run-*"))


@pytest.mark.parametrize("steps", [30, 29])
def test_where_training_makes_many_steps_the_head_begins_at_zero_and_the_last_epoch_is_kept(
    run, tmp_path, steps, monkeypatch
):
    monkeypatch.setattr("training.fine_tuning.fine_tune.FEW_STEPS", 30)
    folder, config, _ = run
    # one step an epoch, so small that nothing moves: what training began with is what is kept
    settings = OPTIONS | {"epochs": steps, "batch": 4096, "learning_rate": 1e-7}
    config = FitConfig(cache=config.cache, **settings)
    tuned = fit(folder / "photos", tmp_path / "out", config, Stages(quiet=True)).training
    starts_even = tuned["fine_tuning"]["start_loss"] == pytest.approx(np.log(3), abs=1e-6)
    assert starts_even == (steps == 30)
    if steps == 30:
        assert tuned["fine_tuning"]["best"] == steps - 1


@pytest.mark.parametrize(
    ("gain", "with_many", "with_few"),
    [(0.5, True, True), (0.05, True, False), (-0.05, True, False), (-0.5, False, False)],
)
def test_auto_keeps_blocks_that_may_be_worth_it_and_with_few_photos_those_that_are(
    gain, with_many, with_few
):
    gains = gain + np.tile([-1.0, 1.0], 50)  # one standard error is 0.1
    assert are_worth_keeping(gains, few=False) == with_many
    assert are_worth_keeping(gains, few=True) == with_few
    assert are_worth_keeping(gains[:1], few=False)  # one photo says nothing
    assert not are_worth_keeping(gains[:1], few=True)

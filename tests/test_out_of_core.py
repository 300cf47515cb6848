"""Heads and doubts of more rows than memory holds, next to the same rows in memory."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from models.bundle import Bundle
from models.classifier import Classifier
from models.errors import SettingError
from tests.making import filed, write_classes
from training.doctor.suspects import find_suspects
from training.evaluation.evaluate import evaluate_bundle
from training.evaluation.folds import share_of, turns
from training.features.compute import Features
from training.features.rows import Rows
from training.fit import fit
from training.heads.calibrated_head import calibrate_head
from training.heads.fit import fit_head
from training.heads.held_out import AllRows, Sides
from training.heads.out_of_core import class_sums, fit_on_all
from training.heads.standardise import Standardisation
from training.photos.listing import Photo
from training.results import Dataset
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.sides.split import Split

CLASSES, WIDTH = 4, 16


def clouds(count: int, seed: int = 0, spread: float = 1.2) -> tuple[np.ndarray, np.ndarray]:
    """(N, 16) rows around four corners, class by class as folders are, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(CLASSES, size=count))
    rows = 2 * np.eye(CLASSES, WIDTH)[labels] + rng.normal(0, spread, (count, WIDTH)) + 3
    return rows.astype(np.float32), labels


def sampled(folder: Path, count: int = 4000, classes: int = CLASSES) -> tuple[Sides, Sides]:
    """Sides of all rows, and sides of a sample of 200 of them, with all in a file."""
    rows, labels = clouds(count)
    judged, truth = clouds(600, seed=1)
    rows, labels = rows[labels < classes], labels[labels < classes]
    judged, truth = judged[truth < classes], truth[truth < classes]
    some = share_of(labels, 200)
    everything = AllRows(filed(rows, folder), labels)
    return (
        Sides(rows, labels, judged, truth, classes),
        Sides(rows[some], labels[some], judged, truth, classes, everything=everything),
    )


@pytest.mark.parametrize("kind", ["lda", "centroid", "prototypes"])
def test_what_is_made_of_sums_is_the_same_from_a_file(tmp_path, kind):
    whole, sample = sampled(tmp_path)
    chosen = fit_head(kind, sample)
    values = list(chosen.record.setting.values()) or None
    exact, found = fit_head(kind, whole, values=values), fit_on_all(chosen, sample)
    expected = exact.probabilities(whole.validation)
    assert found.record.temperature == pytest.approx(chosen.record.temperature)
    found = found.divided_by(exact.record.temperature / found.record.temperature)
    np.testing.assert_allclose(found.probabilities(whole.validation), expected, atol=2e-4)


@pytest.mark.parametrize("classes", [2, CLASSES])
@pytest.mark.parametrize("balanced", [False, True])
def test_regression_in_batches_comes_near_the_exact_one(tmp_path, classes, balanced):
    whole, sample = sampled(tmp_path, 8000, classes)
    exact = fit_head("logistic", whole, values=[1e-2], balanced=balanced)
    chosen = fit_head("logistic", sample, values=[1e-2], balanced=balanced)
    found = fit_on_all(chosen, sample)
    losses = [
        head.record.scores.validation_log_loss for head in (exact, found, chosen)
    ]  # fmt: skip
    assert losses[1] == pytest.approx(losses[0], abs=0.01)
    assert losses[2] > losses[1] + 0.01  # all photos are better than a sample
    accuracies = [head.record.scores.validation_accuracy for head in (exact, found)]
    assert accuracies[1] == pytest.approx(accuracies[0], abs=0.01)
    assert found.record.judged_by.endswith(
        f"chosen on 200 of {len(whole.train):,} training photos, then fitted on all"
    )


def test_a_kind_without_such_a_form_stays_as_the_sample_made_it_and_says_so(tmp_path):
    whole, sample = sampled(tmp_path)
    chosen = fit_head("svm", sample, values=[1])
    found = fit_on_all(chosen, sample)
    assert found.layers is chosen.layers
    assert found.record.judged_by.endswith("training photos, and fitted on these")
    assert fit_on_all(chosen, whole) is chosen  # no sample: nothing to do


def test_many_validation_photos_calibrate_alone(tmp_path, monkeypatch):
    _, sample = sampled(tmp_path)
    monkeypatch.setattr("training.heads.calibrated_head.ENOUGH", 600)
    assert calibrate_head(fit_head("lda", sample), sample).calibration.photos == 600
    monkeypatch.setattr("training.heads.calibrated_head.ENOUGH", 601)
    assert calibrate_head(fit_head("lda", sample), sample).calibration.photos == 800  # and train


def test_a_data_set_in_a_file_gives_a_sample_of_each_class_and_all_its_rows(tmp_path, monkeypatch):
    rows, labels = clouds(900)
    labels[:2] = CLASSES - 1
    labels[(labels == 0) & (np.cumsum(labels == 0) > 3)] = 1  # three photos of the first class
    photos = [Photo(Path(f"{i}.png"), str(label)) for i, label in enumerate(labels)]
    vectors = filed(rows, tmp_path)
    split = Split([*range(600)], [*range(600, 750)], [*range(750, 900)], [])
    features = Features(photos, vectors, [bytes([0])] * 900, [], 0)
    data = Dataset(features, split, {}, list("0123"), labels, np.arange(900), [], None, split.train)
    monkeypatch.setattr("training.results.SAMPLE", 60)
    sides = data.sides(0)
    assert sides.train.shape == (60, WIDTH)
    assert len(sides.validation) == 60
    assert np.bincount(sides.train_labels)[0] == 1  # a sixtieth, and never none
    assert sides.everything is not None
    assert sides.everything.rows[:].tobytes() == rows[:600].tobytes()
    assert sides.everything.labels.tolist() == labels[:600].tolist()
    test, truth = data.side("test")
    assert isinstance(test, Rows)
    head = fit_head("centroid", sides)
    assert head.probabilities(test).tobytes() == head.probabilities(rows[750:]).tobytes()
    assert truth.tolist() == labels[750:].tolist()


def test_scales_and_sums_of_blocks_are_those_of_the_array(tmp_path, monkeypatch):
    rows, labels = clouds(1000)
    rows[:, 5] = 7  # never changes
    monkeypatch.setattr("training.features.rows.Rows.blocks.__defaults__", (64,))
    one, other = Standardisation.of(rows), Standardisation.of(filed(rows, tmp_path))
    np.testing.assert_allclose(other.mean, one.mean, rtol=1e-6)
    np.testing.assert_allclose(other.spread, one.spread, rtol=1e-6)
    assert np.isinf(other.spread[5])
    np.testing.assert_allclose(other.apply_to_block(rows), one.apply(rows), atol=1e-5)
    sums = class_sums(rows, labels, CLASSES + 1)
    assert sums[CLASSES].tolist() == [0] * WIDTH  # a class without rows
    assert sums[1] == pytest.approx(rows[labels == 1].sum(axis=0), rel=1e-5)


def test_doubts_from_a_file_are_the_surest_of_those_from_memory(tmp_path):
    rows, labels = clouds(3000, spread=0.6)
    wrong = np.random.default_rng(2).choice(3000, 60, replace=False)
    labels[wrong] = (labels[wrong] + 1) % CLASSES
    photos = [Photo(Path(f"{i}.png"), "abcd"[label]) for i, label in enumerate(labels)]
    digests = [hashlib.sha256(str(i).encode()).digest() for i in range(3000)]
    units = [[i] for i in range(3000)]
    exact = find_suspects(rows, photos, digests, units)
    found = find_suspects(filed(rows, tmp_path), photos, digests, units)
    one, other = ({each.place for each in each_} for each_ in (exact, found))
    assert other <= one  # 55 of 70: fewer that are only hard photos
    assert len(other & set(wrong.tolist())) >= 50
    chances = {each.place: each for each in exact}
    for each in found[:20]:
        assert each.likely == chances[each.place].likely
        assert each.chance == pytest.approx(chances[each.place].chance, abs=0.01)
    assert [each.chance for each in found] == sorted(each.chance for each in found)


@pytest.mark.parametrize("head", ["logistic", "auto"])
def test_a_whole_run_with_its_features_in_a_file(tmp_path, monkeypatch, head):
    few = lambda width: 40  # noqa: E731, rows in memory
    monkeypatch.setattr("training.features.rows.rows_in_memory", few)
    monkeypatch.setattr("training.results.rows_in_memory", few)
    photos = write_classes(tmp_path / "photos", 50)
    config = FitConfig(backbone="tiny", cache=tmp_path / "cache", head=head)
    manifest = fit(photos, tmp_path / "colours", config, Stages(quiet=True))
    assert manifest.metrics["test"]["accuracy"] > 0.9
    chosen = manifest.head["judged_by"]
    assert chosen.startswith("validation photos; chosen on 40 of")
    assert list((tmp_path / "cache").glob("features-*")) == []
    found = evaluate_bundle(Classifier(Bundle(tmp_path / "colours")), photos, 1)
    assert found["accuracy"] > 0.9


def test_more_photos_than_memory_holds_are_not_fine_tuned_on(tmp_path, monkeypatch):
    monkeypatch.setattr("training.prepare.rows_in_memory", lambda width: 20)
    photos = write_classes(tmp_path / "photos", 8)
    config = FitConfig(backbone="tiny", cache=tmp_path / "cache", fine_tune="yes")
    with pytest.raises(SettingError, match=r"--fine-tune yes takes up to 20 photos here.*are 24:"):
        fit(photos, tmp_path / "colours", config, Stages(quiet=True))
    assert not (tmp_path / "colours").exists()


def test_turns_count_within_each_class_and_shares_leave_none_out():
    labels = np.array([2, 0, 2, 2, 0, 1])
    assert turns(labels, np.array([5, 4, 3, 2, 1, 0])).tolist() == [2, 1, 1, 0, 0, 0]
    many = np.repeat([0, 1, 2], [800, 198, 2])
    chosen = many[share_of(many, 100)]
    assert np.bincount(chosen).tolist() == [80, 19, 1] or len(chosen) == 100
    assert np.bincount(chosen).min() >= 1
    assert share_of(many, 5000).tolist() == list(range(1000))

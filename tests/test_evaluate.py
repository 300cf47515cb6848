"""Numbers to believe: compared with numbers worked out by hand."""

import json
import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics

from models.bundle import Bundle
from models.bundles.calibration import PredictionSet
from models.classifier import Classifier
from models.errors import PhotosError
from tests.making import (
    COLOURS,
    DEFECTS,
    colour_bundle,
    picture,
    write_classes,
    write_defects,
    write_sides,
    write_table,
)
from training.evaluation.calibrate import measure_sets, reliability
from training.evaluation.evaluate import classify, evaluate_bundle, label_indices, measure
from training.evaluation.familiarity import measure_familiarity
from training.evaluation.intervals import wilson
from training.photos.find import find_photos
from training.photos.listing import Listing, Photo


def sure(predicted: list[int], classes: int) -> np.ndarray:
    """Probabilities that give 0.8 to the predicted class and share the rest."""
    probabilities = np.full((len(predicted), classes), 0.2 / (classes - 1), np.float32)
    probabilities[np.arange(len(predicted)), predicted] = 0.8
    return probabilities


# Five of class a, three of b, two of c; one a is taken for b, one c for a.
TRUTH = np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2])
PREDICTED = [0, 0, 0, 0, 1, 1, 1, 1, 2, 0]


@pytest.fixture(scope="module")
def numbers() -> dict:
    return measure(sure(PREDICTED, 3), TRUTH, ["a", "b", "c"])


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Classifier:
    return Classifier(Bundle(colour_bundle(tmp_path_factory.mktemp("bundle") / "colours")))


def test_accuracy_comes_with_wilsons_interval(numbers):
    assert numbers["photos"] == 10
    assert numbers["accuracy"] == 0.8
    # (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n) with p = 0.8, n = 10, z = 1.959964
    assert numbers["accuracy_interval"] == pytest.approx([0.490162, 0.943318], abs=1e-6)


def test_each_class_gets_precision_recall_and_f1(numbers):
    rows = {row["label"]: row for row in numbers["per_class"]}
    expected = {
        "a": (4 / 5, 4 / 5, 4 / 5, 5),
        "b": (3 / 4, 1, 6 / 7, 3),
        "c": (1, 1 / 2, 2 / 3, 2),
    }
    for label, (precision, recall, f1, photos) in expected.items():
        row = rows[label]
        assert (row["precision"], row["recall"]) == pytest.approx((precision, recall))
        assert row["f1"] == pytest.approx(f1)
        assert row["photos"] == photos


def test_the_means_count_every_class_the_same(numbers):
    assert numbers["balanced_accuracy"] == pytest.approx((0.8 + 1 + 0.5) / 3)
    assert numbers["macro_f1"] == pytest.approx((4 / 5 + 6 / 7 + 2 / 3) / 3)


def test_rows_of_the_confusion_matrix_are_the_truth(numbers):
    assert numbers["confusion"] == [[4, 1, 0], [0, 3, 0], [1, 0, 1]]
    assert numbers["confusion_labels"] == ["a", "b", "c"]


def test_the_numbers_are_those_of_scikit_learn_and_scipy():
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(4), rng.integers(0, 4, 96)])
    probabilities = rng.dirichlet(np.ones(5), 100) + 0.5 * np.eye(5)[labels]
    ours = measure(probabilities / 1.5, labels, list("abcde"))
    predicted = probabilities.argmax(axis=1)
    assert predicted.max() == 4  # a class that is predicted and never true
    theirs = metrics.precision_recall_fscore_support(labels, predicted, zero_division=0.0)
    rows = [(c["precision"], c["recall"], c["f1"], c["photos"]) for c in ours["per_class"]]
    assert np.allclose(rows, np.transpose(theirs))
    assert ours["confusion"] == metrics.confusion_matrix(labels, predicted).tolist()
    loss = metrics.log_loss(labels, probabilities / 1.5, labels=range(5))
    assert ours["log_loss"] == pytest.approx(loss)
    for right, photos in ((0, 9), (7, 9), (9, 9), (354, 372)):
        interval = binomtest(right, photos).proportion_ci(0.95, method="wilson")
        assert wilson(right, photos) == pytest.approx([interval.low, interval.high])


def test_log_loss_is_the_mean_surprise_at_the_truth(numbers):
    expected = -(8 * math.log(0.8) + 2 * math.log(0.1)) / 10  # two wrong: the truth got 0.1
    assert numbers["log_loss"] == pytest.approx(expected, abs=1e-6)


def test_a_truth_that_was_held_impossible_costs_much_but_stays_a_number():
    numbers = measure(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([1, 0]), ["a", "b"])
    assert 10 < numbers["log_loss"] < 100
    json.dumps(numbers, allow_nan=False)


def test_a_class_nobody_has_is_left_out_and_one_only_predicted_does_not_count_as_recall():
    numbers = measure(sure([0, 2], 4), np.array([0, 0]), ["a", "b", "c", "d"])
    assert [row["label"] for row in numbers["per_class"]] == ["a", "c"]
    assert [row["photos"] for row in numbers["per_class"]] == [2, 0]
    assert numbers["balanced_accuracy"] == 0.5  # of a alone
    assert numbers["confusion"] == [[1, 1], [0, 0]]


def test_top5_is_given_beyond_five_classes_only():
    ranked = np.array([[0.3, 0.25, 0.2, 0.15, 0.06, 0.04]])
    names = list("abcdef")
    assert measure(ranked, np.array([4]), names)["top5_accuracy"] == 1  # the fifth of six
    assert measure(ranked, np.array([5]), names)["top5_accuracy"] == 0
    assert "top5_accuracy" not in measure(ranked[:, :5], np.array([4]), names[:5])


def test_every_photo_gets_the_probabilities_of_its_own_pixels(classifier, tmp_path):
    for number, colour in enumerate([(130, 100, 100), (100, 130, 100), (100, 100, 130)] * 3):
        (tmp_path / f"{number}.png").write_bytes(picture(colour))
    photos = [Photo(tmp_path / f"{number}.png", "red") for number in range(9)]
    answers = classify(classifier, Listing(photos), workers=4)
    likely = 1 / (1 + 2 * math.exp(-3))  # 30 steps brighter: a logit of 3 more than both others
    expected = np.full((3, 3), (1 - likely) / 2) + np.eye(3) * (likely - (1 - likely) / 2)
    np.testing.assert_allclose(answers.probabilities, np.tile(expected, (3, 1)), atol=1e-6)


def test_a_folder_with_a_test_side_is_measured_on_that_side_alone(classifier, tmp_path):
    write_sides(tmp_path, {"train": 3, "test": 2})
    (tmp_path / "test" / "red" / "blue.png").write_bytes(picture(COLOURS["blue"]))
    numbers = evaluate_bundle(classifier, tmp_path, workers=2)
    assert (numbers["side"], numbers["photos"]) == ("test", 7)
    assert numbers["accuracy"] == 6 / 7
    assert (numbers["model"], numbers["version"]) == ("colours", "1")
    assert numbers["confusion"] == [[2, 0, 1], [0, 2, 0], [0, 0, 2]]
    assert numbers["confusion_labels"] == ["red", "green", "blue"]  # the model's order


def test_a_folder_without_sides_is_measured_whole(classifier, tmp_path):
    numbers = evaluate_bundle(classifier, write_classes(tmp_path, 2), workers=1)
    assert (numbers["side"], numbers["photos"], numbers["accuracy"]) == ("all", 6, 1)
    assert numbers["skipped"] == []


def test_a_copy_of_a_photo_makes_no_interval_narrower(classifier, tmp_path):
    write_classes(tmp_path / "plain", 2)
    write_classes(tmp_path / "copied", 2)
    for number in range(20):  # one photo of blue, and one that is blue and called red
        (tmp_path / "copied" / "blue" / f"c{number}.png").write_bytes(picture(COLOURS["blue"], 0))
        (tmp_path / "copied" / "red" / f"c{number}.png").write_bytes(picture(COLOURS["blue"], 5))
    (tmp_path / "plain" / "red" / "c.png").write_bytes(picture(COLOURS["blue"], 5))
    plain, copied = (
        evaluate_bundle(classifier, tmp_path / name, workers=2) for name in ("plain", "copied")
    )
    assert (plain["photos"], plain["independent_photos"]) == (7, 7)
    assert (copied["photos"], copied["independent_photos"]) == (46, 7)
    assert copied["accuracy"] == 26 / 46
    assert copied["accuracy_interval"] == pytest.approx(wilson(7 * 26 / 46, 7))
    counts = {row["label"]: row["independent_photos"] for row in copied["per_class"]}
    assert counts == {"red": 3, "green": 2, "blue": 2}


def test_photos_of_one_group_are_one_independent_photo(classifier, tmp_path):
    write_classes(tmp_path, 3)
    lines = [
        f"{label}/{seed:03}.png,{label},{label if label == 'red' else seed}{label}"
        for label in COLOURS
        for seed in range(3)
    ]
    table = write_table(tmp_path / "list.csv", "image,label,group", *lines)
    numbers = evaluate_bundle(classifier, table, workers=1)
    assert (numbers["photos"], numbers["independent_photos"]) == (9, 7)  # red counts once


def test_a_class_without_photos_is_named(classifier, tmp_path):
    write_classes(tmp_path, 2, {"red": COLOURS["red"], "blue": COLOURS["blue"]})
    assert evaluate_bundle(classifier, tmp_path, 1)["classes_without_photos"] == ["green"]


def test_every_interval_of_the_calibration_knows_copies():
    probabilities, labels = sure([0] * 10, 3), np.zeros(10, int)
    units = np.array([0] * 5 + [1] * 5)
    two_of_two = pytest.approx(wilson(2, 2))
    assert reliability(probabilities, labels, units)["bins"][0]["accuracy_interval"] == two_of_two
    sets = PredictionSet(coverage=0.9, least_probability=0.5)
    assert measure_sets(probabilities, labels, sets, units)["coverage_interval"] == two_of_two
    found = measure_familiarity(np.ones(10), 0.5, units)
    assert found["like_training_interval"] == two_of_two


def test_defective_files_are_counted_out_with_their_reason(classifier, tmp_path):
    write_defects(write_classes(tmp_path, 2) / "red")
    done: list[int] = []
    answers = classify(classifier, find_photos(tmp_path), 2, progress=done.append)
    assert len(answers.photos) == len(answers.probabilities) == 6
    assert {item.path.name for item in answers.skipped} == set(DEFECTS)
    assert sum(done) == 6 + len(DEFECTS)


def test_photos_of_which_none_can_be_read_are_refused_with_a_reason(classifier, tmp_path):
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "a.png").touch()
    with pytest.raises(PhotosError, match=r"none of 1 photos can be read.*0 bytes"):
        evaluate_bundle(classifier, tmp_path, workers=1)


def test_a_label_the_model_does_not_have_is_refused_with_those_it_has(classifier, tmp_path):
    write_classes(tmp_path, 1, {"red": COLOURS["red"], "mauve": (200, 150, 250)})
    with pytest.raises(PhotosError, match="no class mauve; it knows red, green, blue"):
        evaluate_bundle(classifier, tmp_path, workers=1)


def test_labels_become_the_models_own_indices(tmp_path):
    photos = [Photo(tmp_path / "x", label) for label in ("b", "a", "b")]
    assert label_indices(photos, ["b", "a"]).tolist() == [0, 1, 0]

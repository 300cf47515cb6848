"""Probabilities that mean what they say: recovered from logits whose truth is known."""

import io
from pathlib import Path

import jinja2
import numpy as np
import pytest
from PIL import Image
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from scipy.stats import beta

from models.building.head import DenseLayer, UnitLength
from models.bundles.calibration import PredictionSet, Thresholds
from training.evaluation.calibrate import (
    calibrate,
    fit_temperature,
    least_probability,
    measure_sets,
    reliability,
    scale_head,
)
from training.evaluation.calibration_error import calibration_error
from training.evaluation.intervals import coverage_interval
from training.heads.calibrated_head import CalibratedHead, calibrate_head
from training.heads.fit import fit_head
from training.heads.forward import apply_head
from training.heads.held_out import Sides
from training.report import reliability as calibration_report


def drawn(photos: int, seed: int, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn with just the probabilities that these logits mean."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(photos, classes))
    chances = softmax(logits, axis=1).cumsum(axis=1)
    return logits, (rng.random((photos, 1)) > chances).sum(axis=1)


@pytest.mark.parametrize("factor", [0.03, 0.5, 1, 3, 200])  # cosines, logits, squared distances
def test_the_temperature_undoes_what_logits_were_multiplied_by(factor):
    logits, labels = drawn(4000, 0)
    assert fit_temperature(logits * factor, labels) == pytest.approx(factor, rel=0.05)


def test_answers_that_are_all_right_do_not_make_the_network_certain():
    logits = np.array([[1.0, 0.0], [0.0, 1.0]] * 10)
    labels = np.array([0, 1] * 10)
    temperature = fit_temperature(logits, labels)
    assert 0.02 < temperature < 1  # surer than before, yet no zero
    assert np.isfinite(fit_temperature(np.zeros((3, 2)), np.array([0, 1, 0])))


@pytest.mark.parametrize("factor", [0.03, 1, 200])
def test_no_other_temperature_has_a_lower_log_loss(factor):
    logits, labels = drawn(400, 1)
    logits *= factor

    def loss(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[range(400), labels].mean()

    best = minimize_scalar(loss, bounds=(-9, 9), method="bounded")
    assert loss(np.log(fit_temperature(logits, labels))) == pytest.approx(best.fun, abs=1e-5)


def test_the_temperature_is_folded_into_the_last_layer_alone():
    rng = np.random.default_rng(0)
    hidden = DenseLayer(rng.normal(size=(6, 5)).astype("f4"), np.ones(5, "f4"), "relu")
    last = DenseLayer(rng.normal(size=(5, 3)).astype("f4"), np.ones(3, "f4"))
    scaled = scale_head([UnitLength(), hidden, last], 2.0)
    assert scaled[:2] == [UnitLength(), hidden]
    np.testing.assert_array_equal(scaled[2].kernel, last.kernel / 2)
    np.testing.assert_array_equal(scaled[2].bias, last.bias / 2)
    points = rng.normal(size=(9, 6)).astype("f4")
    before, after = apply_head([UnitLength(), hidden, last], points), apply_head(scaled, points)
    assert (before.argmax(1) == after.argmax(1)).all()  # no answer changes, only its sureness
    np.testing.assert_allclose(np.log(after[:, 0] / after[:, 1]) * 2,
                               np.log(before[:, 0] / before[:, 1]), atol=1e-5)  # fmt: skip


def test_the_calibration_error_falls_on_photos_the_temperature_never_saw():
    logits, labels = drawn(1000, 0)
    head = [DenseLayer(np.eye(4, dtype="f4"), np.zeros(4, "f4"))]
    fitted = calibrate(head, 3 * logits, labels)
    others, truth = drawn(4000, 1)
    points = (3 * others).astype("f4")
    before = reliability(apply_head(head, points), truth)["expected_calibration_error"]
    after = reliability(apply_head(fitted.layers, points), truth)["expected_calibration_error"]
    assert before > 0.1
    assert after < 0.03


def test_the_error_is_the_mean_distance_of_sureness_and_share_that_is_right():
    probabilities = np.array([[0.85, 0.15], [0.85, 0.15], [0.25, 0.75], [0.45, 0.55]])
    found = reliability(probabilities, np.array([0, 1, 1, 1]))
    # |0.5 - 0.85| for two photos, |1 - 0.75| for one, |1 - 0.55| for one
    assert found["expected_calibration_error"] == pytest.approx((2 * 0.35 + 0.25 + 0.45) / 4)
    assert [(each["low"], each["photos"]) for each in found["bins"]] == [
        (0.5, 1),
        (0.7, 1),
        (0.8, 2),
    ]
    assert found["bins"][2]["accuracy"] == 0.5
    assert (
        reliability(np.array([[1.0, 0.0]]), np.array([0]))["bins"][0]["high"] == 1
    )  # 1 is in 0.9..1


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.99])
def test_prediction_sets_hold_the_truth_as_often_as_they_promise(coverage):
    shares = []
    for seed in range(20):  # what is promised is the mean over draws
        logits, labels = drawn(400, seed)
        wrong = softmax(5 * logits, axis=1)  # far too sure: the promise does not need more
        least = least_probability(wrong, labels, coverage)
        others, truth = drawn(1000, 100 + seed)
        sets = PredictionSet(coverage=coverage, least_probability=least)
        shares.append(measure_sets(softmax(5 * others, axis=1), truth, sets)["coverage"])
    assert coverage - 0.01 < np.mean(shares) < coverage + 0.02


def test_what_sets_hold_in_truth_lies_in_the_interval_19_times_in_20():
    low, high = coverage_interval(0.9, photos=60)
    assert (low, high) == pytest.approx(beta(55, 6).interval(0.95))  # the 55th of 60, by 61 * 0.9
    others, truth = drawn(5000, 999)
    chances, inside = softmax(others, axis=1), []
    for seed in range(200):
        logits, labels = drawn(60, seed)
        least = least_probability(softmax(logits, axis=1), labels, 0.9)
        inside.append(low <= (chances[np.arange(5000), truth] >= least).mean() <= high)
    assert np.mean(inside) > 0.91  # 0.95 but for 200 draws, and the 5,000 that judge them


def test_few_photos_leave_open_what_sets_hold():
    widths = [np.ptp(coverage_interval(0.9, photos)) for photos in (20, 200, 2000)]
    assert widths[0] > 0.2
    assert widths[2] < 0.03
    assert coverage_interval(0.9, 9)[1] > 0.99  # the set of every photo but the least sure


def sure_and_right(photos: int, seed: int, too_sure: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Confidence, and answers that are right as often as that, less `too_sure`."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.5, 1, photos)
    return confidence, rng.random(photos) < confidence - too_sure


def test_on_few_photos_chance_alone_makes_an_error_and_the_interval_reaches_down():
    confidence, right = sure_and_right(80, 0)
    found = calibration_error(confidence, right, np.arange(80))
    assert found.error > 0.03  # though there is none
    assert found.error < found.by_chance
    assert found.interval[0] < 0.02
    confidence, right = sure_and_right(20_000, 1)
    many = calibration_error(confidence, right, np.arange(20_000))
    assert many.by_chance < 0.01


def test_an_error_that_is_no_chance_is_told_from_it():
    confidence, right = sure_and_right(2000, 0, too_sure=0.15)
    found = calibration_error(confidence, right, np.arange(2000))
    assert found.by_chance < 0.04
    assert found.interval[0] > 0.1
    assert found.interval[0] < 0.15 < found.interval[1]


def test_copies_make_the_error_no_surer():
    confidence, right = sure_and_right(200, 0, too_sure=0.15)
    alone = calibration_error(confidence, right, np.arange(200))
    copied = np.tile(confidence, 4), np.tile(right, 4), np.tile(np.arange(200), 4)
    four = calibration_error(copied[0], copied[1], copied[2])
    assert four.interval == pytest.approx(alone.interval)
    assert four.by_chance == pytest.approx(alone.by_chance)


def test_nine_photos_are_the_fewest_for_nine_in_ten():
    probabilities = np.full((9, 2), 0.5)
    assert least_probability(probabilities, np.zeros(9, int), 0.9) == 0.5
    assert least_probability(probabilities[:8], np.zeros(8, int), 0.9) is None


def test_a_set_holds_the_predicted_class_even_where_nothing_is_probable():
    sets = PredictionSet(coverage=0.9, least_probability=0.7)
    found = measure_sets(np.array([[0.6, 0.4], [0.2, 0.8]]), np.array([0, 0]), sets)
    assert (found["coverage"], found["mean_size"], found["one_class"]) == (0.5, 1, 1)


def vectors(photos: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(photos) % 3
    rng = np.random.default_rng(seed)
    return (2 * np.eye(12)[labels] + rng.normal(size=(photos, 12))).astype("f4"), labels


@pytest.fixture(scope="module")
def calibrated() -> CalibratedHead:
    sides = Sides(*vectors(300, 0), *vectors(60, 1), classes=3)
    return calibrate_head(fit_head("logistic", sides), sides).measured(*vectors(900, 2))


def test_calibration_sets_and_familiarity_are_measured_on_test_photos(calibrated, tmp_path):
    test = calibrated.calibration.test
    assert calibrated.calibration.photos == 360  # validation, and training by cross-fitting
    low, high = calibrated.calibration.coverage_interval
    assert low < 0.9 < high
    after = test.after.expected_calibration_error
    assert after < 0.05
    assert test.after.error_interval[0] <= after <= test.after.error_interval[1]
    assert after <= test.before.expected_calibration_error + 0.005
    assert test.prediction_sets.coverage == pytest.approx(0.9, abs=0.03)
    assert test.familiarity.like_training > 0.9
    calibrated.write(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["familiarity.npz"]


def test_one_photo_a_class_and_no_validation_promises_nothing():
    train, labels = vectors(3, 0)
    nothing = np.zeros((0, 12), "f4"), np.zeros(0, np.int64)
    sides = Sides(train, labels, *nothing, classes=3)
    found = calibrate_head(fit_head("prototypes", sides), sides)
    assert (found.thresholds, found.familiarity) == (Thresholds(), None)
    assert found.calibration.temperature == 0.07  # the default, as nothing could be fitted
    assert found.layers[-1].kernel.shape == (12, 3)


def test_the_temperature_counts_from_the_scores_as_they_were():
    sides = Sides(*vectors(300, 0), *vectors(60, 1), classes=3)
    found = calibrate_head(fit_head("svm", sides), sides)
    ratio = np.abs(found.uncalibrated[-1].kernel).max() / np.abs(found.layers[-1].kernel).max()
    assert ratio == pytest.approx(found.calibration.temperature, rel=1e-4)
    assert ratio < 0.9  # distances from a border are no logits


def test_the_report_shows_it_in_words_and_as_a_picture(calibrated):
    picture = calibration_report.draw_reliability(calibrated.calibration.test)
    assert Image.open(io.BytesIO(picture)).size[0] > 400
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["percent"] = lambda share, digits=1: f"{100 * share:.{digits}f} %"
    environment.filters["picture"] = lambda content, kind: f"data:image/{kind},"
    place = Path(calibration_report.__file__).with_name("templates") / "calibration.html.j2"
    template = environment.from_string(place.read_text())
    more = {"reliability": picture, "error": "1.9 % (or so)", "caveats": ["With a grain of salt."]}
    page = template.render(calibration=calibrated.calibration, **more)
    assert "are made to contain the true class of 90 % of photos" in page
    assert "data:image/png" in page
    assert "to 1.9 % (or so).</p>" in page
    assert "<p>With a grain of salt.</p>" in page
    assert template.render(calibration=None, **more).strip() == ""
    table = environment.from_string(place.with_name("heads.html.j2").read_text())
    row = {"kind": "svm", "name": "linear SVM", "settings": {"C": 1}, "seconds": 1.0,
           "validation_accuracy": 0.5, "validation_accuracy_interval": [0.4, 0.6],
           "validation_log_loss": 0.7}  # fmt: skip
    shown = table.render(head={"kind": "svm", "table": [row]})
    assert "linear SVM (chosen)" in shown
    assert "40.0 % to 60.0 %" in shown

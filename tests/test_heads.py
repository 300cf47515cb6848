"""The head: one Dense layer that answers as scikit-learn's own pipeline would."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from models.head import DenseLayer
from training import heads
from training.heads import STRENGTHS, apply_head, fit_logistic


def clouds(classes: int, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`count` points in 6 dimensions, in overlapping clouds; scales differ a thousandfold."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = np.random.default_rng(99).normal(size=(classes, 6))
    points = centres[labels] + rng.normal(size=(count, 6))
    return (points * np.logspace(-1, 2, 6) + 5).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 4])  # for two, scikit-learn keeps one row of weights
def test_the_head_answers_as_the_pipeline_it_was_made_from(classes, monkeypatch):
    monkeypatch.setattr(heads, "STRENGTHS", (1e-2,))  # one, so that both start from zero
    train, labels = clouds(classes, 120)
    others, other_labels = clouds(classes, 40, seed=1)
    head = fit_logistic(train, labels, others, other_labels, classes).layers
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=1e-2, tol=1e-4))
    expected = pipeline.fit(train.astype(np.float64), labels).predict_proba(others)
    np.testing.assert_allclose(apply_head(head, others), expected, atol=1e-5)
    assert head[0].kernel.shape == (6, classes)
    assert head[0].kernel.dtype == head[0].bias.dtype == np.float32


def test_a_head_is_applied_as_logits_then_softmax():
    head = [DenseLayer(np.array([[1, 0], [0, 2]], np.float32), np.array([0, 1], np.float32))]
    answer = apply_head(head, np.array([[3, 1], [1000, 0]], np.float32))  # logits (3, 3), (1000, 1)
    np.testing.assert_allclose(answer, np.array([[0.5, 0.5], [1, 0]]), atol=1e-12)


def test_the_same_photos_give_the_same_head_bit_for_bit():
    data = (*clouds(3, 90), *clouds(3, 30, seed=1))
    one, other = fit_logistic(*data, classes=3), fit_logistic(*data, classes=3)
    assert one.layers[0].kernel.tobytes() == other.layers[0].kernel.tobytes()
    assert one.layers[0].bias.tobytes() == other.layers[0].bias.tobytes()
    assert one.settings == other.settings


def test_the_strength_is_the_one_with_the_least_loss_on_validation_photos():
    train, labels = clouds(3, 90)
    others, other_labels = clouds(3, 60, seed=1)
    steps: list[int] = []
    settings = fit_logistic(train, labels, others, other_labels, 3, steps.append).settings
    tried = settings["tried"]
    assert [row["C"] for row in tried] == list(STRENGTHS)
    assert sum(steps) == len(STRENGTHS)
    best = min(tried, key=lambda row: row["validation_log_loss"])
    assert settings["C"] == best["C"]
    assert settings["validation_accuracy"] == best["validation_accuracy"]


def test_validation_alone_decides_how_far_the_head_trusts_its_training_photos():
    train, labels = clouds(2, 90)
    agree = fit_logistic(train, labels, train, labels, 2).settings
    oppose = fit_logistic(train, labels, train, 1 - labels, 2).settings
    assert agree["C"] == max(STRENGTHS)  # the same photos again: the least penalty fits best
    assert oppose["C"] == min(STRENGTHS)  # the labels swapped: the less learnt, the better


@pytest.mark.parametrize("constant", [0.0, 0.1, 3.7, 1000.1])  # 0: a dead channel, the usual one
def test_a_channel_that_never_changes_is_harmless(constant):
    train, labels = clouds(3, 301)  # float32 sums of 301 times 3.7 do not divide back to 3.7
    others, other_labels = clouds(3, 60, seed=1)
    plain = fit_logistic(train, labels, others, other_labels, 3).layers
    wider = [np.hstack([x, np.full((len(x), 1), constant, "float32")]) for x in (train, others)]
    head = fit_logistic(wider[0], labels, wider[1], other_labels, 3).layers
    np.testing.assert_allclose(apply_head(head, wider[1]), apply_head(plain, others), atol=1e-5)
    assert np.abs(head[0].kernel[6]).max() < 1e-3  # should it change after all, nothing explodes


def test_a_validation_side_without_one_of_the_classes_still_chooses():
    train, labels = clouds(3, 90)
    others, other_labels = clouds(3, 60, seed=1)
    few = other_labels != 2
    settings = fit_logistic(train, labels, others[few], other_labels[few], 3).settings
    assert settings["C"] in STRENGTHS
    assert np.isfinite(settings["validation_log_loss"])


def test_the_features_that_are_given_are_not_changed():
    train, labels = clouds(2, 30)
    before = train.copy()
    fit_logistic(train, labels, train, labels, 2)
    assert train.tobytes() == before.tobytes()

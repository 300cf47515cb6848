"""Verdicts on learning curves: drawn by hand, and of tiny networks that were really trained."""

import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from training.heads.held_out import Sides
from training.heads.neural import fit_neural
from training.optimisation.epochs import Curves, Epoch
from training.report.drawings import draw_curves
from training.report.verdicts import diagnose
from training.settings.hyperparameters import HiddenLayers, Hyperparameters

CLASSES, FEATURES = 4, 16


def drawn(
    validation: list[float],
    training: list[float] | None = None,
    accuracy: float = 0.9,
    validation_accuracy: float = 0.9,
    start: float = 1.4,
) -> Curves:
    """Curves with these losses, and these accuracies in every epoch."""
    pairs = zip(training or validation, validation, strict=True)
    epochs = [Epoch(t, accuracy, v, validation_accuracy, 1e-3) for t, v in pairs]
    best = int(np.argmin(validation)) if min(validation) < start else -1
    return Curves(epochs, best, start, "all epochs were done")


def trained(photos: int, noise: float, widths: tuple[int, ...], **chosen: Any):
    """A head on clouds of points, and the verdict on how it was learnt."""
    centres = np.random.default_rng(99).normal(size=(CLASSES, FEATURES))

    def cloud(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        labels = np.arange(count) % CLASSES
        points = centres[labels] + noise * rng.normal(size=(count, FEATURES))
        return points.astype(np.float32), labels

    settings = Hyperparameters(**chosen)
    shape = HiddenLayers(widths)
    sides = Sides(*cloud(photos, 0), *cloud(200, 1), classes=CLASSES)
    curves = fit_neural(sides, shape, settings).record.neural.curves
    return diagnose(curves, settings)


def test_a_loss_that_falls_and_stays_is_a_good_fit():
    curves = drawn([0.8, 0.5, 0.42, 0.4, 0.4, 0.4, 0.4, 0.401, 0.4])
    verdict = diagnose(curves, Hyperparameters())
    assert verdict.kind == "good fit"
    assert verdict.sentence == (
        "A good fit: the validation loss settled at 0.40, with 90 % of the validation photos right."
    )
    assert verdict.advice == []


def test_a_validation_loss_that_rises_while_training_goes_on_is_overfitting():
    falling = [0.9, 0.5, 0.3, 0.2, 0.1, 0.05]
    verdict = diagnose(
        drawn([0.8, 0.6, 0.5, 0.55, 0.6, 0.7], falling, 0.99, 0.8), Hyperparameters()
    )
    assert verdict.kind == "overfitting"
    assert (
        "rose from 0.50 to 0.70 after epoch 3, while training went on to 99 %" in verdict.sentence
    )
    assert "keeps the weights of epoch 3" in verdict.sentence
    assert "more dropout: 0.4 instead of 0.2" in verdict.advice


def test_knowing_all_photos_but_those_of_validation_is_overfitting_too():
    verdict = diagnose(drawn([0.7, 0.7, 0.7], [0.2, 0.05, 0.01], 1.0, 0.7), Hyperparameters())
    assert verdict.kind == "overfitting"
    assert "100 % of the training photos are right, but 70 %" in verdict.sentence


def test_a_training_loss_raised_by_mixup_and_dropout_does_not_deceive():
    # training looks worse than validation all the way, as it does with mixup
    high = [1.2, 1.0, 0.9, 0.88, 0.87, 0.87, 0.87, 0.87, 0.87]
    losses = [0.8, 0.5, 0.4, 0.39, 0.38, 0.38, 0.38, 0.38, 0.38]
    settings = Hyperparameters(mixup=0.4, dropout=0.5, label_smoothing=0.1)
    assert diagnose(drawn(losses, high, 0.6, 0.92), settings).kind == "good fit"


def test_a_loss_that_still_falls_at_the_end_asks_for_more_epochs():
    verdict = diagnose(drawn([1.0, 0.8, 0.7, 0.6, 0.5, 0.4]), Hyperparameters(epochs=6))
    assert verdict.kind == "still improving"
    assert "the last third of 6 epochs still took 33 % off" in verdict.sentence  # 0.6 to 0.4
    assert verdict.advice == ["more epochs: 12"]


def test_a_loss_that_jumps_up_and_down_is_unstable():
    verdict = diagnose(drawn([0.8, 1.3, 0.7, 1.2, 0.6, 1.1, 0.5]), Hyperparameters(warm_up=0))
    assert verdict.kind == "unstable"
    assert "jumped up 3 times in 7 epochs" in verdict.sentence
    assert verdict.advice[0].startswith("a learning rate of 0.0002 instead of 0.001")
    assert "a warm-up of 0.1" in verdict.advice


def test_a_single_bad_epoch_is_not_called_unstable():
    losses = [0.8, 0.5, 0.75, 0.42, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4]
    assert diagnose(drawn(losses), Hyperparameters()).kind == "good fit"


def test_a_first_epoch_that_destroys_what_was_known_is_unstable_not_overfitted():
    # seen on digits: a trained head at 0.78, then a rate that its blocks could not bear
    curves = drawn([4.0, 3.7, 3.8], [13.0, 11.7, 11.0], 0.15, 0.36, start=0.78)
    verdict = diagnose(curves, Hyperparameters(dropout=0.3))
    assert verdict.kind == "unstable"
    assert (
        "the first epoch undid what was known before (validation loss 0.78 before, 4.00 after it)"
        in verdict.sentence
    )
    assert "less dropout than 0.3" in verdict.advice


def test_little_learnt_is_underfitting():
    verdict = diagnose(
        drawn([1.38, 1.36, 1.35], accuracy=0.3, validation_accuracy=0.3), Hyperparameters()
    )
    assert verdict.kind == "underfitting"
    assert "at best 30 % of the photos are right" in verdict.sentence
    assert verdict.advice[0].startswith("a larger learning rate than 0.001")


def test_a_trained_head_that_gains_little_more_is_not_underfitting():
    # fine-tuning begins where the head ended: there is little left to lose
    curves = drawn([0.33, 0.32, 0.315, 0.315, 0.315, 0.315], start=0.35)
    assert diagnose(curves, Hyperparameters()).kind == "good fit"


def test_no_gain_over_the_start_is_said():
    curves = drawn([0.36, 0.36, 0.36], start=0.35)
    assert "the start, which is kept" in diagnose(curves, Hyperparameters()).sentence


def test_no_epochs_cannot_be_judged():
    with pytest.raises(ValueError, match="ended before its first epoch"):
        diagnose(Curves(), Hyperparameters())


def test_wide_layers_on_forty_photos_without_a_brake_overfit():
    chosen: dict[str, Any] = {
        "epochs": 25,
        "patience": 0,
        "dropout": 0,
        "weight_decay": 0,
        "learning_rate": 3e-3,
    }
    verdict = trained(40, 2.5, (256, 256), schedule="constant", **chosen)
    assert verdict.kind == "overfitting"
    assert "100 % accuracy" in verdict.sentence


def test_a_last_epoch_that_is_kept_though_the_loss_rose_is_advised_against():
    curves = drawn([0.9, 0.6, 0.5, 0.55, 0.6, 0.65], [0.9, 0.5, 0.3, 0.2, 0.1, 0.05], accuracy=1.0)
    kept_best = diagnose(curves, Hyperparameters())
    kept_last = diagnose(replace(curves, best=5), Hyperparameters(keep="last"))
    assert kept_best.kind == kept_last.kind == "overfitting"
    assert "keeps the weights of epoch 3" in kept_best.sentence
    assert kept_last.advice[0].endswith("(--keep best)")
    assert not any("--keep" in advice for advice in kept_best.advice)


def test_a_rate_that_is_far_too_small_underfits():
    assert trained(200, 1.0, (16,), epochs=8, learning_rate=1e-6).kind == "underfitting"


def test_an_ordinary_run_is_a_good_fit():
    assert trained(400, 1.0, (32,), epochs=15, learning_rate=1e-2).kind == "good fit"


def test_a_run_that_ends_too_soon_is_still_improving():
    chosen: dict[str, Any] = {"schedule": "constant", "warm_up": 0, "dropout": 0}
    assert trained(400, 1.0, (32,), epochs=6, learning_rate=5e-4, **chosen).kind == (
        "still improving"
    )


def test_a_rate_that_is_far_too_large_is_unstable():
    chosen: dict[str, Any] = {"schedule": "constant", "warm_up": 0, "patience": 0}
    assert trained(400, 1.0, (32,), epochs=15, learning_rate=1.0, **chosen).kind == "unstable"


@pytest.mark.parametrize("curves", [drawn([0.5]), drawn([0.5, 0.4], start=math.inf)])
def test_any_curves_can_be_drawn(curves):
    image = Image.open(io.BytesIO(draw_curves(curves)))
    assert image.format == "PNG"
    assert 600 < image.width < 1200
    assert np.asarray(image.convert("RGBA"))[0, 0, 3] == 0  # the page's ground shows through


def test_curves_survive_the_manifest():
    curves = drawn([0.5, 0.4])
    assert Curves.from_json(curves.as_json() | {"cut": "block3", "views": 4}) == curves

"""The learning-rate finder, on clouds of points that a small head really learns."""

import io
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from models.errors import Diverged
from training.heads.neural import build_neural
from training.optimisation.epochs import RateSearch
from training.optimisation.find_rate import choose_rate, find_rate
from training.optimisation.loop import train
from training.optimisation.training_set import TrainingSet
from training.report.drawings import draw_rates
from training.settings.hyperparameters import HiddenLayers, Hyperparameters

SETTINGS = Hyperparameters(epochs=4, patience=0, schedule="constant", warm_up=0, dropout=0.1)


@pytest.fixture(scope="module")
def training_set() -> TrainingSet:
    """Four classes, well apart but for noise."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 16))
    labels = np.arange(400) % 4
    points = (centres[labels] + rng.normal(size=(400, 16))).astype(np.float32)
    return TrainingSet(
        lambda rows, epoch: points[:300][rows],
        labels[:300],
        lambda rows: points[300:][rows],
        labels[300:],
        classes=4,
        seed=0,
    )


def fresh() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_neural(16, 4, HiddenLayers((32,)), SETTINGS.dropout)[0]


def loss_with(training_set: TrainingSet, optimiser: str, rate: float) -> float:
    """Validation loss after four epochs; infinite where the run blew up."""
    settings = replace(SETTINGS, optimiser=optimiser, learning_rate=min(rate, 10))
    try:
        return train(fresh(), training_set, settings).epochs[-1].validation_loss
    except Diverged:
        return float("inf")


@pytest.mark.parametrize("optimiser", ["momentum", "adamw"])
def test_the_suggestion_learns_and_a_hundred_times_more_does_not(training_set, optimiser):
    found = find_rate(fresh(), training_set, replace(SETTINGS, optimiser=optimiser))
    assert found.found
    assert 1e-4 < found.suggested < 1
    assert loss_with(training_set, optimiser, found.suggested) < 0.4  # log 4 is 1.39
    assert loss_with(training_set, optimiser, found.suggested / 100) > 0.6  # far behind
    assert loss_with(training_set, optimiser, found.suggested * 100) > 1


def test_the_model_is_left_as_it_was(training_set):
    model = fresh()
    model.compile(optimizer="sgd", loss="mse")
    optimiser = model.optimizer
    before = [np.asarray(variable).copy() for variable in model.variables]
    find_rate(model, training_set, SETTINGS)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(
            np.asarray(variable), value
        )  # weights, and the state of dropout
    assert model.optimizer is optimiser
    assert int(optimiser.iterations) == 0


def test_the_rates_grow_evenly_and_stop_where_the_loss_explodes(training_set):
    found = find_rate(fresh(), training_set, replace(SETTINGS, optimiser="sgd"))
    steps = np.diff(np.log(found.rates))
    assert found.rates[0] == pytest.approx(1e-6)
    assert np.allclose(steps, steps[0])
    assert len(found.rates) < 100  # of a hundred: the last ones are not tried
    assert np.isfinite(found.losses).all()


def test_a_tenth_of_the_rate_at_the_lowest_loss_is_suggested():
    rates = np.geomspace(1e-5, 1, 6)
    found = choose_rate(rates, np.array([1.4, 1.4, 1.2, 0.6, 0.9, 3.0]), usual=1e-3)
    assert found.suggested == pytest.approx(1e-3)  # the lowest is at 1e-2
    assert found.found


def test_where_no_rate_learns_the_usual_one_stays():
    rates = np.geomspace(1e-5, 1, 4)
    found = choose_rate(rates, np.array([1.40, 1.39, 1.38, 2.0]), usual=5e-4)
    assert (found.suggested, found.found) == (5e-4, False)


def test_the_search_can_be_drawn():
    rates = np.geomspace(1e-5, 1, 6)
    losses = np.array([1.4, 1.4, 1.2, 0.6, 0.9, 3.0])
    for found in (True, False):
        content = draw_rates(RateSearch(rates, losses, 1e-3, found))
        assert Image.open(io.BytesIO(content)).format == "PNG"

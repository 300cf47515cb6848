"""A learning rate found by trying: it grows step by step until the loss explodes.

Smith 2017 (arXiv:1506.01186, section 3.3). The loss over the rate first stands still, then
falls, then rises; a good rate lies where it falls, well before the lowest point, because there
the steps are about to become too large. What is suggested is a tenth of the rate at the lowest
point of the smoothed loss. The steepest point was tried too and wandered off to the first rates,
where batches differ more than the loss falls.
"""

import math
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from training.optimisation.epochs import RateSearch
from training.optimisation.optimiser import compile_for_training
from training.optimisation.training_set import TrainingSet
from training.settings.hyperparameters import Hyperparameters

LOWEST, HIGHEST = 1e-6, 10.0  # rates: seven decades
STEPS = 100  # 14 to a decade
SMOOTHING = 0.9  # share of the loss so far at each step: about ten batches count
EXPLODED = 4.0  # times the lowest loss: there is nothing to be seen beyond
LEARNT = 0.05  # of the first loss, that must be gone somewhere, else no rate learns
MARGIN = 10.0  # below the lowest point


def find_rate(
    model: keras.Model, training_set: TrainingSet, hyperparameters: Hyperparameters
) -> RateSearch:
    """Try about a hundred rates on `model` (inputs -> logits); it is left as it was.

    Neither weights nor the state of dropout nor what the model was compiled with change.

    Args:
        hyperparameters: optimiser, batch, label smoothing and mixup are used; the learning
            rate is the answer where no rate lowers the loss.
    """
    trial = keras.Model(model.inputs, model.outputs)  # shares weights, not the compilation
    before = [np.asarray(variable).copy() for variable in model.variables]
    constant = replace(hyperparameters, schedule="constant", warm_up=0.0, learning_rate=LOWEST)
    compile_for_training(trial, constant, STEPS)
    try:
        rates, losses = _climb(trial, training_set, hyperparameters)
    finally:
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)
    return choose_rate(rates, losses, hyperparameters.learning_rate)


def choose_rate(rates: np.ndarray, losses: np.ndarray, usual: float) -> RateSearch:
    """Choose the rate to train with; `usual` where the loss never falls by `LEARNT`."""
    lowest = int(losses.argmin())
    found = bool(losses[lowest] < (1 - LEARNT) * np.median(losses[:10]))  # nothing learnt there
    return RateSearch(rates, losses, float(rates[lowest] / MARGIN) if found else usual, found)


def _climb(
    trial: Any, training_set: TrainingSet, hyperparameters: Hyperparameters
) -> tuple[np.ndarray, np.ndarray]:
    """Take one step at each rate, until the loss explodes; returns rates and smoothed losses."""
    steps = training_set.steps(hyperparameters.batch)
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    for step, rate in enumerate(np.geomspace(LOWEST, HIGHEST, STEPS).tolist()):
        trial.optimizer.learning_rate = rate
        epoch, step_of_epoch = divmod(step, steps)
        batch = training_set.batch(hyperparameters, epoch, step_of_epoch)
        loss = float(trial.train_on_batch(*batch, return_dict=True)["loss"])
        if not math.isfinite(loss):
            break
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smooth = mean / (1 - SMOOTHING ** (step + 1))  # else the first ones would be too low
        rates.append(rate)
        losses.append(smooth)
        if smooth > EXPLODED * min(losses):
            break
    return np.array(rates), np.array(losses)

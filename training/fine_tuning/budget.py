"""How many views and epochs fit into the minutes a person has."""

import math
import time
from dataclasses import dataclass, replace

import keras
import numpy as np

from models.runtime import Graph
from training.settings.hyperparameters import FEW_STEPS, Hyperparameters

MOST_EPOCHS = 12  # more were no better, but for photos so few that they make few steps
MOST_VIEWS = 8
AFTERWARDS_S = 35.0  # exporting, measuring and writing what was trained; twice with two views
MARGIN = 0.9  # of the time that is left: machines are not always equally quick
DECODE_MS = 5.0  # a view on one core: decoding, cutting out, writing its maps
VALIDATING = 0.5  # of a step, that a validation photo takes after each epoch
TRIED_STEPS = 3


@dataclass(frozen=True)
class Plan:
    """How much fine-tuning will do."""

    views: int  # of each training photo, the plain one among them
    epochs: int

    def hyperparameters(self, usual: Hyperparameters) -> Hyperparameters:
        """Set the epochs of the usual hyperparameters."""
        return replace(usual, epochs=self.epochs)


def enough_epochs(usual: int, photos: int, batch: int) -> int:
    """Count the epochs that make FEW_STEPS steps, or the `usual` ones if those are more."""
    return max(usual, math.ceil(FEW_STEPS / math.ceil(photos / batch)))


def plan_within(
    left_s: float,
    photos: int,
    validation: int,
    view_s: float,
    step_s: float,
    most: int = MOST_EPOCHS,
) -> Plan:
    """Plan the most epochs, each with about a view of its own, that `left_s` seconds allow.

    Args:
        left_s: for views and training.
        photos: number of training photos; validation: of photos tried after each epoch.
        view_s: for one view of one photo; step_s: for one photo in a training step.
        most: epochs.
    """
    usable = MARGIN * left_s
    for epochs in range(most, 0, -1):
        views = min(MOST_VIEWS, max(2, epochs))
        for count in range(views, 1, -1):
            caching_s = (count * photos + validation) * view_s
            training_s = epochs * (photos + VALIDATING * validation) * step_s
            if caching_s + training_s <= usable and 2 * count >= min(epochs, MOST_EPOCHS):
                return Plan(count, epochs)
    return Plan(2, 1)


def measure_view(lower: Graph, workers: int) -> float:
    """Measure the seconds for one view of one photo, with `workers` threads."""
    photo = np.zeros((1, *lower.input_shape[1:]), np.float32)
    lower.run(photo, ["cut"])
    started = time.perf_counter()
    for _ in range(TRIED_STEPS):
        lower.run(photo, ["cut"])
    return ((time.perf_counter() - started) / TRIED_STEPS + DECODE_MS / 1000) / workers


def measure_step(model: keras.Model, batch: int) -> float:
    """Measure the seconds for one photo in a training step of `model`, which stays as it is."""
    before = model.get_weights()
    model.compile(
        "adamw", keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=False
    )
    inputs = np.zeros((batch, *model.input_shape[1:]), np.float32)
    targets = np.eye(model.output_shape[-1], dtype=np.float32)[np.zeros(batch, int)]
    model.train_on_batch(inputs, targets)
    started = time.perf_counter()
    for _ in range(TRIED_STEPS):
        model.train_on_batch(inputs, targets)
    taken = time.perf_counter() - started
    model.set_weights(before)
    return taken / TRIED_STEPS / batch

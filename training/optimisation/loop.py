"""Gradient descent: how a neural head, or the upper blocks of a backbone, are trained.

One loop for both. After each epoch the network is tried on validation photos, the best epoch
is kept, and the whole state is written down: a killed run goes on where it was and ends with
the same weights, because everything random is drawn from the seed and the epoch's number.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from sklearn.metrics import log_loss

from models.classifier import softmax
from models.errors import Diverged
from training.evaluation.calibrate import fit_temperature
from training.optimisation.checkpoint import Checkpoint
from training.optimisation.epochs import Curves as Curves
from training.optimisation.epochs import Epoch as Epoch
from training.settings.hyperparameters import Descent

EVALUATION_BATCH = 64
MOMENTUM = 0.9


@dataclass(frozen=True)
class Lesson:
    """What there is to learn from."""

    read: Callable[[np.ndarray, int], np.ndarray]  # rows (n,), epoch -> inputs (n, ...)
    labels: np.ndarray  # (N,) int of the training photos
    read_validation: Callable[[np.ndarray], np.ndarray]  # rows (n,) -> inputs
    validation_labels: np.ndarray  # (V,) int
    classes: int
    seed: int

    def batch(self, settings: Descent, epoch: int, step: int) -> tuple[np.ndarray, ...]:
        """Inputs, soft labels (n, classes) and weights (n,) of one step."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.labels))
        rows = order[step * settings.batch : (step + 1) * settings.batch]
        inputs = self.read(rows, epoch)
        targets = np.eye(self.classes, dtype=np.float32)[self.labels[rows]]
        weights = self._class_weights(settings)[self.labels[rows]]
        if settings.mixup:
            rng = np.random.default_rng([self.seed, epoch, step])
            share, other = rng.beta(settings.mixup, settings.mixup), rng.permutation(len(rows))
            inputs = np.float32(share) * inputs + np.float32(1 - share) * inputs[other]
            targets = np.float32(share) * targets + np.float32(1 - share) * targets[other]
        return inputs, targets, weights

    def _class_weights(self, settings: Descent) -> np.ndarray:
        counts = np.bincount(self.labels, minlength=self.classes)
        if settings.class_weights == "none":
            return np.ones(self.classes, np.float32)
        return (len(self.labels) / (self.classes * np.maximum(counts, 1))).astype(np.float32)


def descend(
    model: keras.Model,
    lesson: Lesson,
    settings: Descent,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int], None] = lambda done: None,
    observe: Callable[[Epoch], bool | None] | None = None,
) -> Curves:
    """Train `model` (inputs -> logits) in place; it ends with the weights of its best epoch.

    Args:
        checkpoint: where the state after each epoch is kept; one found there is taken up.
        progress: called with the number of steps just finished.
        observe: told of each epoch, in order, those that a checkpoint remembers first; where
            it returns True of a new one, that is the last.

    Raises:
        Diverged: the loss is no longer a number; says at which step and learning rate.
    """
    steps = -(-len(lesson.labels) // settings.batch)
    model.compile(
        optimizer=make_optimiser(settings, settings.epochs * steps),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=settings.label_smoothing
        ),
        weighted_metrics=["accuracy"],
        jit_compile=False,  # compiled for this CPU, a step takes several times as long
    )
    model.optimizer.build(model.trainable_variables)
    before = evaluate(model, lesson)
    curves = Curves(start_loss=before.loss, start_judged=before.calibrated_loss)
    best, mean = _copy(model), _copy(model)
    if checkpoint and (found := checkpoint.load(_state(model) + best + mean)):
        curves, arrays = Curves.from_json(found.facts), found.arrays
        _assign(_state(model), arrays[: -2 * len(best)])
        best, mean = arrays[-2 * len(best) : -len(best)], arrays[-len(best) :]
        progress(steps * len(curves.epochs))
        if observe:
            for epoch in curves.epochs:
                observe(epoch)
    for number in range(len(curves.epochs), settings.epochs):
        if curves.stopped:
            break
        loss, accuracy = _pass(model, lesson, settings, number, steps, mean, progress)
        rate = float(model.optimizer.learning_rate)
        working = _copy(model)
        if settings.averaging:
            _assign(model.trainable_variables, mean)
        judged = evaluate(model, lesson)
        curves.epochs.append(
            Epoch(loss, accuracy, judged.loss, judged.accuracy, rate, judged.calibrated_loss)
        )
        if curves.epochs[-1].judged < curves.best_judged:
            curves.best, best = number, _copy(model)
        _assign(model.trainable_variables, working)
        curves.stopped = _why_stop(curves, settings)
        if observe and observe(curves.epochs[-1]):
            curves.stopped = curves.stopped or "it was asked to stop"
        if checkpoint:
            checkpoint.save(curves.as_json(), [numbers(v) for v in _state(model)] + best + mean)
    _assign(model.trainable_variables, best)
    curves.stopped = curves.stopped or "all epochs were done"
    return curves


def make_optimiser(settings: Descent, steps: int) -> keras.Optimizer:
    """The optimiser with its schedule over `steps`; biases and scales do not decay."""
    rate: Any = float(settings.learning_rate)
    warm = round(settings.warm_up * steps)
    if settings.schedule == "cosine":
        start = 0.0 if warm else rate
        rate = keras.optimizers.schedules.CosineDecay(
            start, max(1, steps - warm), warmup_target=rate if warm else None, warmup_steps=warm
        )
    elif warm:
        rate = keras.optimizers.schedules.PolynomialDecay(rate / warm, warm, rate)
    decay = settings.weight_decay or None
    kinds: dict[str, Callable[[], keras.Optimizer]] = {
        "sgd": lambda: keras.optimizers.SGD(rate, weight_decay=decay),
        "momentum": lambda: keras.optimizers.SGD(rate, MOMENTUM, weight_decay=decay),
        "adam": lambda: keras.optimizers.Adam(rate, weight_decay=decay),
        "adamw": lambda: keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay),
    }
    optimiser = kinds[settings.optimiser]()
    optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimiser


class Judgement(NamedTuple):
    """What the validation photos say of a network."""

    loss: float  # log loss
    accuracy: float
    calibrated_loss: float  # log loss at its best temperature


def evaluate(model: keras.Model, lesson: Lesson) -> Judgement:
    """Ask `model` about the validation photos."""
    rows = np.arange(len(lesson.validation_labels))
    logits = np.concatenate([
        model.predict_on_batch(lesson.read_validation(rows[at : at + EVALUATION_BATCH]))
        for at in range(0, len(rows), EVALUATION_BATCH)
    ]).astype(np.float64)  # fmt: skip
    if not np.isfinite(logits).all():
        return Judgement(math.inf, 0.0, math.inf)
    truth = lesson.validation_labels
    losses = [
        log_loss(truth, softmax(logits / temperature), labels=list(range(lesson.classes)))
        for temperature in (1.0, fit_temperature(logits, truth))
    ]
    return Judgement(losses[0], float((logits.argmax(1) == truth).mean()), losses[1])


def _pass(
    model: keras.Model,
    lesson: Lesson,
    settings: Descent,
    epoch: int,
    steps: int,
    mean: list[np.ndarray],
    progress: Callable[[int], None],
) -> tuple[float, float]:
    """One epoch: loss and accuracy of its answers. `mean` follows the weights, in place."""
    seen, lost, right = 0, 0.0, 0.0
    for step in range(steps):
        inputs, targets, weights = lesson.batch(settings, epoch, step)
        told = model.train_on_batch(inputs, targets, weights, return_dict=True)
        seen += len(inputs)
        lost += len(inputs) * float(told["loss"])
        right += len(inputs) * float(told["accuracy"])
        if not math.isfinite(lost):
            rate = float(model.optimizer.learning_rate)
            raise Diverged(epoch * steps + step + 1, rate, settings.learning_rate)
        if settings.averaging:
            done = epoch * steps + step + 1
            stays = min(settings.averaging, (1 + done) / (10 + done))  # the first count less
            for average, weight in zip(mean, model.trainable_variables, strict=True):
                average += np.float32(1 - stays) * (numbers(weight) - average)
        progress(1)
    return lost / seen, right / seen


def _why_stop(curves: Curves, settings: Descent) -> str:
    """The reason to end after this epoch, or nothing."""
    if settings.target_loss and curves.epochs[-1].loss <= settings.target_loss:
        return f"the training loss reached {settings.target_loss:g}"
    reference, since = curves.start_judged or math.inf, 0
    for epoch in curves.epochs:
        gained = epoch.judged < reference - settings.min_gain
        reference, since = (epoch.judged, 0) if gained else (reference, since + 1)
    if settings.patience and since >= settings.patience:
        return f"no gain of {settings.min_gain:g} in {settings.patience} epochs"
    return ""


def _state(model: keras.Model) -> list[Any]:
    """All that the next step depends on: weights, the optimiser's, the state of dropout."""
    return [*model.trainable_variables, *model.optimizer.variables, *_dropout(model)]


def numbers(variable: Any) -> np.ndarray:
    """What a Keras variable holds."""
    return np.asarray(keras.ops.convert_to_numpy(variable))


def _dropout(model: keras.Model) -> list[Any]:
    return [v for v in model.variables if "seed_generator" in v.path]


def _copy(model: keras.Model) -> list[np.ndarray]:
    return [numbers(variable).copy() for variable in model.trainable_variables]


def _assign(variables: list[Any], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)

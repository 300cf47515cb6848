"""The training loop: how a neural head, or the upper blocks of a backbone, are trained.

One loop for both. After each epoch the network is tried on validation photos, the best epoch
or the last one is kept, and the whole state is written down, unless that would take much longer
than the epochs: a killed run goes on where it was and ends with the same weights, because
everything random is drawn from the seed and the epoch's number.

Several workers go through the same loop, each with the photos of its share, from the chief's
state on. The chief alone writes it down.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from sklearn.metrics import log_loss

from models.classifier import softmax
from models.errors import Diverged
from training.evaluation.calibrate import fit_temperature
from training.optimisation.checkpoint import Checkpoint
from training.optimisation.epochs import Curves, Epoch
from training.optimisation.optimiser import MeanWeights, compile_for_training, numbers
from training.optimisation.training_set import TrainingSet
from training.optimisation.workers import ALONE, Step, Workers, facts_from_chief, from_chief
from training.settings.hyperparameters import Hyperparameters

VALIDATION_BATCH = 64
SAVING = 0.1  # most of the time that goes into writing the state down; few photos train quickly

Weights = list[np.ndarray]  # of the trainable variables, in order


def train(
    model: keras.Model,
    training_set: TrainingSet,
    hyperparameters: Hyperparameters,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int], None] = lambda done: None,
    observe: Callable[[Epoch], None] = lambda epoch: None,
    workers: Workers = ALONE,
) -> Curves:
    """Train `model` (inputs -> logits) in place; it ends with the weights of the epoch it keeps.

    Args:
        checkpoint: where the state after each epoch is kept; one found there is taken up.
        progress: called with the number of steps just finished.
        observe: called with each epoch, in order, those that a checkpoint remembers first;
            what it raises ends the training.
        workers: who train it; all begin as the chief does, and end with the same weights.

    Raises:
        Diverged: the loss is no longer a number; names the step and the learning rate.
        WorkerLost: one of several workers is gone.
    """
    steps = training_set.steps(hyperparameters.batch)
    compile_for_training(model, hyperparameters, steps * hyperparameters.epochs)
    model.optimizer.build(model.trainable_variables)
    run = _Run.begin(model, training_set, hyperparameters, workers)
    if workers.rank > 0:
        checkpoint = None
    if checkpoint and (found := checkpoint.load(run.state())):
        run.restore(Curves.from_json(found.facts), found.arrays)
    if workers.count > 1:
        run.begin_as_the_chief()
    progress(steps * len(run.curves.epochs))
    for epoch in run.curves.epochs:
        observe(epoch)
    next_save = 0.0
    for number in range(len(run.curves.epochs), hyperparameters.epochs):
        if run.curves.stopped:
            break
        done = _train_epoch(run, training_set, hyperparameters, number, progress)
        run.validate(done, training_set)
        curves = run.curves
        curves.stopped = _why_stop(curves, hyperparameters)
        observe(curves.epochs[-1])
        last = curves.stopped or number + 1 == hyperparameters.epochs
        if checkpoint and (last or time.monotonic() >= next_save):
            began = time.monotonic()
            checkpoint.save(curves.as_json(), run.state())
            ended = time.monotonic()
            next_save = ended + (ended - began) / SAVING
    _assign(model.trainable_variables, run.kept)
    run.curves.stopped = run.curves.stopped or "all epochs were done"
    return run.curves


@dataclass
class _Run:
    """A network in training, with all that the next step depends on."""

    model: keras.Model
    hyperparameters: Hyperparameters
    curves: Curves
    kept: Weights  # of the best epoch, or of the last
    mean: MeanWeights | None  # that follows the weights, where they are averaged
    workers: Workers
    step: Step

    @staticmethod
    def begin(
        model: keras.Model,
        training_set: TrainingSet,
        hyperparameters: Hyperparameters,
        workers: Workers,
    ) -> "_Run":
        """Note how the network does before training."""
        before = validate(model, training_set, workers)
        curves = Curves(start_loss=before.loss, start_judged=before.calibrated_loss)
        share = hyperparameters.averaging
        mean = MeanWeights(model.trainable_variables, share) if share > 0 else None
        step = workers.make_step(model, hyperparameters.label_smoothing)
        return _Run(model, hyperparameters, curves, _copy(model), mean, workers, step)

    def begin_as_the_chief(self) -> None:
        """Take the chief's state and epochs; dropout alone is drawn anew for each share."""
        curves = facts_from_chief(self.workers, self.curves.as_json())
        self.restore(Curves.from_json(curves), from_chief(self.workers, self.state()))
        for seed in _dropout(self.model):
            first, count = numbers(seed)
            seed.assign(np.array([first + self.workers.rank, count], numbers(seed).dtype))

    def validate(self, done: "_Pass", training_set: TrainingSet) -> None:
        """Try the network on validation photos; add the epoch, and keep its weights or not."""
        rate, working = float(self.model.optimizer.learning_rate), _copy(self.model)
        if self.mean:
            _assign(self.model.trainable_variables, _read(self.mean.mean))
        found = validate(self.model, training_set, self.workers)
        epoch = Epoch(
            loss=done.loss,
            accuracy=done.accuracy,
            validation_loss=found.loss,
            validation_accuracy=found.accuracy,
            rate=rate,
            calibrated_loss=found.calibrated_loss,
        )
        self.curves.epochs.append(epoch)
        if self.hyperparameters.keep == "last" or epoch.judged < self.curves.best_judged:
            self.curves.best, self.kept = len(self.curves.epochs) - 1, _copy(self.model)
        _assign(self.model.trainable_variables, working)

    def state(self) -> Weights:
        """Read what the next step depends on: all variables, the weights kept, their mean."""
        return [*_read(self._variables()), *self.kept]

    def restore(self, curves: Curves, state: Weights) -> None:
        """Put back what `state` read."""
        count = len(self.kept)
        self.curves = curves
        _assign(self._variables(), state[:-count])
        self.kept = state[-count:]

    def _variables(self) -> list[Any]:
        """List what a step changes: weights, their mean, the optimiser, the state of dropout."""
        model = self.model
        mean = self.mean.mean if self.mean else []
        return [*model.trainable_variables, *mean, *model.optimizer.variables, *_dropout(model)]


class Validation(NamedTuple):
    """How a network does on the validation photos."""

    loss: float  # log loss
    accuracy: float
    calibrated_loss: float  # log loss at its best temperature


def validate(model: keras.Model, training_set: TrainingSet, workers: Workers = ALONE) -> Validation:
    """Try `model` on the validation photos."""
    truth, logits = training_set.validation_labels, validation_logits(model, training_set, workers)
    if not np.isfinite(logits).all():
        return Validation(math.inf, 0.0, math.inf)
    losses = [
        log_loss(truth, softmax(logits / temperature), labels=list(range(training_set.classes)))
        for temperature in (1.0, fit_temperature(logits, truth))
    ]
    return Validation(losses[0], float((logits.argmax(1) == truth).mean()), losses[1])


def validation_logits(
    model: keras.Model, training_set: TrainingSet, workers: Workers = ALONE
) -> np.ndarray:
    """Compute the logits of the validation photos, (V, classes) float64, each by its worker."""
    logits = np.zeros((len(training_set.validation_labels), training_set.classes))
    rows = training_set.own_validation()
    for at in range(0, len(rows), VALIDATION_BATCH):
        some = rows[at : at + VALIDATION_BATCH]
        logits[some] = model.predict_on_batch(training_set.read_validation(some))
    return workers.add([logits])[0]


class _Pass(NamedTuple):
    """Loss and accuracy over one epoch, as they were minimised."""

    loss: float
    accuracy: float


def _train_epoch(
    run: _Run,
    training_set: TrainingSet,
    hyperparameters: Hyperparameters,
    epoch: int,
    progress: Callable[[int], None],
) -> _Pass:
    """Train for one epoch; the mean of the weights follows them."""
    model, steps = run.model, training_set.steps(hyperparameters.batch)
    seen, lost, right = 0, 0.0, 0.0
    for step in range(steps):
        photos = training_set.photos(hyperparameters.batch, step)
        loss, accuracy = run.step(training_set.batch(hyperparameters, epoch, step), photos)
        seen += photos
        lost += photos * loss
        right += photos * accuracy
        done = epoch * steps + step + 1
        if not math.isfinite(lost):
            rate = float(model.optimizer.learning_rate)
            raise Diverged(done, rate, hyperparameters.learning_rate)
        if run.mean:
            run.mean.follow(done)
        progress(1)
    return _Pass(lost / seen, right / seen)


def _why_stop(curves: Curves, hyperparameters: Hyperparameters) -> str:
    """Find the reason to end after this epoch, or none: an empty string."""
    target, patience = hyperparameters.target_loss, hyperparameters.patience
    if target > 0 and curves.epochs[-1].loss <= target:
        return f"the training loss reached {target:g}"
    reference = math.inf if curves.start_judged is None else curves.start_judged
    since = 0
    for epoch in curves.epochs:
        gained = epoch.judged < reference - hyperparameters.min_gain
        reference, since = (epoch.judged, 0) if gained else (reference, since + 1)
    if patience > 0 and since >= patience:
        return f"no gain of {hyperparameters.min_gain:g} in {patience} epochs"
    return ""


def _dropout(model: keras.Model) -> list[Any]:
    """List the states of random numbers: a seed, and how many were drawn."""
    return [variable for variable in model.variables if "seed_generator" in variable.path]


def _read(variables: Sequence[Any]) -> Weights:
    return [numbers(variable).copy() for variable in variables]


def _copy(model: keras.Model) -> Weights:
    return _read(model.trainable_variables)


def _assign(variables: list[Any], values: Weights) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)

"""Judge learning curves in words: overfitting, underfitting or unstable, and what to try next.

Training loss alone misleads: dropout, mixup, label smoothing and random views raise it, so it
may lie above the validation loss of a network that has overfitted. The verdict therefore rests
on the course of the validation loss, and on accuracies. The better of training and validation
accuracy stands for what the network knows of its training photos, because dropout and the like
lower only the first. The comment on each threshold gives its reason.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from training.optimisation.epochs import Curves
from training.report.quantities import percent
from training.settings.hyperparameters import Hyperparameters

VerdictKind = Literal["overfitting", "underfitting", "unstable", "still improving", "good fit"]

FIND = " (--find-rate finds one)"  # ends an advice on the learning rate
JUMP = 0.2  # of a loss, and
JUMP_NATS = 0.1  # this much: a rise between two epochs that batches do not explain
JUMPS = 0.25  # share of epochs, 2 at least, with such a rise: more than bad luck
RISE = 0.1  # of the lowest validation loss, and
RISE_NATS = 0.02  # this much, at the end: far above the noise of one epoch to the next
GAP = 0.15  # of accuracy, from validation up to training, where training has
HELD = 0.05  # of training accuracy below validation that dropout explains; beyond: no overfitting
BY_HEART = 0.98  # accuracy on training photos: it knows them one by one
LITTLE = 0.3  # share of the first loss that training must remove, unless the accuracy is above
USEFUL = 0.7  # this: a head that was trained before begins low and has little left to gain
UNSOLVED = 0.8  # accuracy below which a run without progress has too small a network
LATE = 3  # the last third of the epochs: with a cosine rate the very last ones change little
GAIN = 0.03  # share of the validation loss removed in that third: more epochs would gain more


@dataclass(frozen=True)
class Verdict:
    """What learning curves show, and what to try next."""

    kind: VerdictKind
    sentence: str  # with the numbers it rests on
    advice: list[str]  # the first is the most likely to help


def diagnose(curves: Curves, settings: Hyperparameters, rate_found: bool = False) -> Verdict:
    """Return the first that holds of unstable, overfitting, underfitting, still improving.

    Args:
        curves: 1 epoch or more.
        rate_found: whether --find-rate chose the learning rate of `settings`.

    Raises:
        ValueError: no epoch, so nothing to judge.
    """
    if not curves.epochs:
        raise ValueError("no curves to judge: the run ended before its first epoch did")
    for rule in (_unstable, _overfitting, _underfitting, _still_improving):
        if found := rule(curves, settings):
            advice = found.advice
            if rate_found:  # do not advise what was done
                advice = [line.partition(FIND)[0] for line in advice]
            return replace(found, advice=advice)
    return _good_fit(curves)


def _unstable(curves: Curves, settings: Hyperparameters) -> Verdict | None:
    jumps = max(_jumps(_training(curves)), _jumps(_validation(curves)))
    runaway = _training(curves)[-1] > 1.5 * _training(curves).min() + JUMP_NATS
    if jumps < max(2, JUMPS * (len(curves.epochs) - 1)) and not runaway and not _lost(curves):
        return None
    rate = settings.learning_rate
    advice = [f"a learning rate of {rate / 5:.2g} instead of {rate:.2g}{FIND}"]
    if settings.warm_up < 0.1:
        advice.append("a warm-up of 0.1")
    advice.append(f"a larger batch than {settings.batch}, or averaging of the weights (0.99)")
    what = f"the loss jumped up {jumps} times in {len(curves.epochs)} epochs"
    if _lost(curves):
        what = (
            f"the first epoch undid what was known before (validation loss "
            f"{curves.start_loss:.2f} before, {_validation(curves)[0]:.2f} after it)"
        )
        advice.append(f"less dropout than {settings.dropout:g}")
    elif runaway:
        low, last = _training(curves).min(), _training(curves)[-1]
        what = f"the training loss ended at {last:.2f}, after {low:.2f} before"
    return Verdict("unstable", f"Unstable: {what}; the steps are too large.", advice)


def _overfitting(curves: Curves, settings: Hyperparameters) -> Verdict | None:
    losses, last = _validation(curves), curves.epochs[-1]
    gap = last.accuracy - last.validation_accuracy
    lowest = curves.lowest
    low = losses[lowest] if lowest >= 0 else curves.start_loss
    learns_on = last.loss < curves.epochs[max(lowest, 0)].loss or last.accuracy >= BY_HEART
    later = len(losses) - 1 - lowest >= 2 and (settings.mixup or gap > -HELD)
    risen = losses[-1] - low > max(RISE * low, RISE_NATS) and later and learns_on
    if not risen and not (gap > GAP and last.accuracy >= BY_HEART):
        return None
    what = (
        f"the validation loss rose from {low:.2f} to {losses[-1]:.2f} after "
        f"{_when(lowest)}, while training went on to {percent(last.accuracy, 0)} accuracy"
        if risen
        else f"{percent(last.accuracy, 0)} of the training photos are right, but "
        f"{percent(last.validation_accuracy, 0)} of the validation photos"
    )
    advice = ["more photos, or more views of each (--views)"]
    if settings.dropout < 0.5:
        advice.append(f"more dropout: {min(0.6, settings.dropout + 0.2):.1f} instead of "
                      f"{settings.dropout:g}")  # fmt: skip
    if not settings.mixup:
        advice.append("mixup of 0.2")
    advice.append(f"more weight decay than {settings.weight_decay:g}, or fewer neurons")
    kept = "It knows its photos by heart."
    if risen and curves.best == lowest:
        kept = f"The model keeps the weights of {_when(lowest)}, so it does not suffer."
    elif risen:
        kept = "The model keeps its last epoch."
        advice.insert(0, "the epoch that validation photos prefer (--keep best)")
    return Verdict("overfitting", f"Overfitting: {what}. {kept}", advice)


def _underfitting(curves: Curves, settings: Hyperparameters) -> Verdict | None:
    last = curves.epochs[-1]
    knows = max(_known(curves))
    gone = 1 - curves.best_loss / curves.start_loss if np.isfinite(curves.start_loss) else 1.0
    little = gone < LITTLE and knows < USEFUL
    still = _late_gain(curves) < GAIN and knows < UNSOLVED
    if last.accuracy - last.validation_accuracy > GAP or not (little or still):
        return None
    advice = []
    if little:
        rate = settings.learning_rate
        advice.append(f"a larger learning rate than {rate:.2g}{FIND}")
        advice.append(f"more epochs than {len(curves.epochs)}")
    if settings.dropout > 0.3 or settings.label_smoothing > 0.1 or settings.mixup:
        advice.append("less dropout, mixup and label smoothing: they make learning harder")
    advice.append("a wider head (--hidden), or training the upper blocks (--fine-tune yes)")
    what = f"at best {percent(knows, 0)} of the photos are right, and the validation loss "
    what += f"fell by {percent(max(0.0, gone), 0)} only" if little else "no longer falls"
    return Verdict("underfitting", f"Underfitting: {what}; it has not learnt enough.", advice)


def _still_improving(curves: Curves, settings: Hyperparameters) -> Verdict | None:
    count, gain = len(curves.epochs), _late_gain(curves)
    if gain < GAIN or curves.best < count - max(1, count // LATE):
        return None
    what = f"the last third of {count} epochs still took {percent(gain, 0)} off the validation loss"
    advice = [f"more epochs: {2 * settings.epochs}"]
    return Verdict("still improving", f"Still improving: {what}.", advice)


def _good_fit(curves: Curves) -> Verdict:
    kept = curves.epochs[max(curves.best, 0)]
    if curves.best < 0:
        what = "no epoch was better on validation photos than the start, which is kept"
    else:
        what = (
            f"the validation loss settled at {curves.best_loss:.2f}, with "
            f"{percent(kept.validation_accuracy, 0)} of the validation photos right"
        )
    return Verdict("good fit", f"A good fit: {what}.", [])


def _training(curves: Curves) -> np.ndarray:
    return np.array([epoch.loss for epoch in curves.epochs])


def _validation(curves: Curves) -> np.ndarray:
    return np.array([epoch.validation_loss for epoch in curves.epochs])


def _known(curves: Curves) -> list[float]:
    """Return the better of the two accuracies of each epoch."""
    return [max(epoch.accuracy, epoch.validation_accuracy) for epoch in curves.epochs]


def _jumps(losses: np.ndarray) -> int:
    """Count the epochs whose loss jumped up from the one before; a steady climb is none."""
    before, after = losses[:-1], losses[1:]
    rises = after - before > np.maximum(JUMP * before, JUMP_NATS)
    falls = before - after > np.maximum(JUMP * after, JUMP_NATS)
    return min(int(rises.sum()), int(falls.sum()) + 1)  # what never falls did not jump


def _lost(curves: Curves) -> bool:
    """Return whether no epoch came near the loss of the start, without overfitting."""
    first = curves.epochs[0]
    near = curves.start_loss * (1 + RISE) + RISE_NATS
    return bool(_validation(curves).min() > near and first.accuracy < first.validation_accuracy)


def _late_gain(curves: Curves) -> float:
    """Return the share of the validation loss that the last third of the epochs removed."""
    losses = np.concatenate([[curves.start_loss], _validation(curves)])
    late = max(1, len(curves.epochs) // LATE)
    before = losses[: len(losses) - late].min()
    return float(1 - losses.min() / before) if np.isfinite(before) and before > 0 else 0.0


def _when(epoch: int) -> str:
    return f"epoch {epoch + 1}" if epoch >= 0 else "the start"

"""Photos that a head did not see, and what it says of them: what choices are judged by.

The validation side; where that is small, cross-validation of the training side with it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from models.building.head import DenseLayer, Head
from training.evaluation.calibrate import fit_temperature
from training.evaluation.intervals import wilson
from training.heads.forward import head_logits
from training.heads.kinds import Fold, Kind, Solver

ENOUGH = 30  # photos held out, from which on the validation side alone judges
LEAST = 10  # photos held out, below which nothing is judged
FOLDS = 5


@dataclass(frozen=True)
class Sides:
    """What there is to train on and to judge by. Labels are 0 to K - 1; train has every one."""

    train: np.ndarray  # (N, F) float32
    train_labels: np.ndarray  # (N,) int
    validation: np.ndarray  # (M, F) float32; M may be 0
    validation_labels: np.ndarray  # (M,) int
    seed: int = 0


class HeldOut:
    """Photos that are held out, and what a head of some setting says of them."""

    def __init__(
        self,
        row: Kind,
        sides: Sides,
        balanced: bool,
        start: DenseLayer | None = None,
        folds: int = FOLDS,
    ):
        self._sides = sides
        self._folds: list[tuple[Solver, np.ndarray]] = []
        self._labels = sides.validation_labels
        self.words = "validation photos"
        if len(self._labels) < ENOUGH:
            dealt = deal_folds(sides.train_labels, sides.seed, folds)
            for fold in range(dealt.max() + 1):
                kept, out = dealt != fold, np.flatnonzero(dealt == fold)
                seen = Fold(sides.train[kept], sides.train_labels[kept], balanced, start)
                if len(seen.labels) >= row.fewest * (sides.train_labels.max() + 1):
                    self._folds.append((row.prepare(seen), out))
            rows = [sides.train_labels[out] for _, out in self._folds]
            self._labels = np.concatenate([*rows, self._labels])
            self.words = "cross-validation, as the validation side is small"
        self.photos = len(self._labels)
        self.enough = self.photos >= LEAST
        if not self.enough:
            self.words = f"nothing: fewer than {LEAST} photos could be held out"

    def logits(self, layers: Head, value: float) -> tuple[np.ndarray, np.ndarray]:
        """(M, K) float64 and labels; `layers` were fitted with `value` on all of train."""
        parts = [head_logits(solve(value), self._sides.train[out]) for solve, out in self._folds]
        return np.concatenate([*parts, head_logits(layers, self._sides.validation)]), self._labels


def deal_folds(labels: np.ndarray, seed: int, folds: int = FOLDS) -> np.ndarray:
    """(N,) int: the fold in which each photo is held out; -1, never, for the only one of a class.

    Every class is spread evenly over the folds, so what is left of it is never nothing.
    """
    rng = np.random.default_rng(seed)
    dealt = np.full(len(labels), -1)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        if len(members) > 1:
            dealt[members] = np.arange(len(members)) % folds
    return dealt


def score(logits: np.ndarray, labels: np.ndarray) -> tuple[float | None, dict[str, Any]]:
    """The best temperature, None where photos are too few for one, and how well the head does.

    Accuracy and log loss are None only where no photo at all was held out.
    """
    if not len(labels):
        nothing = ("validation_log_loss", "validation_accuracy", "validation_accuracy_interval")
        return None, dict.fromkeys(nothing)
    temperature = fit_temperature(logits, labels)
    facts = judged(softmax(logits / temperature, axis=1), labels)
    return temperature if len(labels) >= LEAST else None, facts


def judged(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    truth = probabilities[np.arange(len(labels)), labels]
    right = int((probabilities.argmax(axis=1) == labels).sum())
    return {
        "validation_log_loss": float(-np.log(np.maximum(truth, 1e-15)).mean()),
        "validation_accuracy": right / len(labels),
        "validation_accuracy_interval": wilson(right, len(labels)),
    }

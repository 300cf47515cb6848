"""Photos held out from training, and how well a head does on them: choices are made by that.

They are the validation side; where that is small, cross-validation of the training side too.
"""

from dataclasses import dataclass

import numpy as np

from models.building.head import DenseLayer, Head
from models.classifier import softmax
from training.evaluation.calibrate import fit_temperature
from training.evaluation.folds import turns
from training.evaluation.intervals import wilson
from training.evaluation.layer_distances import Pooled
from training.features.rows import Rows
from training.heads.fitted_head import HeldOutScores
from training.heads.forward import head_logits
from training.heads.kinds import HeadKind, Samples, Solver

ENOUGH = 30  # photos held out, from which on the validation side alone judges
LEAST = 10  # photos held out, below which nothing is judged
FOLDS = 5


@dataclass(frozen=True)
class AllRows:
    """All training photos, where they are too many for memory."""

    rows: Rows  # (N, F)
    labels: np.ndarray  # (N,) int
    seed: int = 0


@dataclass(frozen=True)
class Sides:
    """Features and labels of the photos to train on, and of those to judge by.

    Where there are more than memory holds, these are a sample of them.
    """

    train: np.ndarray  # (N, F) float32
    train_labels: np.ndarray  # (N,) int
    validation: np.ndarray  # (M, F) float32; M may be 0
    validation_labels: np.ndarray  # (M,) int
    classes: int  # K: labels are 0 to K - 1
    seed: int = 0
    compared: tuple[Pooled, Pooled] | None = None  # of both sides, if fine-tuned: to know photos by
    everything: AllRows | None = None  # what `train` is a sample of


class HeldOut:
    """Photos that are held out, and the logits of a head of some setting for them."""

    def __init__(
        self,
        row: HeadKind,
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
                seen = Samples(sides.train[kept], sides.train_labels[kept], balanced, start)
                if len(seen.labels) >= row.fewest * sides.classes:
                    self._folds.append((row.prepare(seen), out))
            rows = [sides.train_labels[out] for _, out in self._folds]
            self._labels = np.concatenate([*rows, self._labels])
            self.words = "cross-validation, as the validation side is small"
        self.photos = len(self._labels)
        self.enough = self.photos >= LEAST
        if not self.enough:
            self.words = f"nothing: fewer than {LEAST} photos could be held out"

    def logits(self, layers: Head, value: float) -> tuple[np.ndarray, np.ndarray]:
        """Compute logits (M, K) float64, with labels (M,), of heads that did not see the photos.

        `layers` were fitted with `value` on all of train.
        """
        parts = [head_logits(solve(value), self._sides.train[out]) for solve, out in self._folds]
        return np.concatenate([*parts, head_logits(layers, self._sides.validation)]), self._labels


def deal_folds(labels: np.ndarray, seed: int, folds: int = FOLDS) -> np.ndarray:
    """Choose the fold in which each photo is held out.

    Every class is spread evenly over the folds, so what is left of it is never nothing.

    Returns:
        (N,) int; -1, never, for the only photo of a class.
    """
    rng = np.random.default_rng(seed)
    members = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    alone = np.bincount(labels)[labels] == 1
    return np.where(alone, -1, turns(labels, np.concatenate(members)) % folds)


def score_logits(
    logits: np.ndarray, labels: np.ndarray
) -> tuple[float | None, HeldOutScores | None]:
    """Score (N, K) logits of photos held out, at their best temperature.

    Returns:
        The temperature, None where photos are too few for one; and the scores, None only
        where there is no photo at all.
    """
    if not len(labels):
        return None, None
    temperature = fit_temperature(logits, labels)
    scores = score_probabilities(softmax(logits / temperature), labels)
    return temperature if len(labels) >= LEAST else None, scores


def score_probabilities(probabilities: np.ndarray, labels: np.ndarray) -> HeldOutScores:
    """Score (N, K) probabilities of photos held out; N is 1 or more."""
    truth = probabilities[np.arange(len(labels)), labels]
    right = int((probabilities.argmax(axis=1) == labels).sum())
    log_loss = float(-np.log(np.maximum(truth, 1e-15)).mean())
    return HeldOutScores(log_loss, right / len(labels), wilson(right, len(labels)))

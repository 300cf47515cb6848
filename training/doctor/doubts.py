"""Doubt labels of more photos than memory holds: sums over blocks, then answers block by block.

The model is that of suspects.py, from the same sums. Which labels are errors is decided by
cleanlab's form for large sets, which keeps a few numbers a class: by the estimated number of
errors, the least probable labels are doubted, where suspects.py goes by each pair of classes.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from models.classifier import softmax
from training.evaluation.calibrate import fit_temperature
from training.evaluation.folds import share_of
from training.features.rows import Rows
from training.heads.kinds import discriminant
from training.heads.out_of_core import class_sums
from training.heads.standardise import Standardisation

SHRINKAGE = 0.3  # of the covariance towards a sphere; best of 0.03 to 0.6 on clothing
SAMPLE = 20_000  # photos that find the temperature


class Doubt(NamedTuple):
    """A row whose label is likely wrong."""

    row: int
    chance: float  # probability of its own label
    likely: int  # the label it looks like
    likely_chance: float


class _Model(NamedTuple):
    """For each fold a model of the others, and how all of them see features."""

    scale: Standardisation
    kernels: np.ndarray  # (folds, F, K) float32
    biases: np.ndarray  # (folds, K)

    def scores(self, vectors: np.ndarray, folds: np.ndarray) -> np.ndarray:
        """Compute scores (n, K) float64 of rows by the models that did not see them."""
        scaled = self.scale.apply_to_block(vectors)
        found = np.empty((len(scaled), self.biases.shape[1]))
        for fold in np.unique(folds):
            held = folds == fold
            found[held] = scaled[held] @ self.kernels[fold] + self.biases[fold]
        return found


def doubt(vectors: Rows, labels: np.ndarray, folds: np.ndarray) -> list[Doubt]:
    """Find rows whose label is likely wrong, the least probable label first.

    Args:
        vectors: (N, F); labels: (N,) 0 to K - 1, each in two folds or more.
        folds: (N,) from 0 on.
    """
    from cleanlab.experimental.label_issues_batched import LabelInspector  # takes a moment

    model = _fit(vectors, labels, folds)
    some = share_of(labels, SAMPLE)
    temperature = fit_temperature(model.scores(vectors[some], folds[some]), labels[some])

    def answers() -> Iterator[tuple[slice, np.ndarray]]:
        for place, block in vectors.blocks():
            yield place, softmax(model.scores(block, folds[place]) / temperature)

    inspector = LabelInspector(num_class=model.biases.shape[1], verbose=False, n_jobs=1)
    for place, chances in answers():
        inspector.update_confident_thresholds(labels[place], chances)
    own, likely, likely_chance = (np.empty(len(labels), kind) for kind in ("f4", "i4", "f4"))
    for place, chances in answers():
        inspector.score_label_quality(labels[place], chances)
        here = np.arange(len(chances))
        likely[place] = chances.argmax(axis=1)
        own[place], likely_chance[place] = chances[here, labels[place]], chances.max(axis=1)
    doubted = inspector.get_label_issues()
    doubted = doubted[likely[doubted] != labels[doubted]]
    return [
        Doubt(int(i), float(own[i]), int(likely[i]), float(likely_chance[i]))
        for i in doubted[np.argsort(own[doubted], kind="stable")]
    ]


def gaussian_classes(
    sums: np.ndarray, counts: np.ndarray, scatter: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Solve for Gaussian classes that share a covariance.

    Args:
        sums: (K, F) of the rows of each class; counts: (K,) rows; scatter: (F, F), the sum of
            all rows' products.

    Returns:
        Kernel (F, K) and bias (K,) of the scores.
    """
    means, total = sums / counts[:, None], counts.sum()
    covariance = (scatter - (means * counts[:, None]).T @ means) / total
    return discriminant(means, covariance, counts / total, SHRINKAGE)


def _fit(vectors: Rows, labels: np.ndarray, folds: np.ndarray) -> _Model:
    """Fit a model for each fold from the sums of the others."""
    scale = Standardisation.of(vectors)
    classes, width, dealt = int(labels.max()) + 1, vectors.shape[1], int(folds.max()) + 1
    sums, products = np.zeros((dealt, classes, width)), np.zeros((dealt, width, width))
    for place, block in vectors.blocks():
        scaled = scale.apply_to_block(block)
        for fold in np.unique(folds[place]):
            held = folds[place] == fold
            part = scaled[held]
            sums[fold] += class_sums(part, labels[place][held], classes)
            products[fold] += part.T @ part
    counts = np.stack([np.bincount(labels[folds == f], minlength=classes) for f in range(dealt)])
    kernels, biases = [], []
    for fold in range(dealt):
        kept = np.arange(dealt) != fold
        found = gaussian_classes(sums[kept].sum(0), counts[kept].sum(0), products[kept].sum(0))
        kernels.append(found[0].astype(np.float32))
        biases.append(found[1])
    return _Model(scale, np.stack(kernels), np.stack(biases))

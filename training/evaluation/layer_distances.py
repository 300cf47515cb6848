"""Fit by how far photos lie from the classes in several layers of a fine-tuned network.

Fine-tuning pulls everything towards its classes: by its features alone, such a network calls many
foreign photos familiar. What lies near the cut has hardly been bent, but knows of textures more
than of things; which layer tells a foreign photo best depends on the collection. So some are
looked at together, from the cut to the features, by the means of their maps, which the same pass
computes. `benchmarks/unlike.py` measures it; docs/trust.md has the figures, and what was tried.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh

from models.bundle import LayerEntry, spread
from models.bundles.calibration import FamiliarityThreshold
from models.familiarity import LayerClasses, NearClasses
from training.evaluation.familiarity import (
    ENOUGH,
    LEAST,
    MISSED,
    FittedFamiliarity,
    least_of,
)
from training.evaluation.folds import turns

LAYERS = 3  # besides the features: more of them flag no more
DIRECTIONS = 128  # of each layer; 64 and 256 flag within a point of the same
SHRINKAGE = 0.1  # added to the variance of each direction, which is about 1: few photos know it
FLAT = 0.01  # of the usual spread: a channel that never varied must not count without end
FOLDS = 5


class Pooled(NamedTuple):
    """Mean maps of several layers, one after another, of some photos."""

    layers: Sequence[str]  # the last is `features`
    widths: Sequence[int]  # how many channels each has
    vectors: np.ndarray  # (N, sum of widths) float32

    def of(self, rows: Sequence[int]) -> "Pooled":
        """Return those of some photos."""
        return self._replace(vectors=self.vectors[rows])

    def parts(self) -> list[np.ndarray]:
        """Return the (N, D) vectors of each layer."""
        return np.split(self.vectors, np.cumsum(self.widths)[:-1], axis=1)


def choose_compared(layers: Sequence[LayerEntry], cut: str) -> list[str]:
    """Choose the layers to compare by: the cut, and blocks above it, evenly, but for the last.

    The mean of the last one's maps are the features.
    """
    names = [layer.name for layer in layers]
    above = layers[names.index(cut) + 1 :]
    blocks = [cut, *(layer.name for layer in above if layer.block)]
    inner = blocks[:-1] or blocks
    return [inner[place] for place in spread(len(inner), LAYERS)]


def fit_distances(
    train: Pooled,
    labels: np.ndarray,
    validation: Pooled,
    seed: int = 0,
    missed: float = MISSED,
) -> FittedFamiliarity | None:
    """Find where the classes lie in each layer, and set the threshold on photos not among them.

    Args:
        labels: (N,) int, of the training photos.
        missed: share of validation photos that may be flagged.

    Returns:
        None where there are too few photos to set a threshold.
    """
    if max(len(validation.vectors), len(labels)) < LEAST:
        return None
    fitted = [fit_layer(part, labels) for part in train.parts()]
    if len(validation.vectors) >= ENOUGH:
        pairs = zip(fitted, validation.parts(), strict=True)
        held, judged = [layer.parts(part) for layer, part in pairs], "validation"
    else:
        dealt = turns(labels, np.random.default_rng(seed).permutation(len(labels))) % FOLDS
        held, judged = [_judge_each_other(part, labels, dealt) for part in train.parts()], "train"
    layers = [weigh(layer, parts) for layer, parts in zip(fitted, held, strict=True)]
    distances = np.mean(
        [parts @ layer.weights for layer, parts in zip(layers, held, strict=True)], axis=0
    )
    least = least_of(1 / (1 + distances), missed)
    threshold = FamiliarityThreshold(
        layers=list(train.layers),
        least=least,
        missed=missed,
        set_on=judged,
        photos=len(distances),
    )
    return FittedFamiliarity(NearClasses(layers, least), threshold)


def fit_layer(vectors: np.ndarray, labels: np.ndarray) -> LayerClasses:
    """Find where the classes lie in one layer; the weights are still 1.

    Args:
        vectors: (N, D) float32; labels: (N,) int.
    """
    points = vectors.astype(np.float64)
    mean = points.mean(axis=0)
    _, which = np.unique(labels, return_inverse=True)
    within = points - class_means(points, which)[which]
    spreads = within.std(axis=0)
    scale = np.maximum(spreads, FLAT * float(np.median(spreads)) or 1.0)
    scaled, width = (points - mean) / scale, points.shape[1]
    few = min(DIRECTIONS, width)
    _, directions = eigh(scaled.T @ scaled, subset_by_index=[width - few, width - 1])
    inside = scaled @ directions
    centres = class_means(inside, which)
    rest = inside - centres[which]
    variances, axes = eigh(rest.T @ rest / len(rest))
    spreads = np.sqrt(np.maximum(variances, 0) + SHRINKAGE)
    arrays = (mean, scale, directions @ axes, spreads, centres @ axes / spreads, np.ones(2))
    return LayerClasses(*(np.ascontiguousarray(array, np.float32) for array in arrays))


def weigh(layer: LayerClasses, held: np.ndarray) -> LayerClasses:
    """Let the mean distance of photos held out be 1.

    Outside the directions, a channel counts as much as one within: by its variance.

    Args:
        held: (N, 2) of `LayerClasses.parts`.
    """
    width, few = layer.directions.shape
    inside, outside = held.mean(axis=0)
    share = (width - few) / outside if outside > 0 else 0.0
    weights = np.array([1, share]) / max(inside + share * outside, np.finfo(np.float32).tiny)
    return replace(layer, weights=weights.astype(np.float32))


def class_means(points: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Return the mean (K, D) of each class's points (N, D); which: (N,) int, 0 to K - 1."""
    sums = np.zeros((which.max() + 1, points.shape[1]))
    np.add.at(sums, which, points)
    return sums / np.bincount(which)[:, None]


def _judge_each_other(part: np.ndarray, labels: np.ndarray, dealt: np.ndarray) -> np.ndarray:
    """Return the distances (N, 2) of training photos from the classes of the other folds."""
    found = np.empty((len(part), 2), np.float32)
    for fold in np.unique(dealt):
        out = dealt == fold
        found[out] = fit_layer(part[~out], labels[~out]).parts(part[out])
    return found

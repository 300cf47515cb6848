"""Find labels that are likely wrong: a model of the other photos predicts another class.

Each photo is predicted by a model that saw neither it nor a copy of it. The model is cheap:
Gaussian classes that share one covariance, solved in one step. Which of these labels are errors
rather than hard photos is decided by confident learning (Northcutt, Jiang and Chuang 2021,
arXiv:1911.00068), with the authors' library `cleanlab`.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import threadpool_limits

from models.classifier import softmax
from training.doctor.near_copies import NearCopy
from training.features.cache import FeatureCache
from training.features.compute import Features
from training.photos.find import Photo
from training.photos.units import join_units, label_of

FOLDS = 5
FEWEST = 3  # units that a class needs: of fewer, nothing can be learnt with one held out
SHRINKAGE = 0.3  # of the covariance towards a sphere; best of 0.03 to 0.6 on clothing
SHARPNESS = np.geomspace(0.01, 100, 33)  # factors for the scores, to choose from


class Suspect(NamedTuple):
    """A photo whose label is likely wrong."""

    place: int  # of the photo in the list
    chance: float  # probability of its own label
    likely: str  # the label it looks like
    likely_chance: float


def suspects_of(features: Features, near: Sequence[NearCopy], cache: FeatureCache) -> list[Suspect]:
    """Find the suspects among these photos once; then they are kept with the features."""
    photos, digests = features.photos, features.digests
    units, _ = join_units(photos, digests, [(pair.one, pair.other) for pair in near])

    def find() -> list[Suspect]:
        return find_suspects(features.vectors, photos, digests, units)

    recipe = f"labels of {[photo.label for photo in photos]} in {units}"
    return [Suspect(*row) for row in cache.kept_rows(recipe, digests, find)]


def find_suspects(
    vectors: np.ndarray,
    photos: Sequence[Photo],
    digests: Sequence[bytes],
    units: Sequence[Sequence[int]],
) -> list[Suspect]:
    """Find photos whose label is likely wrong, the least probable label first.

    Args:
        vectors: (N, F) float32 features.
        units: copies and near copies together. Photos of no unit, and classes of fewer
            than FEWEST units, are left out.
    """
    folds = _deal_folds(photos, digests, units)
    names = sorted({photos[index].label for index in folds})
    if len(names) < 2:
        return []
    rows = np.array(sorted(folds))
    labels = np.array([names.index(photos[index].label) for index in rows])
    with threadpool_limits(1):  # two threads are slower on matrices of this size
        probabilities = predict_held_out(
            vectors[rows], labels, np.array([folds[i] for i in rows.tolist()])
        )
    from cleanlab.filter import find_label_issues  # takes a moment, brings pandas

    order = find_label_issues(
        labels,
        probabilities,
        filter_by="prune_by_noise_rate",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    likely = probabilities.argmax(axis=1)
    return [
        Suspect(
            int(rows[i]),
            float(probabilities[i, labels[i]]),
            names[likely[i]],
            float(probabilities[i, likely[i]]),
        )
        for i in order
    ]


def _deal_folds(
    photos: Sequence[Photo], digests: Sequence[bytes], units: Sequence[Sequence[int]]
) -> dict[int, int]:
    """Map photos to the folds that hold them out; a unit is in one fold, a class in several."""
    classes = defaultdict(list)
    for unit in units:
        classes[label_of(photos, digests, unit)].append(unit)
    folds: dict[int, int] = {}
    for members in classes.values():
        if len(members) >= FEWEST:
            members.sort(key=lambda unit: min(digests[index] for index in unit))
            for place, unit in enumerate(members):
                folds |= dict.fromkeys(unit, place % FOLDS)
    judged = {label for label, members in classes.items() if len(members) >= FEWEST}
    return {index: fold for index, fold in folds.items() if photos[index].label in judged}


def predict_held_out(vectors: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Predict each photo with a model of the other folds: (N, K) probabilities.

    Args:
        vectors: (N, F) float32; labels: (N,) 0 to K - 1, each in two folds or more.
        folds: (N,) from 0 on.
    """
    spread = vectors.std(axis=0)
    spread = np.where(spread > 1e-6 * np.maximum(1, np.abs(vectors).max(axis=0)), spread, np.inf)
    scaled = ((vectors - vectors.mean(axis=0)) / spread).astype(np.float32)
    members = np.eye(labels.max() + 1, dtype=np.float32)[labels]
    products = scaled.T @ scaled
    scores = np.zeros(members.shape, np.float32)
    for fold in np.unique(folds):
        held, kept = folds == fold, folds != fold
        scatter = products - scaled[held].T @ scaled[held]
        scores[held] = _gaussian_scores(scaled[kept], members[kept], scatter, scaled[held])
    return _sharpen(scores.astype(np.float64), labels)


def _gaussian_scores(
    train: np.ndarray, members: np.ndarray, scatter: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """Compute linear discriminant scores (T, K); `scatter` is train.T @ train."""
    counts = members.sum(axis=0)
    means = (members.T @ train) / counts[:, None]  # (K, F)
    covariance = (scatter - (means * counts[:, None]).T @ means) / len(train)
    level = np.trace(covariance) / len(covariance)
    covariance *= 1 - SHRINKAGE
    covariance[np.diag_indices_from(covariance)] += SHRINKAGE * level + 1e-6
    kernel = cho_solve(cho_factor(covariance, overwrite_a=True), means.T)  # (F, K)
    scores: np.ndarray = test @ kernel - (means.T * kernel).sum(0) / 2 + np.log(counts / len(train))
    return scores


def _sharpen(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Turn scores into probabilities; Gaussian scores are overconfident, so a factor is fitted."""
    rows = np.arange(len(labels))

    def loss(factor: float) -> float:
        return -float(np.log(softmax(scores * factor)[rows, labels] + 1e-12).mean())

    return softmax(scores * min(SHARPNESS, key=loss))

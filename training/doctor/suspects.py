"""Find labels that are likely wrong: a model of the other photos predicts another class.

Each photo is predicted by a model that saw neither it nor a copy of it. The model is cheap:
Gaussian classes that share one covariance, solved in one step. Which of these labels are errors
rather than hard photos is decided by confident learning (Northcutt, Jiang and Chuang 2021,
arXiv:1911.00068), with the authors' library `cleanlab`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from models.classifier import softmax
from training.doctor.near_copies import NearCopy
from training.evaluation.calibrate import fit_temperature
from training.evaluation.folds import turns
from training.features.cache import FeatureCache
from training.features.compute import Features
from training.heads.kinds import discriminant
from training.heads.standardise import Standardisation
from training.photos.listing import Photo
from training.sides.units import join_units, label_of

FOLDS = 5
FEWEST = 3  # units that a class needs: of fewer, nothing can be learnt with one held out
SHRINKAGE = 0.3  # of the covariance towards a sphere; best of 0.03 to 0.6 on clothing


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
    classes = [label_of(photos, digests, unit) for unit in units]
    order = sorted(range(len(units)), key=lambda place: min(digests[i] for i in units[place]))
    folds = turns(np.array(classes), np.array(order, int)) % FOLDS
    enough = {label for label, count in Counter(classes).items() if count >= FEWEST}
    return {
        index: fold
        for unit, label, fold in zip(units, classes, folds.tolist(), strict=True)
        for index in unit
        if label in enough and photos[index].label in enough
    }


def predict_held_out(vectors: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Predict each photo with a model of the other folds: (N, K) probabilities.

    Args:
        vectors: (N, F) float32; labels: (N,) 0 to K - 1, each in two folds or more.
        folds: (N,) from 0 on.
    """
    scaled = Standardisation.of(vectors).apply(vectors)
    members = np.eye(labels.max() + 1, dtype=np.float32)[labels]
    products = scaled.T @ scaled
    scores = np.zeros(members.shape, np.float32)
    for fold in np.unique(folds):
        held, kept = folds == fold, folds != fold
        scatter = products - scaled[held].T @ scaled[held]
        scores[held] = _gaussian_scores(scaled[kept], members[kept], scatter, scaled[held])
    exact = scores.astype(np.float64)  # Gaussian scores are overconfident
    return softmax(exact / fit_temperature(exact, labels))


def _gaussian_scores(
    train: np.ndarray, members: np.ndarray, scatter: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """Compute linear discriminant scores (T, K); `scatter` is train.T @ train."""
    counts = members.sum(axis=0)
    means = (members.T @ train) / counts[:, None]  # (K, F)
    covariance = (scatter - (means * counts[:, None]).T @ means) / len(train)
    kernel, bias = discriminant(means, covariance, counts / len(train), SHRINKAGE)
    scores: np.ndarray = test @ kernel + bias
    return scores

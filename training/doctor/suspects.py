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
from training.doctor.doubts import Doubt, doubt, gaussian_classes
from training.doctor.near_copies import NearCopy
from training.evaluation.calibrate import fit_temperature
from training.evaluation.folds import turns
from training.features.cache import FeatureCache
from training.features.compute import Features
from training.features.rows import Rows
from training.heads.standardise import Standardisation
from training.photos.listing import Photo
from training.sides.units import join_units, label_of

FOLDS = 5
FEWEST = 3  # units that a class needs: of fewer, nothing can be learnt with one held out


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
    vectors: np.ndarray | Rows,
    photos: Sequence[Photo],
    digests: Sequence[bytes],
    units: Sequence[Sequence[int]],
) -> list[Suspect]:
    """Find photos whose label is likely wrong, the least probable label first.

    Args:
        vectors: (N, F) float32 features. Of those in a file, memory holds a block at a time.
        units: copies and near copies together. Photos of no unit, and classes of fewer
            than FEWEST units, are left out.
    """
    folds = _deal_folds(photos, digests, units)
    rows = np.flatnonzero(folds >= 0)
    labelled = [photos[index].label for index in rows.tolist()]
    names = sorted(set(labelled))
    if len(names) < 2:
        return []
    number = {name: place for place, name in enumerate(names)}
    labels = np.array([number[label] for label in labelled])
    if isinstance(vectors, Rows):
        found = doubt(vectors.select(rows), labels, folds[rows])
    else:
        with threadpool_limits(1):  # two threads are slower on matrices of this size
            probabilities = predict_held_out(vectors[rows], labels, folds[rows])
        found = _doubt_all(probabilities, labels)
    return [
        Suspect(int(rows[each.row]), each.chance, names[each.likely], each.likely_chance)
        for each in found
    ]


def _doubt_all(probabilities: np.ndarray, labels: np.ndarray) -> list[Doubt]:
    """Return the doubted rows of (N, K) probabilities, the least probable label first."""
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
        Doubt(
            int(i),
            float(probabilities[i, labels[i]]),
            int(likely[i]),
            float(probabilities[i, likely[i]]),
        )
        for i in order
    ]


def _deal_folds(
    photos: Sequence[Photo], digests: Sequence[bytes], units: Sequence[Sequence[int]]
) -> np.ndarray:
    """Return the fold that holds each photo out; a unit is in one fold, a class in several.

    Returns:
        (N,) int8; -1 for a photo that takes no part.
    """
    classes = [label_of(photos, digests, unit) for unit in units]
    order = sorted(range(len(units)), key=lambda place: min(digests[i] for i in units[place]))
    dealt = turns(np.unique(classes, return_inverse=True)[1], np.array(order, int)) % FOLDS
    enough = {label for label, count in Counter(classes).items() if count >= FEWEST}
    folds = np.full(len(photos), -1, np.int8)
    for unit, label, fold in zip(units, classes, dealt.tolist(), strict=True):
        if label in enough:
            folds[[index for index in unit if photos[index].label in enough]] = fold
    return folds


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
        sums = members[kept].T @ scaled[kept]
        kernel, bias = gaussian_classes(sums, members[kept].sum(axis=0), scatter)
        scores[held] = scaled[held] @ kernel + bias
    exact = scores.astype(np.float64)  # Gaussian scores are overconfident
    return softmax(exact / fit_temperature(exact, labels))

"""Fit what `models/familiarity.py` compares photos with: the features of training photos.

For a frozen backbone; `layer_distances.py` is for a fine-tuned one. The score was chosen on the
clothing photos, each candidate with a threshold that 3 % of the validation photos miss. On noise,
digits, pages of text and flat colours the k nearest neighbours flag every photo; Mahalanobis
distance on raw features misses 6 % of the digits and most flat colours, ViM the flat colours,
energy and the largest probability nearly everything.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import eigh

from models.bundles.calibration import FamiliarityThreshold
from models.familiarity import FILE, Familiarity, NearPhotos, nearest, place
from training.evaluation.folds import turns
from training.evaluation.intervals import share_interval

NEIGHBOURS = 5
DIRECTIONS = 128  # all 1,280 take twenty times as long and flag the same photos
PHOTOS = 4000  # kept of the training side: 2 MB, 0.1 ms a photo
MISSED = 0.03  # share of validation photos that may be flagged as unlike the training photos
ENOUGH = 50  # validation photos; else the training photos themselves set the threshold
LEAST = 10  # photos without which no threshold is set


@dataclass(frozen=True)
class FittedFamiliarity:
    """The arrays to compare with, and the manifest's `thresholds`."""

    familiarity: Familiarity
    threshold: FamiliarityThreshold

    def write(self, folder: Path) -> None:
        """Write the arrays into a bundle."""
        arrays: dict[str, Any] = self.familiarity.arrays()
        np.savez(folder / FILE, allow_pickle=False, **arrays)


def fit_familiarity(
    train: np.ndarray,
    labels: np.ndarray,
    validation: np.ndarray,
    seed: int = 0,
    missed: float = MISSED,
) -> FittedFamiliarity | None:
    """Keep features of training photos, and set the threshold on photos not among them.

    Args:
        train, validation: (N, F) float32 features; labels: (N,) int, of the training photos.
        missed: share of validation photos that may be flagged.

    Returns:
        None where there are too few photos to set a threshold.
    """
    if max(len(validation), len(train)) < LEAST:
        return None
    kept = train[_pick(labels, PHOTOS, seed)]
    everything = np.eye(train.shape[1], dtype=np.float32)
    directions = everything
    if train.shape[1] > DIRECTIONS:
        unit = place(kept, everything)
        first = train.shape[1] - DIRECTIONS
        _, directions = eigh(unit.T @ unit, subset_by_index=[first, train.shape[1] - 1])
    directions = np.ascontiguousarray(directions, np.float32)
    photos = place(kept, directions).astype(np.float32)
    neighbours = int(min(NEIGHBOURS, np.median(np.unique(labels, return_counts=True)[1])))
    if len(validation) >= ENOUGH:
        scores = NearPhotos(directions, photos, neighbours, 0.0).score(validation)
        judged = "validation"
    else:  # each training photo by the others: near copies make this stricter
        cosines = photos @ photos.T
        np.fill_diagonal(cosines, -np.inf)
        neighbours = min(neighbours, len(photos) - 1)
        scores, judged = nearest(cosines, neighbours), "train"
    least = least_of(scores, missed)
    threshold = FamiliarityThreshold(
        neighbours=neighbours, least=least, missed=missed, set_on=judged, photos=len(scores)
    )
    return FittedFamiliarity(NearPhotos(directions, photos, neighbours, least), threshold)


def least_of(scores: np.ndarray, missed: float) -> float:
    """Find the familiarity from which on a photo is like those of training.

    Args:
        scores: (N,) of photos held out, N 1 or more; missed: share that may lie below.
    """
    rank = max(0, int(missed * (len(scores) + 1)) - 1)
    return float(np.sort(scores)[rank])


def measure_familiarity(
    scores: np.ndarray, least: float, units: np.ndarray | None = None
) -> dict[str, Any]:
    """Measure which share of test photos is recognised as like the training photos.

    Args:
        scores: (N,) familiarity; least: the threshold; units: as in `evaluate.measure`.
    """
    known = scores >= least
    return {
        "like_training": float(known.mean()),
        "like_training_interval": share_interval(
            known, np.arange(len(scores)) if units is None else units
        ),
        "median_familiarity": float(np.median(scores)),
    }


def _pick(labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Choose up to `most` rows, the classes in turn, so that small classes stay whole."""
    order = np.random.default_rng(seed).permutation(len(labels))
    turn = turns(labels, order)
    return np.sort(order[np.argsort(turn[order], kind="stable")[:most]])

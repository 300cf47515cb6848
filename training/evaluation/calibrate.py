"""Calibrate probabilities, and choose the classes of prediction sets.

Both are fitted on logits of photos that the head did not see in training. One number, the
temperature, divides all logits (Guo et al. 2017, arXiv:1706.04599); it is folded into the last
layer, so the saved network gives calibrated probabilities by itself. A second number is how
probable a class must be to belong to a photo's prediction set (split conformal prediction,
least ambiguous sets: Sadinle et al. 2019, arXiv:1609.00451): the sets hold the truth for the
chosen share of photos, whatever the network, as long as photos come from where these did.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from scipy.optimize import brentq

from models.building.head import DenseLayer, Head
from models.bundles.calibration import CalibrationFacts, PredictionSet
from models.classifier import softmax
from training.evaluation.calibration_error import BINS, bin_of, calibration_error
from training.evaluation.intervals import coverage_interval, share_interval
from training.settings.config import FitConfig

PRIOR = 1.0  # spread of log temperature that is expected: decides only where photos are few
AT_ONCE = 1024  # rows of logits: half the time of all at once, where there are many
LOG_RANGE = 12.0  # searched on both sides of 1: cosines need 0.03, squared distances 100


@dataclass(frozen=True)
class Calibration:
    """A head with its temperature folded in, and what goes into the manifest."""

    layers: Head
    calibration: CalibrationFacts
    prediction_set: PredictionSet | None  # goes into `thresholds`; None: photos are too few


def calibrate(
    head: Head, logits: np.ndarray, labels: np.ndarray, coverage: float = FitConfig.coverage
) -> Calibration:
    """Fit temperature and prediction sets on photos that were not trained on.

    Args:
        head: as it was trained; its last layer is a linear DenseLayer.
        logits: (N, K) of such a head for photos it did not see: those of validation, or of
            cross-fitting, or both. labels: (N,) int. N may be 0.
        coverage: share of photos whose set is to hold the truth.
    """
    temperature = fit_temperature(logits, labels) if len(labels) else 1.0
    probabilities = softmax(logits / temperature)
    least = least_probability(probabilities, labels, coverage)
    chosen = None if least is None else PredictionSet(coverage=coverage, least_probability=least)
    facts = CalibrationFacts(
        method="temperature",
        temperature=temperature,
        photos=len(labels),
        coverage_interval=coverage_interval(coverage, len(labels)) if chosen else None,
    )
    return Calibration(scale_head(head, temperature), facts, chosen)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Find the number to divide logits by: where the log loss has no slope (Brent 1973).

    A weak prior on its logarithm, worth less than one photo, keeps it finite where every
    answer is right. Scores on another scale than logits are first brought to a spread of 1.

    Args:
        logits: (N, K), or any scores; labels: (N,) int; N is 1 or more.
    """
    spread = float((logits - logits.mean(axis=1, keepdims=True)).std()) or 1.0
    scores = logits.astype(np.float64) / spread
    truth = scores[np.arange(len(labels)), labels].sum()
    parts = np.array_split(scores, -(-len(scores) // AT_ONCE))

    @cache
    def slope(log_sharpness: float) -> float:
        sharpness = math.exp(log_sharpness)
        expected = sum((softmax(part * sharpness) * part).sum() for part in parts)
        return float(sharpness * (expected - truth) + log_sharpness / (2 * PRIOR**2))

    if slope(-LOG_RANGE) >= 0:  # of very many answers nearly all are wrong
        return spread * math.exp(LOG_RANGE)
    return spread / math.exp(brentq(slope, -LOG_RANGE, LOG_RANGE, xtol=1e-6))


def calibrated_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute (N,) float64: the log loss of each photo at the temperature that suits them all.

    Args:
        logits: (N, K), or any scores; labels: (N,) int; N is 1 or more.
    """
    chances = softmax(logits.astype(np.float64) / fit_temperature(logits, labels))
    truth = chances[np.arange(len(labels)), labels]
    losses: np.ndarray = -np.log(np.maximum(truth, np.finfo(np.float64).tiny))
    return losses


def scale_head(head: Head, temperature: float) -> Head:
    """Return the same head with its logits divided by `temperature`."""
    *hidden, last = head
    if not isinstance(last, DenseLayer):
        raise TypeError("the last layer of a head is a DenseLayer: its outputs are the logits")
    kernel = (last.kernel.astype(np.float64) / temperature).astype(np.float32)
    bias = (last.bias.astype(np.float64) / temperature).astype(np.float32)
    return [*hidden, replace(last, kernel=kernel, bias=bias)]


def least_probability(
    probabilities: np.ndarray, labels: np.ndarray, coverage: float
) -> float | None:
    """Find the least probability of a class in a prediction set; None: too few photos.

    It is what the true class reaches on the chosen share of photos, with one more photo
    counted as missed: then the coverage holds for the next photo, not for these alone.
    """
    truth = np.sort(probabilities[np.arange(len(labels)), labels])[::-1]
    rank = math.ceil((len(truth) + 1) * coverage)  # 9 photos are the fewest for 0.9
    return float(truth[rank - 1]) if rank <= len(truth) else None


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, units: np.ndarray | None = None
) -> dict[str, Any]:
    """Compare the network's confidence with how often it is right.

    Args:
        probabilities: (N, K); labels: (N,) int; units: as in `evaluate.measure`.

    Returns:
        `bins`: for each with photos `low`, `high`, `photos`, the mean `confidence` in the
        predicted class, and the `accuracy` with its 95 % interval; `expected_calibration_error`:
        the mean distance of the two, by photos; its `error_interval`, and the `error_by_chance`
        that a network without error would stay below (see `calibration_error`).
    """
    units = np.arange(len(labels)) if units is None else units
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place, bins = bin_of(confidence), []
    for number in range(BINS):
        here = place == number
        photos, hits = int(here.sum()), int(right[here].sum())
        if photos:
            mean = float(confidence[here].mean())
            bins.append({
                "low": number / BINS, "high": (number + 1) / BINS, "photos": photos,
                "confidence": mean, "accuracy": hits / photos,
                "accuracy_interval": share_interval(right[here], units[here]),
            })  # fmt: skip
    found = calibration_error(confidence, right, units)
    return {
        "expected_calibration_error": found.error,
        "error_interval": found.interval,
        "error_by_chance": found.by_chance,
        "bins": bins,
    }


def measure_sets(
    probabilities: np.ndarray,
    labels: np.ndarray,
    prediction_set: PredictionSet,
    units: np.ndarray | None = None,
) -> dict[str, Any]:
    """Measure prediction sets on other photos: how many hold the truth, and their size.

    Args:
        probabilities: (N, K); labels: (N,) int; units: as in `evaluate.measure`.
    """
    units = np.arange(len(labels)) if units is None else units
    member = probabilities >= prediction_set.least_probability
    member[np.arange(len(labels)), probabilities.argmax(axis=1)] = True  # never empty
    held = member[np.arange(len(labels)), labels]
    sizes = member.sum(axis=1)
    return {
        "promised": prediction_set.coverage,
        "coverage": float(held.mean()),
        "coverage_interval": share_interval(held, units),
        "mean_size": float(sizes.mean()),
        "one_class": float((sizes == 1).mean()),
    }


def both(*parts: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Join several pairs of logits and labels."""
    pairs: Sequence[tuple[np.ndarray, np.ndarray]] = parts
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])

"""From a fitted head to one that can be believed: all that `fit` adds to a bundle for it.

Calibration and prediction sets are fitted on the validation photos and, for the heads of
`linear_heads`, on cross-fitted logits of the training photos: ten times as many, so that a set
that promises 90 % does not miss by luck (coverage on the clothing test: 0.911; by the
validation side alone 0.930). The validation side chose the head's setting too; on seven splits
of the clothing photos that did not move the coverage.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.building.head import Head
from training.evaluation.calibrate import (
    COVERAGE,
    both,
    calibrate,
    measure_sets,
    reliability,
    scale_head,
)
from training.evaluation.familiarity import FittedFamiliarity, fit_familiarity, measure_familiarity
from training.heads.fit import FittedHead, cross_logits
from training.heads.forward import apply_head


@dataclass(frozen=True)
class Belief:
    """A calibrated head, and what the bundle says about how far to believe it."""

    layers: Head  # the temperature is folded in: these go into the network
    calibration: dict[str, Any]  # the manifest's field
    thresholds: dict[str, Any]  # the manifest's field
    familiarity: FittedFamiliarity | None
    uncalibrated: Head  # with its scores as they were: no temperature at all

    def write(self, folder: Path) -> None:
        """Write what is no JSON into the bundle."""
        if self.familiarity:
            self.familiarity.write(folder)

    def measured(self, features: np.ndarray, labels: np.ndarray) -> "Belief":
        """The same, `calibration` with what it did on test photos: (N, F) features, (N,) labels."""
        after = apply_head(self.layers, features)
        facts = {
            "before": reliability(apply_head(self.uncalibrated, features), labels),
            "after": reliability(after, labels),
        }
        sets, known = self.thresholds.get("prediction_set"), self.familiarity
        if sets:
            facts["prediction_sets"] = measure_sets(after, labels, sets)
        if known:
            scores = known.familiarity.score(features)
            facts["familiarity"] = measure_familiarity(scores, known.familiarity.least)
        calibration = self.calibration | {"test": facts}
        return Belief(
            self.layers, calibration, self.thresholds, self.familiarity, self.uncalibrated
        )


def believe(
    head: FittedHead,
    train: np.ndarray,
    train_labels: np.ndarray,
    validation: np.ndarray,
    validation_labels: np.ndarray,
    seed: int = 0,
    coverage: float = COVERAGE,
) -> Belief:
    """Calibrate a head, and learn what its training photos look like.

    Args:
        train, validation: (N, F) float32 features; validation may have no rows.
        train_labels, validation_labels: (N,) int, 0 to K - 1.
        coverage: share of photos whose prediction set is to hold the truth.

    Raises:
        SettingError: a coverage out of its range.
    """
    held = both(
        cross_logits(head, train, train_labels, seed),
        (head.logits(validation), validation_labels),
    )
    fitted = calibrate(head.layers, *held, coverage)
    familiarity = fit_familiarity(train, train_labels, validation, seed)
    thresholds: dict[str, Any] = {}
    if fitted.prediction_set:
        thresholds["prediction_set"] = fitted.prediction_set
    if familiarity:
        thresholds["familiarity"] = familiarity.threshold
    first = head.settings.get("temperature", 1.0)  # of scores that are no logits: `fit_head`
    calibration = fitted.calibration | {"temperature": first * fitted.calibration["temperature"]}
    raw = scale_head(head.layers, 1 / first)
    return Belief(fitted.layers, calibration, thresholds, familiarity, raw)

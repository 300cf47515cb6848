"""From a fitted head to one whose answers can be relied on: temperature, sets, familiarity.

Calibration and prediction sets are fitted on the validation photos and, for the heads of
`KINDS`, on cross-fitted logits of the training photos: ten times as many, so that a set
that promises 90 % does not miss by luck (coverage on the clothing test: 0.911; by the
validation side alone 0.930). The validation side chose the head's setting too; on seven splits
of the clothing photos that did not move the coverage.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from models.building.head import Head
from models.bundles.calibration import CalibrationFacts, CalibrationTest, Thresholds
from training.evaluation.calibrate import both, calibrate, measure_sets, reliability
from training.evaluation.familiarity import FittedFamiliarity, fit_familiarity, measure_familiarity
from training.evaluation.layer_distances import fit_distances
from training.features.rows import Rows, blocks_of
from training.heads.fit import cross_logits
from training.heads.fitted_head import FittedHead
from training.heads.forward import apply_head
from training.heads.held_out import Sides
from training.settings.config import FitConfig

ENOUGH = 5000  # validation photos that calibrate by themselves a head of very many photos


@dataclass(frozen=True)
class CalibratedHead:
    """A head that gives calibrated probabilities, and how far they can be relied on."""

    layers: Head  # the temperature is folded in: these go into the network
    calibration: CalibrationFacts
    thresholds: Thresholds
    familiarity: FittedFamiliarity | None
    uncalibrated: Head  # with its scores as they were: divided by no temperature

    def write(self, folder: Path) -> None:
        """Write the arrays, which are no JSON, into the bundle."""
        if self.familiarity:
            self.familiarity.write(folder)

    def measured(
        self,
        features: np.ndarray | Rows,
        labels: np.ndarray,
        units: np.ndarray | None = None,
        pooled: np.ndarray | None = None,
    ) -> "CalibratedHead":
        """Add to `calibration` how the head does on test photos.

        Args:
            features: (N, F); labels: (N,) int; units: as in `evaluate.measure`.
            pooled: (N, D) mean maps, where familiarity goes by these.
        """
        after = apply_head(self.layers, features)
        facts = {
            "before": reliability(apply_head(self.uncalibrated, features), labels, units),
            "after": reliability(after, labels, units),
        }
        sets, known = self.thresholds.prediction_set, self.familiarity
        if sets:
            facts["prediction_sets"] = measure_sets(after, labels, sets, units)
        if known:
            vectors = features if pooled is None else pooled
            scores = np.concatenate(
                [known.familiarity.score(block) for _, block in blocks_of(vectors)]
            )
            facts["familiarity"] = measure_familiarity(scores, known.familiarity.least, units)
        test = CalibrationTest.model_validate(facts)
        return replace(self, calibration=self.calibration.model_copy(update={"test": test}))


def calibrate_head(
    head: FittedHead, sides: Sides, coverage: float = FitConfig.coverage
) -> CalibratedHead:
    """Calibrate a head, and remember what its training photos look like.

    Args:
        coverage: share of photos whose prediction set is to hold the truth.
    """
    held = head.logits(sides.validation), sides.validation_labels
    if sides.everything is None or len(sides.validation_labels) < ENOUGH:
        held = both(cross_logits(head, sides), held)
    fitted = calibrate(head.layers, *held, coverage)
    labels, seed = sides.train_labels, sides.seed
    if sides.compared:
        train, validation = sides.compared
        familiarity = fit_distances(train, labels, validation, seed)
    else:
        familiarity = fit_familiarity(sides.train, labels, sides.validation, seed)
    thresholds = Thresholds(
        prediction_set=fitted.prediction_set,
        familiarity=familiarity.threshold if familiarity else None,
    )
    temperature = head.record.temperature * fitted.calibration.temperature  # of all divisions
    return CalibratedHead(
        layers=fitted.layers,
        calibration=fitted.calibration.model_copy(update={"temperature": temperature}),
        thresholds=thresholds,
        familiarity=familiarity,
        uncalibrated=head.undivided.layers,
    )

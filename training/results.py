"""The results of a run: its data, what was trained on them, and how good it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from training.doctor.examine import Checkup
from training.evaluation.evaluate import measure
from training.evaluation.folds import share_of
from training.evaluation.layer_distances import Pooled
from training.features.backbone import Compiled
from training.features.compute import Features
from training.features.rows import Rows, rows_in_memory
from training.heads.calibrated_head import CalibratedHead, calibrate_head
from training.heads.fitted_head import FittedHead
from training.heads.forward import apply_head
from training.heads.held_out import AllRows, Sides
from training.photos.listing import Skipped
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.sides.split import Split

SAMPLE = 32_768  # photos of a side that choose a head, where not all fit into memory

if TYPE_CHECKING:
    from training.fine_tuning.fine_tune import Tuned  # needs Keras, which most runs do not


@dataclass(frozen=True)
class Dataset:
    """Photos, their features, and the side each stands on."""

    features: Features
    split: Split
    known: dict[bytes, str]  # sides that an earlier bundle recorded
    class_names: list[str]
    labels: np.ndarray  # (N,) class index of each photo
    units: np.ndarray  # (N,) int, equal for copies, near copies and photos of one group
    skipped: list[Skipped]
    checkup: Checkup | None  # what the data doctor found
    remembered: list[int]  # training photos that new ones are compared with
    pooled: Pooled | None = None  # mean maps of a fine-tuned network's layers, to compare by

    def side(self, name: str) -> tuple[np.ndarray | Rows, np.ndarray]:
        """Return (n, F) float32 features and (n,) int labels of train, validation or test."""
        return self.some(getattr(self.split, name))

    def some(self, rows: Sequence[int]) -> tuple[np.ndarray | Rows, np.ndarray]:
        """Return features and labels of some photos, likewise; unread where they are in a file."""
        vectors = self.features.vectors
        chosen = vectors.select(rows) if isinstance(vectors, Rows) else vectors[rows]
        return chosen, self.labels[rows]

    def sides(self, seed: int) -> Sides:
        """Return what a head is trained on and judged by."""
        return self._sides(self.split.train, seed)

    def remembered_sides(self, seed: int) -> Sides:
        """Return the same with the remembered training photos only."""
        return self._sides(self.remembered, seed)

    def _sides(self, rows: list[int], seed: int) -> Sides:
        held, pooled, everything = self.split.validation, self.pooled, None
        train, train_labels = self.some(rows)
        if isinstance(train, Rows):
            everything = AllRows(train, train_labels, seed)
            rows, held = (self._sample(side, seed) for side in (rows, held))
        return Sides(
            train=self.features.vectors[rows],
            train_labels=self.labels[rows],
            validation=self.features.vectors[held],
            validation_labels=self.labels[held],
            classes=len(self.class_names),
            seed=seed,
            compared=(pooled.of(rows), pooled.of(held)) if pooled else None,
            everything=everything,
        )

    def _sample(self, rows: list[int], seed: int) -> list[int]:
        """Choose some of these photos, of each class the same share."""
        most = min(SAMPLE, rows_in_memory(self.features.vectors.shape[1]))
        chosen: list[int] = np.asarray(rows)[share_of(self.labels[rows], most, seed)].tolist()
        return chosen


@dataclass(frozen=True)
class Searched:
    """The outcome of a search for hyperparameters."""

    summary: dict[str, Any]  # for the manifest
    files: dict[str, bytes]  # for the bundle's folder `search`: trials.json and pictures

    @property
    def verdict(self) -> str:
        """The outcome in one paragraph, for people."""
        return str(self.summary["verdict"])


@dataclass(frozen=True)
class Trained:
    """All that the bundle and the report are written from."""

    compiled: Compiled
    data: Dataset
    head: FittedHead
    calibrated: CalibratedHead
    probabilities: np.ndarray  # (T, K) of the test photos
    metrics: dict[str, Any]
    tuned: "Tuned | None" = None  # how the upper blocks were trained
    searched: Searched | None = None  # how the head was found


def measure_head(
    compiled: Compiled, data: Dataset, head: FittedHead, config: FitConfig, stages: Stages
) -> Trained:
    """Calibrate a head on the validation photos, then measure it on the test photos."""
    with stages.stage("calibrate and measure"):
        test, labels = data.side("test")
        units = data.units[data.split.test]
        calibrated = calibrate_head(head, data.remembered_sides(config.seed), config.coverage)
        pooled = data.pooled.vectors[data.split.test] if data.pooled else None
        calibrated = calibrated.measured(test, labels, units, pooled)
        probabilities = apply_head(calibrated.layers, test)
        metrics = measure(probabilities, labels, data.class_names, units)
    return Trained(compiled, data, head, calibrated, probabilities, metrics)

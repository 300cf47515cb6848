"""What a run came to: its data, what was trained on them, and how good it is."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.doctor.examine import Checkup
from training.evaluation.evaluate import measure
from training.features.backbone import Compiled
from training.features.compute import Features
from training.heads.calibrated_head import Belief, believe
from training.heads.fit import FittedHead
from training.heads.forward import apply_head
from training.heads.held_out import Sides
from training.photos.find import Skipped
from training.photos.split import Split
from training.settings.config import FitConfig
from training.settings.console import Stages


@dataclass(frozen=True)
class Dataset:
    """Photos, their features, and the side each stands on."""

    features: Features
    split: Split
    known: dict[bytes, str]  # sides that an earlier bundle recorded
    class_names: list[str]
    labels: np.ndarray  # (N,) class index of each photo
    skipped: list[Skipped]
    checkup: Checkup | None  # what the data doctor found
    remembered: list[int]  # training photos that new ones are compared with

    def side(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return (n, F) float32 features and (n,) int labels of train, validation or test."""
        return self.some(getattr(self.split, name))

    def some(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Return features and labels of some photos, likewise."""
        return self.features.vectors[rows], self.labels[rows]

    def sides(self, seed: int) -> Sides:
        """Return what a head is trained on and judged by."""
        return Sides(*self.side("train"), *self.side("validation"), seed)


@dataclass(frozen=True)
class Searched:
    """The outcome of a search for hyperparameters."""

    summary: dict[str, Any]  # for the manifest
    files: dict[str, bytes]  # for the bundle's folder `search`: trials.json and pictures

    @property
    def verdict(self) -> str:
        """One paragraph for people."""
        return str(self.summary["verdict"])


@dataclass(frozen=True)
class Trained:
    """All that the bundle and the report are written from."""

    compiled: Compiled
    data: Dataset
    head: FittedHead
    belief: Belief
    probabilities: np.ndarray  # (T, K) of the test photos
    metrics: dict[str, Any]
    tuned: dict[str, Any] | None = None  # how the upper blocks were trained
    searched: Searched | None = None  # how the head was found


def measure_head(
    compiled: Compiled, data: Dataset, head: FittedHead, config: FitConfig, stages: Stages
) -> Trained:
    """Calibrate a head on the validation photos, then measure it on the test photos."""
    with stages.stage("calibrate and measure"):
        test, labels = data.side("test")
        remembered, validation = data.some(data.remembered), data.side("validation")
        belief = believe(head, *remembered, *validation, config.seed, config.coverage)
        belief = belief.measured(test, labels)
        probabilities = apply_head(belief.layers, test)
        metrics = measure(probabilities, labels, data.class_names)
    return Trained(compiled, data, head, belief, probabilities, metrics)

"""A fitted head: its layers, and the record of how it was found.

The record goes into the manifest as `head`. Whatever divides the scores of a head by a
temperature goes through `FittedHead.divided_by`, so the record always holds the product.
"""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np

from models.building.head import DenseLayer, Head
from training.evaluation.calibrate import scale_head
from training.features.rows import Rows
from training.heads.forward import apply_head, head_logits
from training.optimisation.epochs import Curves, RateSearch
from training.settings.hyperparameters import HiddenLayers, Hyperparameters


@dataclass(frozen=True)
class HeldOutScores:
    """How well a head does on photos it did not see."""

    validation_log_loss: float
    validation_accuracy: float
    validation_accuracy_interval: list[float]  # of 95 %


def scores_as_json(scores: HeldOutScores | None) -> dict[str, Any]:
    """Plain types, for the manifest; each None where no photo was held out."""
    return asdict(scores) if scores else dict.fromkeys(f.name for f in fields(HeldOutScores))


@dataclass(frozen=True)
class Attempt:
    """One value of a kind's setting, and how the head did with it."""

    setting: dict[str, float]  # by its name, such as C; empty where the kind has none
    scores: HeldOutScores | None  # None: no photo was held out

    def as_json(self) -> dict[str, Any]:
        """Plain types, for the manifest."""
        return self.setting | scores_as_json(self.scores)


@dataclass(frozen=True)
class NeuralRecord:
    """How a neural head was trained."""

    shape: HiddenLayers
    hyperparameters: Hyperparameters
    curves: Curves
    rate_search: RateSearch | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain types, for the manifest."""
        found = {
            "hidden": list(self.shape.widths),
            "activation": self.shape.activation,
            "descent": asdict(self.hyperparameters),
            "epochs": len(self.curves.epochs),
            "stopped": self.curves.stopped,
            "curves": self.curves.as_json(),
        }
        return found | ({"rate_search": self.rate_search.as_json()} if self.rate_search else {})


@dataclass(frozen=True)
class HeadRecord:
    """How a head was found."""

    kind: str  # of `KINDS`, or neural, or fine-tuned
    name: str  # the kind in words
    scores: HeldOutScores | None = None  # None: no photo was held out
    judged_by: str = ""  # where the scores come from, in words
    judged_photos: int = 0
    setting: dict[str, float] = field(default_factory=dict)  # that was chosen; see `Attempt`
    temperature: float = 1.0  # what the scores of the layers have been divided by
    balanced: bool = False  # whether every class counted the same, however few its photos
    attempts: tuple[Attempt, ...] = ()  # what the setting was chosen from
    table: tuple[dict[str, Any], ...] = ()  # the kinds it was chosen from
    neural: NeuralRecord | None = None
    before: "HeadRecord | None" = None  # of the head that fine-tuning began with

    @property
    def trained(self) -> "HeadRecord":
        """The record of the head as it was trained on features, before any fine-tuning."""
        return self.before.trained if self.before else self

    def as_json(self) -> dict[str, Any]:
        """Plain types, for the manifest."""
        found: dict[str, Any] = {"kind": self.kind, "name": self.name}
        if self.before:
            return found | {"from": self.before.as_json()}
        found |= self.setting | (self.neural.as_json() if self.neural else {})
        found |= scores_as_json(self.scores)
        found |= {"temperature": self.temperature, "balanced": self.balanced}
        found |= {"judged_by": self.judged_by, "judged_photos": self.judged_photos}
        if self.attempts:
            found["tried"] = [attempt.as_json() for attempt in self.attempts]
        return found | ({"table": list(self.table)} if self.table else {})


@dataclass(frozen=True)
class FittedHead:
    """A head and its record."""

    layers: Head
    record: HeadRecord

    @property
    def last(self) -> DenseLayer:
        """The layer whose outputs are the logits."""
        layer = self.layers[-1]
        if not isinstance(layer, DenseLayer):
            raise TypeError("a head ends with a DenseLayer: its outputs are the logits")
        return layer

    def logits(self, features: np.ndarray | Rows) -> np.ndarray:
        """Compute logits (N, K) float64 for (N, F) features."""
        return head_logits(self.layers, features)

    def probabilities(self, features: np.ndarray | Rows) -> np.ndarray:
        """Compute probabilities (N, K) float64 for (N, F) features; each row sums to 1."""
        return apply_head(self.layers, features)

    def divided_by(self, temperature: float) -> "FittedHead":
        """Divide all logits by `temperature`, and record it."""
        record = replace(self.record, temperature=self.record.temperature * temperature)
        return FittedHead(scale_head(self.layers, temperature), record)

    @property
    def undivided(self) -> "FittedHead":
        """The head with its scores as they were: divided by no temperature."""
        return self.divided_by(1 / self.record.temperature)

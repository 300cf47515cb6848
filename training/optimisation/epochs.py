"""The record of a training run, epoch by epoch. No Keras: reports read it too."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Epoch:
    """Loss and accuracy of one pass over the training photos."""

    loss: float  # as it was minimised: with label smoothing, mixup and dropout
    accuracy: float  # of the same answers
    validation_loss: float  # log loss
    validation_accuracy: float
    rate: float  # learning rate of the last step
    calibrated_loss: float | None = None  # validation log loss at its best temperature

    @property
    def judged(self) -> float:
        """The loss that epochs are chosen by: at the best temperature, as the network is saved."""
        return self.validation_loss if self.calibrated_loss is None else self.calibrated_loss


@dataclass
class Curves:
    """The epochs of a run, and which of them was kept."""

    epochs: list[Epoch] = field(default_factory=list)
    best: int = -1  # the epoch whose weights are kept; -1: those from before
    start_loss: float = math.inf  # validation log loss before training
    stopped: str = ""  # why it ended
    start_judged: float | None = None  # as `Epoch.judged`, before training

    @property
    def lowest(self) -> int:
        """The epoch that does best on validation photos; -1: the start does. Kept or not."""
        start = self.start_loss if self.start_judged is None else self.start_judged
        judged = [start, *(epoch.judged for epoch in self.epochs)]
        return judged.index(min(judged)) - 1

    @property
    def best_loss(self) -> float:
        """Validation log loss of what is kept."""
        return self.epochs[self.best].validation_loss if self.best >= 0 else self.start_loss

    @property
    def best_judged(self) -> float:
        """The loss by which it is kept; see `Epoch.judged`."""
        start = self.start_loss if self.start_judged is None else self.start_judged
        return self.epochs[self.best].judged if self.best >= 0 else start

    def as_json(self) -> dict[str, Any]:
        """Plain types, for the manifest and the checkpoint."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> "Curves":
        """Read what `as_json` gave; other keys, as a manifest has, are ignored."""
        return cls(
            epochs=[Epoch(**epoch) for epoch in facts["epochs"]],
            best=facts["best"],
            start_loss=facts["start_loss"],
            stopped=facts["stopped"],
            start_judged=facts.get("start_judged"),
        )


@dataclass(frozen=True)
class RateSearch:
    """The learning rates that were tried, and the loss at each."""

    rates: np.ndarray  # (S,) ascending
    losses: np.ndarray  # (S,) smoothed training loss
    suggested: float
    found: bool  # False: no rate lowered the loss, and the suggestion is the usual rate

    def as_json(self) -> dict[str, Any]:
        """Plain types, for the manifest."""
        curve = {"rates": self.rates.tolist(), "losses": self.losses.tolist()}
        return curve | {"suggested": self.suggested, "found": self.found}

"""What a network is trained on: inputs that are read when they are needed, and their labels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.settings.hyperparameters import Hyperparameters


@dataclass(frozen=True)
class TrainingSet:
    """Inputs and labels to train on, and those of validation that decide which epoch is kept."""

    read: Callable[[np.ndarray, int], np.ndarray]  # rows (n,), epoch -> inputs (n, ...)
    labels: np.ndarray  # (N,) int of the training photos
    read_validation: Callable[[np.ndarray], np.ndarray]  # rows (n,) -> inputs
    validation_labels: np.ndarray  # (V,) int
    classes: int
    seed: int
    mine: np.ndarray | None = None  # (N,) bool: rows of this worker's share; None: all
    validation_mine: np.ndarray | None = None  # (V,) bool, likewise

    def steps(self, batch: int) -> int:
        """Count the steps of an epoch."""
        return -(-len(self.labels) // batch)

    def photos(self, batch: int, step: int) -> int:
        """Count the photos of one step, of all workers together."""
        return min(batch, len(self.labels) - step * batch)

    def own_validation(self) -> np.ndarray:
        """List the validation rows of this worker's share."""
        rows = np.arange(len(self.validation_labels))
        return rows if self.validation_mine is None else rows[self.validation_mine]

    def batch(
        self, hyperparameters: Hyperparameters, epoch: int, step: int
    ) -> tuple[np.ndarray, ...]:
        """Draw inputs, soft labels (n, classes) and weights (n,) of one step.

        Of a batch that several workers share, each draws its own rows, and mixes those among
        themselves; where none is its own, it is one row that weighs nothing.
        """
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.labels))
        size, alpha = hyperparameters.batch, hyperparameters.mixup
        rows = order[step * size : (step + 1) * size]
        counts = np.float32(1)
        if self.mine is not None:
            rows = rows[self.mine[rows]]
            if not len(rows):
                rows, counts = np.flatnonzero(self.mine)[:1], np.float32(0)
        inputs = self.read(rows, epoch)
        targets = np.eye(self.classes, dtype=np.float32)[self.labels[rows]]
        weights = counts * self._class_weights(hyperparameters)[self.labels[rows]]
        if alpha > 0:
            rng = np.random.default_rng([self.seed, epoch, step])
            share, other = rng.beta(alpha, alpha), rng.permutation(len(rows))
            inputs = np.float32(share) * inputs + np.float32(1 - share) * inputs[other]
            targets = np.float32(share) * targets + np.float32(1 - share) * targets[other]
        return inputs, targets, weights

    def _class_weights(self, hyperparameters: Hyperparameters) -> np.ndarray:
        counts = np.bincount(self.labels, minlength=self.classes)
        if hyperparameters.class_weights == "none":
            return np.ones(self.classes, np.float32)
        return (len(self.labels) / (self.classes * np.maximum(counts, 1))).astype(np.float32)

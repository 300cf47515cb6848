"""Features standardised: mean 0 and spread 1 each, and that folded into a layer's weights."""

from dataclasses import dataclass

import numpy as np

from training.features.rows import Rows

CONSTANT = 1e-6  # of a feature's mean: a smaller spread is rounding


@dataclass(frozen=True)
class Standardisation:
    """What is subtracted from each feature, and what it is then divided by."""

    mean: np.ndarray  # (F,) float64
    spread: np.ndarray  # (F,) float64; infinite where a feature is constant, so that it is dropped

    @staticmethod
    def of(features: np.ndarray | Rows) -> "Standardisation":
        """Measure (N, F) features."""
        if isinstance(features, Rows):
            mean, spread = _measure_blocks(features)
        else:
            mean = features.mean(axis=0, dtype=np.float64)
            spread = features.std(axis=0, dtype=np.float64)
        varies = spread > CONSTANT * np.maximum(1, np.abs(mean))
        return Standardisation(mean, np.where(varies, spread, np.inf))

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Standardise (N, F) features; float32."""
        scaled: np.ndarray = ((features - self.mean) / self.spread).astype(np.float32)
        return scaled

    def fold(self, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn weights for standardised features into those for features as they are."""
        folded = kernel / self.spread[:, None]
        return folded, bias - self.mean @ folded

    def unfold(self, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Undo `fold`."""
        varies = np.isfinite(self.spread)
        kept = np.where(varies[:, None], kernel, 0)
        return kept * np.where(varies, self.spread, 0)[:, None], bias + self.mean @ kept


def _measure_blocks(features: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean and spread block by block (Chan, Golub and LeVeque 1979)."""
    count, mean, squares = 0, np.zeros(features.shape[1]), np.zeros(features.shape[1])
    for _, block in features.blocks():
        own = block.mean(axis=0, dtype=np.float64)
        apart, total = own - mean, count + len(block)
        squares += block.var(axis=0, dtype=np.float64) * len(block)
        squares += apart**2 * (count * len(block) / total)
        mean += apart * (len(block) / total)
        count = total
    return mean, np.sqrt(squares / max(1, count))

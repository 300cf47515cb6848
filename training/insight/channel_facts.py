"""Describe channels in numbers: how strongly they answer, for which class, and which are alike."""

import numpy as np

from models.runtime import Graph
from training.heads.out_of_core import class_sums

DUPLICATE = 0.95  # correlation over photos above which two channels count as one


class ChannelFacts:
    """How the channels of a layer answer, gathered while blocks of photos come in."""

    def __init__(self, channels: int, classes: int):
        """Begin without photos."""
        self._counts = np.zeros(classes, int)
        self._sums = np.zeros((classes, channels))  # of strength
        self._means = np.zeros(channels)  # sums of the means
        self._alive = np.zeros(channels, int)
        self._peak = np.full(channels, -np.inf, np.float32)

    def add(self, summaries: np.ndarray, labels: np.ndarray) -> None:
        """Gather more photos.

        Args:
            summaries: (N, C) of SUMMARY; labels: (N,) int, 0 to classes - 1.
        """
        self._counts += np.bincount(labels, minlength=len(self._counts))
        self._sums += class_sums(summaries["strength"], labels, len(self._counts))
        self._means += summaries["mean"].sum(axis=0, dtype=np.float64)
        peak = summaries["peak"].astype(np.float32)
        self._alive += (peak > 0).sum(axis=0)
        self._peak = np.maximum(self._peak, peak.max(axis=0, initial=-np.inf))

    def as_arrays(self) -> dict[str, np.ndarray]:
        """Return the facts.

        Returns:
            Each (C,): `mean` over all positions and photos; `peak`, the largest answer; `alive`,
            the share of photos with an answer above 0 somewhere; `class`, for which the channel
            is strongest, -1 where it is dead; `own` and `others`, the mean strength over that
            class and over all other photos. Strength is the mean positive answer.
        """
        counts, sums, photos = self._counts, self._sums, int(self._counts.sum())
        means = sums / np.maximum(counts, 1)[:, None]  # (K, C)
        best, own = means.argmax(axis=0), means.max(axis=0)
        rest = np.maximum(photos - counts[best], 1)
        return {
            "mean": (self._means / photos).astype(np.float32),
            "peak": self._peak,
            "alive": (self._alive / photos).astype(np.float32),
            "class": np.where(self._peak <= 0, -1, best).astype(np.int32),
            "own": own,
            "others": (sums.sum(axis=0) - own * counts[best]) / rest,
        }


def selectivity(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute how far each channel fires for one class only: (C,) float32, 0 to 1.

    (own - others) / (own + others), after Morcos et al. 2018, arXiv:1803.06959, section 2.3;
    a tenth of the layer's median `own` is added below, so that a channel that hardly ever
    answers does not count as a specialist.
    """
    total = own + others + 0.1 * np.median(own)
    share = np.where(total > 0, (own - others).clip(0) / np.where(total > 0, total, 1), 0)
    return share.astype(np.float32)


def duplicate_share(pooled: np.ndarray) -> float:
    """Return the share of channels that correlate with an earlier one above `DUPLICATE`.

    Args:
        pooled: (N, C), each channel's mean answer to each photo.
    """
    scaled = pooled - pooled.mean(axis=0)
    spread = np.linalg.norm(scaled, axis=0)
    scaled = scaled / np.where(
        spread > 0, spread, np.inf
    )  # a constant channel correlates with none
    earlier = np.triu(scaled.T @ scaled, k=1)
    return float((earlier.max(axis=0, initial=0) > DUPLICATE).mean())


def class_weights(head: Graph, mean: np.ndarray) -> np.ndarray:
    """Compute how fast each logit rises with each pooled channel, at the mean photo.

    With a linear head these are its weights.

    Args:
        head: pooled features -> logits; mean: (C,) float32, the mean features of the photos.

    Returns:
        (C, K) float32.
    """
    step = 0.1  # large enough that float32 keeps five digits of the difference
    weights = []
    for channel in range(mean.size):
        pair = np.repeat(mean[None], 2, axis=0)
        pair[:, channel] += (step, -step)
        up, down = head.run(pair, ["logits"])[0]
        weights.append((up - down) / (2 * step))
    return np.stack(weights).astype(np.float32)

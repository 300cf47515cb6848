"""Describe channels in numbers: how strongly they answer, for which class, and which are alike."""

import numpy as np

from models.runtime import Graph

DUPLICATE = 0.95  # correlation over photos above which two channels count as one


def channel_facts(summaries: np.ndarray, labels: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """Compute how the channels of a layer answer.

    Args:
        summaries: (N, C) of SUMMARY; labels: (N,) int, 0 to classes - 1.

    Returns:
        Each (C,): `mean` over all positions and photos; `peak`, the largest answer; `alive`,
        the share of photos with an answer above 0 somewhere; `class`, for which the channel
        is strongest, -1 where it is dead; `own` and `others`, the mean strength over that
        class and over all other photos. Strength is the mean positive answer.
    """
    strength = summaries["strength"].astype(np.float64)  # (N, C)
    counts = np.bincount(labels, minlength=classes)
    sums = np.zeros((classes, strength.shape[1]))
    np.add.at(sums, labels, strength)
    means = sums / np.maximum(counts, 1)[:, None]  # (K, C)
    best, own = means.argmax(axis=0), means.max(axis=0)
    rest = np.maximum(len(labels) - counts[best], 1)
    peak = summaries["peak"].astype(np.float32)
    return {
        "mean": summaries["mean"].mean(axis=0, dtype=np.float64).astype(np.float32),
        "peak": peak.max(axis=0),
        "alive": (peak > 0).mean(axis=0).astype(np.float32),
        "class": np.where(peak.max(axis=0) <= 0, -1, best).astype(np.int32),
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

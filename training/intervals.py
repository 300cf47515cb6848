"""How sure a share can be from so many photos."""

from scipy.stats import binomtest


def wilson(right: int, photos: int, confidence: float = 0.95) -> list[float]:
    """The interval [low, high] of a share (Wilson 1927); `photos` is 1 or more."""
    interval = binomtest(right, photos).proportion_ci(confidence, method="wilson")
    return [float(interval.low), float(interval.high)]

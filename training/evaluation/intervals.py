"""How sure a share, or a difference of two shares, can be from so many photos."""

import math
from statistics import NormalDist


def wilson(right: int, photos: int, confidence: float = 0.95) -> list[float]:
    """The interval [low, high] of a share (Wilson 1927); `photos` is 1 or more."""
    z, share = _deviations(confidence), right / photos
    middle = share + z**2 / (2 * photos)
    half = z * math.sqrt(share * (1 - share) / photos + z**2 / (4 * photos**2))
    low, high = ((middle + sign * half) / (1 + z**2 / photos) for sign in (-1, 1))
    return [0.0 if right == 0 else low, 1.0 if right == photos else high]


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact p-value of two classifiers being right equally often on the same photos.

    Only the photos count that one of them got right and the other wrong: were the two equally
    good, each of these would be a toss of a coin (McNemar 1947).
    """
    from scipy.stats import binomtest  # half a second, that only a comparison pays

    tosses = only_first + only_second
    return float(binomtest(only_first, tosses, 0.5).pvalue) if tosses else 1.0


def paired_difference(
    only_first: int, only_second: int, photos: int, confidence: float = 0.95
) -> list[float]:
    """The interval [low, high] of accuracy of the first less that of the second.

    Wald's with half a success added to each cell of the table (Bonett and Price 2012), which
    keeps what it promises for few photos too.
    """
    first, second = (only_first + 1) / (photos + 2), (only_second + 1) / (photos + 2)
    middle = first - second
    half = _deviations(confidence) * math.sqrt((first + second - middle**2) / (photos + 2))
    return [max(-1.0, float(middle - half)), min(1.0, float(middle + half))]


def _deviations(confidence: float) -> float:
    """Standard deviations on each side of a normal mean that hold so much of it."""
    return NormalDist().inv_cdf((1 + confidence) / 2)

"""Compute how precisely a share, or a difference of two shares, is known from some photos."""

import math
from statistics import NormalDist

import numpy as np
from scipy.special import betaincinv


def wilson(right: float, photos: int, confidence: float = 0.95) -> list[float]:
    """Return the interval [low, high] of the share right / photos (Wilson 1927).

    Args:
        right: 0 to `photos`; photos: independent ones, 1 or more.
    """
    z, share = _deviations(confidence), right / photos
    middle = share + z**2 / (2 * photos)
    half = z * math.sqrt(share * (1 - share) / photos + z**2 / (4 * photos**2))
    low, high = ((middle + sign * half) / (1 + z**2 / photos) for sign in (-1, 1))
    return [0.0 if right == 0 else low, 1.0 if right == photos else high]


def share_interval(hits: np.ndarray, units: np.ndarray) -> list[float]:
    """Return Wilson's 95 % interval of a share, as wide as the independent photos make it.

    A copy of a photo adds nothing to what is known: the share is that of all photos, the
    interval that of as many photos as there are units.

    Args:
        hits: (N,) bool, N 1 or more; units: (N,) int, equal for photos that are copies.
    """
    independent = len(np.unique(units))
    return wilson(independent * float(np.mean(hits)), independent)


def coverage_interval(coverage: float, photos: int, confidence: float = 0.95) -> list[float]:
    """Return the interval [low, high] of what a threshold, set for `coverage`, covers in truth.

    Split conformal prediction keeps its promise on the mean over all draws of the photos that
    the threshold is set on. With those of one draw, the share of further photos that it covers
    follows Beta(k, n + 1 - k) (Vovk 2012, arXiv:1209.2673; Angelopoulos & Bates 2021,
    arXiv:2107.07511, section 3.2).

    Args:
        photos: n; ceil((n + 1) * coverage), which is k, is n or less.
    """
    rank = math.ceil((photos + 1) * coverage)
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    return [float(betaincinv(rank, photos + 1 - rank, tail)) for tail in tails]


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact p-value of two classifiers being right equally often on the same photos.

    Only the photos count that one of them got right and the other wrong: were the two equally
    good, each of these would be a toss of a coin (McNemar 1947).
    """
    from scipy.stats import binomtest  # half a second, that only a comparison pays

    tosses = only_first + only_second
    return float(binomtest(only_first, tosses, 0.5).pvalue) if tosses else 1.0


def paired_difference(
    only_first: int, only_second: int, photos: int, confidence: float = 0.95
) -> list[float]:
    """Return the interval [low, high] of the first one's accuracy less the second one's.

    Wald's with half a success added to each cell of the table (Bonett and Price 2012), which
    keeps what it promises for few photos too.
    """
    first, second = (only_first + 1) / (photos + 2), (only_second + 1) / (photos + 2)
    middle = first - second
    half = _deviations(confidence) * math.sqrt((first + second - middle**2) / (photos + 2))
    return [max(-1.0, float(middle - half)), min(1.0, float(middle + half))]


def _deviations(confidence: float) -> float:
    """Return how many standard deviations around a normal mean hold this share of it."""
    return NormalDist().inv_cdf((1 + confidence) / 2)

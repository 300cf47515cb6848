"""In which arithmetic a bundle predicts: float32, or INT8 where its graph was good enough.

The graph in INT8 reads and writes whole numbers of eight bits, each layer with a scale of its
own; `training/quantise.py` decides whether a bundle gets one, and sets what belongs to it.
"""

import numpy as np

from models.bundle import Bundle
from models.bundles.calibration import Int8Facts
from models.errors import BundleError
from models.terms import GRAPHS


def has_int8(bundle: Bundle) -> bool:
    """Whether a bundle has a graph in INT8. Raises BundleError: its manifest contradicts itself."""
    facts, there = bundle.manifest.int8, GRAPHS["int8"] in bundle.manifest.files
    kept = facts is not None and facts.kept
    if kept != there:
        odd = "is not among its files" if kept else "has no numbers of its own in the manifest"
        raise BundleError(bundle.path, f"{GRAPHS['int8']} {odd}: make the bundle anew")
    return kept


def int8_of(bundle: Bundle) -> Int8Facts:
    """Return what belongs to a bundle's graph in INT8. Raises BundleError: it has none."""
    facts = bundle.manifest.int8
    if not has_int8(bundle) or facts is None:
        reason = facts.reason if facts and facts.reason else "none was made"
        raise BundleError(bundle.path, f"no {GRAPHS['int8']} to answer with: {reason}; use fp32")
    return facts


def probability_moved(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean over photos of the share of probability that stands on other classes.

    Args:
        one, other: (N, K) probabilities; half the sum of differences: 0 if equal, at most 1.
    """
    return float(np.abs(one - other).sum(axis=1).mean() / 2)

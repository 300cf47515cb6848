"""Deal photos out to folds, every class evenly."""

import numpy as np


def turns(labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Count, for each photo, the photos of its class that come before it in `order`.

    Args:
        labels: (N,) int. order: (N,) a permutation of 0 to N - 1.

    Returns:
        (N,) int; modulo a number of folds, it spreads each class evenly over them.
    """
    found = np.empty(len(labels), int)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        found[members] = np.arange(len(members))
    return found

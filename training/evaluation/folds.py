"""Deal photos out to folds, every class evenly."""

import numpy as np


def turns(labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Count, for each photo, the photos of its class that come before it in `order`.

    Args:
        labels: (N,) int. order: (N,) a permutation of 0 to N - 1.

    Returns:
        (N,) int; modulo a number of folds, it spreads each class evenly over them.
    """
    dealt = labels[order]
    by_class = np.argsort(dealt, kind="stable")  # order[by_class]: class by class, each in order
    first = np.r_[True, dealt[by_class[1:]] != dealt[by_class[:-1]]][: len(order)]
    begin = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    found = np.empty(len(labels), int)
    found[order[by_class]] = np.arange(len(order)) - begin
    return found


def share_of(labels: np.ndarray, most: int, seed: int = 0) -> np.ndarray:
    """Choose up to `most` photos, of every class the same share, of none less than one.

    Returns:
        (n,) int, ascending.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    _, which, counts = np.unique(labels, return_inverse=True, return_counts=True)
    share = turns(labels, order) / counts[which]
    chosen: np.ndarray = np.sort(order[np.argsort(share[order], kind="stable")[:most]])
    return chosen

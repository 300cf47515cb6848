"""Decide when the classes have so uneven numbers of photos that reports warn of it."""

from collections.abc import Collection

UNEVEN = 10  # times as many photos in the largest class as in the smallest


def is_uneven(counts: Collection[int]) -> bool:
    """Return whether the largest class has `UNEVEN` times the photos of the smallest, or more."""
    return bool(counts) and max(counts) >= UNEVEN * max(1, min(counts))

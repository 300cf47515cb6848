"""Measure how similar a photo is to the training photos.

A classifier names one of its classes for any photo, often with high confidence. So the photo's
features are compared with those of training photos: familiarity is the cosine to the k-th
nearest of them (Sun et al. 2022, arXiv:2204.06507). The training vectors are kept in the few
directions in which they vary; whatever a photo has outside them makes it less familiar.
`training/evaluation/familiarity.py` fits and writes the file.
"""

import numpy as np

from models.bundle import Bundle
from models.bundles.arrays import read_arrays
from models.errors import BundleError

FILE = "familiarity.npz"


class Familiarity:
    """The features of training photos, and from which cosine on a photo is like them."""

    def __init__(self, directions: np.ndarray, photos: np.ndarray, neighbours: int, least: float):
        """See that the numbers fit together.

        Args:
            directions: (F, R) float32, orthonormal; photos: (B, R) float32, training photos'
                features at unit length, in these directions.
            neighbours: k, 1 to B. least: familiarity from which on a photo is like them.

        Raises:
            ValueError: shapes that do not fit, or numbers that are not finite.
        """
        if directions.ndim != 2 or photos.ndim != 2 or photos.shape[1] != directions.shape[1]:
            raise ValueError(f"arrays of shape {directions.shape} and {photos.shape} do not fit")
        if not 1 <= neighbours <= len(photos):
            raise ValueError(f"neighbours is {neighbours}; expected 1 to {len(photos)}")
        for array in (directions, photos):
            if array.dtype.kind != "f" or not np.isfinite(array).all():
                raise ValueError("numbers that are not finite")
        self.directions, self.photos = directions, photos
        self.neighbours, self.least = neighbours, least

    def score(self, features: np.ndarray) -> np.ndarray:
        """Familiarity (N,), at most 1, of photos by their (N, F) features."""
        with np.errstate(over="ignore", invalid="ignore"):  # features so large that they overflow
            cosines = place(features, self.directions) @ self.photos.T
        return nearest(np.nan_to_num(cosines, nan=-1, posinf=-1, neginf=-1), self.neighbours)


def place(features: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Project features (N, F), at unit length, on the given directions: (N, R). Zeros stay zero."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    placed: np.ndarray = (features @ directions) / np.where(lengths > 0, lengths, 1)
    return placed


def nearest(cosines: np.ndarray, neighbours: int) -> np.ndarray:
    """Return the k-th largest cosine of each row."""
    return np.partition(cosines, -neighbours, axis=1)[:, -neighbours]


def read_familiarity(bundle: Bundle, features: int) -> Familiarity | None:
    """Read what to compare photos with from a bundle; None if it has no threshold.

    Args:
        features: how many its network has.

    Raises:
        BundleError: the file is not as expected.
    """
    known = bundle.manifest.thresholds.familiarity
    if not known:
        return None
    content = bundle.read(FILE)
    try:
        arrays = read_arrays(content, "directions", "photos")
        directions, photos = arrays["directions"], arrays["photos"]
        found = Familiarity(directions, photos, known.neighbours, known.least)
        if len(found.directions) != features:
            raise ValueError(f"{len(found.directions)} features; the network has {features}")
    except ValueError as error:
        raise BundleError(bundle.path, f"{FILE} is not as expected: {error}") from error
    return found

"""Measure how similar a photo is to the training photos.

A classifier names one of its classes for any photo, often with high confidence. So what the
network makes of the photo is compared with what it made of training photos, in one of two ways:

- With a frozen backbone, by the features alone: familiarity is the cosine to the k-th nearest
  training photo (Sun et al. 2022, arXiv:2204.06507), in the few directions in which these vary;
  whatever a photo has outside them makes it less familiar.
- Fine-tuning bends the features so that everything looks like one of the classes. Then the mean
  maps of lower layers are compared too: familiarity falls with the distance to the nearest class,
  by its covariance, summed over layers (Lee et al. 2018, arXiv:1807.03888).

`training/evaluation/familiarity.py` and `layer_distances.py` fit them and write the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Protocol

import numpy as np

from models.bundle import Bundle
from models.bundles.arrays import read_arrays
from models.bundles.calibration import FamiliarityThreshold
from models.errors import BundleError

FILE = "familiarity.npz"
BLOCK = 8192  # photos scored at once: 130 MB of cosines to 4,000 others


class Familiarity(Protocol):
    """What photos are compared with, and from which number on one is like those of training."""

    least: float

    def score(self, vectors: np.ndarray) -> np.ndarray:
        """Familiarity (N,), at most 1, of photos by what the network answers for them."""

    def arrays(self) -> dict[str, np.ndarray]:
        """All that is compared with, by name, for the file."""


class NearPhotos:
    """The features of training photos."""

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
        _check_finite(directions, photos)
        self.directions, self.photos = directions, photos
        self.neighbours, self.least = neighbours, least

    def score(self, vectors: np.ndarray) -> np.ndarray:
        """Familiarity (N,), at most 1, of photos by their (N, F) features."""
        starts = range(0, max(1, len(vectors)), BLOCK)
        return np.concatenate([self._score(vectors[start : start + BLOCK]) for start in starts])

    def _score(self, vectors: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # features so large that they overflow
            cosines = place(vectors, self.directions) @ self.photos.T
        return nearest(np.nan_to_num(cosines, nan=-1, posinf=-1, neginf=-1), self.neighbours)

    def arrays(self) -> dict[str, np.ndarray]:
        """Name the arrays for the file."""
        return {"directions": self.directions, "photos": self.photos}


@dataclass(frozen=True)
class LayerClasses:
    """Where the classes of training photos lie among the mean maps of one layer."""

    mean: np.ndarray  # (D,) float32, of all photos
    scale: np.ndarray  # (D,) spread within the classes
    directions: np.ndarray  # (D, R) orthonormal, uncorrelated within the classes
    spreads: np.ndarray  # (R,) within the classes, along these
    centres: np.ndarray  # (K, R) of the classes, in these spreads
    weights: np.ndarray  # (2,) of what lies within the directions and outside: their mean is 1

    def check(self) -> None:
        """Raise ValueError for shapes that do not fit, or numbers that are not finite."""
        arrays = [getattr(self, field.name) for field in fields(self)]
        _check_finite(*arrays)
        shapes = tuple(array.shape for array in arrays)
        wide, few = self.directions.shape if self.directions.ndim == 2 else (0, 0)
        classes = len(self.centres) if self.centres.ndim else 0
        if shapes != ((wide,), (wide,), (wide, few), (few,), (classes, few), (2,)) or not (
            wide and classes
        ):
            raise ValueError(f"arrays of shape {', '.join(map(str, shapes))} do not fit")
        if not ((self.scale > 0).all() and (self.spreads > 0).all()):
            raise ValueError("a scale that is not above 0")

    def parts(self, vectors: np.ndarray) -> np.ndarray:
        """Compute squared distances (N, 2) of (N, D) vectors.

        The first is that to the nearest class within the directions, the second is of what a
        photo has outside them.
        """
        scaled = (vectors - self.mean) / self.scale
        inside = scaled @ self.directions
        white = inside / self.spreads
        squares = self._centre_squares - 2 * (white @ self.centres.T)
        nearest_class = squares.min(axis=1) + _squares(white)
        outside = _squares(scaled) - _squares(inside)
        return np.maximum(np.stack([nearest_class, outside], axis=1), 0)

    @cached_property
    def _centre_squares(self) -> np.ndarray:
        return _squares(self.centres)


class NearClasses:
    """Where the classes lie in several layers."""

    def __init__(self, layers: Sequence[LayerClasses], least: float):
        """See that the numbers fit together. Raises ValueError."""
        for layer in layers:
            layer.check()
        self.layers, self.least = layers, least
        self._ends = np.cumsum([len(layer.mean) for layer in layers])[:-1]

    def split(self, vectors: np.ndarray) -> list[np.ndarray]:
        """Return the (N, D) part of each layer."""
        return np.split(vectors, self._ends, axis=1)

    def score(self, vectors: np.ndarray) -> np.ndarray:
        """Familiarity (N,), 0 to 1, of photos by the mean maps of all layers, one after another.

        A photo as far from its class as photos that were held out are on the mean has 0.5.
        """
        with np.errstate(over="ignore", invalid="ignore"):  # maps so large that they overflow
            distances = sum(
                layer.parts(part) @ layer.weights
                for layer, part in zip(self.layers, self.split(vectors), strict=True)
            )
            familiar: np.ndarray = 1 / (1 + distances / len(self.layers))
        return np.nan_to_num(familiar, nan=0)

    def arrays(self) -> dict[str, np.ndarray]:
        """Name the arrays for the file."""
        return {
            f"{field.name}{number}": getattr(layer, field.name)
            for number, layer in enumerate(self.layers)
            for field in fields(layer)
        }


def place(features: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Project features (N, F), at unit length, on the given directions: (N, R). Zeros stay zero."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    placed: np.ndarray = (features @ directions) / np.where(lengths > 0, lengths, 1)
    return placed


def nearest(cosines: np.ndarray, neighbours: int) -> np.ndarray:
    """Return the k-th largest cosine of each row."""
    return np.partition(cosines, -neighbours, axis=1)[:, -neighbours]


def _squares(vectors: np.ndarray) -> np.ndarray:
    """Return the squared length (N,) of each row."""
    squares: np.ndarray = np.einsum("nd,nd->n", vectors, vectors)
    return squares


def _check_finite(*arrays: np.ndarray) -> None:
    for array in arrays:
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError("numbers that are not finite")


def read_familiarity(bundle: Bundle, known: FamiliarityThreshold, width: int) -> Familiarity:
    """Read from a bundle what to compare photos with.

    Args:
        known: the threshold that belongs to the graph in use.
        width: how many numbers this graph answers to compare by.

    Raises:
        BundleError: the file is not as expected.
    """
    content = bundle.read(FILE)
    try:
        return (
            _read_classes(content, known, width)
            if known.layers
            else _read_photos(content, known, width)
        )
    except ValueError as error:
        raise BundleError(bundle.path, f"{FILE} is not as expected: {error}") from error


def _read_photos(content: bytes, known: FamiliarityThreshold, width: int) -> NearPhotos:
    arrays = read_arrays(content, "directions", "photos")
    found = NearPhotos(arrays["directions"], arrays["photos"], known.neighbours or 0, known.least)
    if len(found.directions) != width:
        raise ValueError(f"{len(found.directions)} features; the network has {width}")
    return found


def _read_classes(content: bytes, known: FamiliarityThreshold, width: int) -> NearClasses:
    names = [field.name for field in fields(LayerClasses)]
    numbers = range(len(known.layers or ()))
    arrays = read_arrays(content, *(f"{name}{number}" for number in numbers for name in names))
    found = NearClasses(
        [LayerClasses(*(arrays[f"{name}{number}"] for name in names)) for number in numbers],
        known.least,
    )
    wide = sum(len(layer.mean) for layer in found.layers)
    if wide != width:
        raise ValueError(f"{wide} mean maps; the network has {width}")
    return found

"""Lay out the confusion matrix as rows of cells, and list the pairs confused most often."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.natural_order import natural_order
from training.report.gallery import Gallery, Thumbnail

LARGEST_MATRIX = 40  # classes; a larger table cannot be read: its pairs are listed instead
PAIRS = 60  # listed then


@dataclass(frozen=True)
class Cell:
    """The test photos of one class that were taken for one class."""

    truth: str
    predicted: str
    count: int
    shade: float  # 0 to 1: its share of the row, for mistakes of the largest such share
    anchor: str
    photos: list[Thumbnail]
    left_out: int

    @property
    def right(self) -> bool:
        """Whether these photos were recognised."""
        return self.truth == self.predicted


@dataclass(frozen=True)
class _Counts:
    """The confusion counts [true][predicted], with the classes as people read them."""

    labels: list[str]
    counts: np.ndarray  # (K, K) int

    @classmethod
    def of(cls, metrics: dict[str, Any]) -> "_Counts":
        labels = natural_order(metrics["confusion_labels"])
        places = [metrics["confusion_labels"].index(label) for label in labels]
        return cls(labels, np.array(metrics["confusion"])[np.ix_(places, places)])

    def cell(self, gallery: Gallery, row: int, column: int, shade: float) -> Cell:
        truth, predicted = self.labels[row], self.labels[column]
        photos, count = gallery.cells.get((truth, predicted), []), int(self.counts[row, column])
        return Cell(
            truth=truth,
            predicted=predicted,
            count=count,
            shade=round(float(shade), 3),
            anchor=f"cell-{row}-{column}",
            photos=photos,
            left_out=count - len(photos),
        )


def matrix(metrics: dict[str, Any], gallery: Gallery) -> list[list[Cell]] | None:
    """Return rows of cells, a row for each true class; None where there are too many classes."""
    found = _Counts.of(metrics)
    classes = len(found.labels)
    if classes > LARGEST_MATRIX:
        return None
    shares = found.counts / np.maximum(found.counts.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(classes, dtype=bool)
    worst = shares[~diagonal].max(initial=0) or 1.0  # no mistake: nothing to shade
    shades = np.where(diagonal, shares, shares / worst)
    places = range(classes)
    return [[found.cell(gallery, row, at, shades[row, at]) for at in places] for row in places]


def confused_pairs(metrics: dict[str, Any], gallery: Gallery, count: int = PAIRS) -> list[Cell]:
    """Return the cells off the diagonal that hold photos, the fullest first."""
    found = _Counts.of(metrics)
    mistakes = found.counts.copy()
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    places = [divmod(int(place), len(mistakes)) for place in order if mistakes.flat[place]]
    return [found.cell(gallery, row, column, 0.0) for row, column in places]


def most_confused(metrics: dict[str, Any], count: int = 5) -> list[tuple[str, str, int]]:
    """Return the pairs (truth, predicted, photos) that are confused most often."""
    pairs = confused_pairs(metrics, Gallery(), count)
    return [(pair.truth, pair.predicted, pair.count) for pair in pairs]

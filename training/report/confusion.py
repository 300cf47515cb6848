"""The confusion matrix as rows of cells, and the pairs that are confused most often."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.report.gallery import Gallery, Thumbnail

LARGEST_MATRIX = 40  # classes; a larger table cannot be read: its pairs are listed instead
PAIRS = 60  # listed then


@dataclass(frozen=True)
class Cell:
    """So many photos of one class taken for one class."""

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


def matrix(metrics: dict[str, Any], gallery: Gallery) -> list[list[Cell]] | None:
    """Rows are the truth, columns the prediction; None where there are too many classes."""
    labels = metrics["confusion_labels"]
    if len(labels) > LARGEST_MATRIX:
        return None
    counts = np.array(metrics["confusion"])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    worst = shares[~np.eye(len(labels), dtype=bool)].max(initial=0) or 1.0
    shades = np.where(np.eye(len(labels), dtype=bool), shares, shares / worst)
    places = range(len(labels))
    return [[_cell(metrics, gallery, row, at, shades[row, at]) for at in places] for row in places]


def confused_pairs(metrics: dict[str, Any], gallery: Gallery, count: int = PAIRS) -> list[Cell]:
    """The cells off the diagonal that hold photos, the fullest first."""
    counts = np.array(metrics["confusion"])
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:count]
    places = [divmod(int(place), len(counts)) for place in order if counts.flat[place]]
    return [_cell(metrics, gallery, row, column, 0.0) for row, column in places]


def most_confused(metrics: dict[str, Any], count: int = 5) -> list[tuple[str, str, int]]:
    """The pairs (truth, predicted, photos) that are confused most often."""
    pairs = confused_pairs(metrics, Gallery(), count)
    return [(pair.truth, pair.predicted, pair.count) for pair in pairs]


def _cell(metrics: dict[str, Any], gallery: Gallery, row: int, column: int, shade: float) -> Cell:
    labels = metrics["confusion_labels"]
    names, count = (labels[row], labels[column]), metrics["confusion"][row][column]
    photos = gallery.cells.get(names, [])
    anchor = f"cell-{row}-{column}"
    return Cell(*names, count, round(float(shade), 3), anchor, photos, count - len(photos))

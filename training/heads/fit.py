"""Features -> class: the head that is trained, and how it is chosen.

Every kind ends as plain layers of the same Keras network. A setting, and with `auto` the kind,
is chosen by the log loss on photos held out, each candidate at its own best temperature:
else the one that is least sure of itself would win over the one that ranks best. Held out is
the validation side; where that is small, cross-validation fills in; where no class has two
photos there is nothing to judge by, and defaults stand.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from models.building.head import DenseLayer, Head
from models.errors import PhotosError, SettingError
from training.evaluation.calibrate import scale_head
from training.heads.forward import apply_head, head_logits
from training.heads.held_out import HeldOut, Sides, score
from training.heads.kinds import KINDS, STRENGTHS, Fold, Kind

__all__ = [  # what is used of the files below belongs to this one's door
    "KINDS", "STRENGTHS", "FittedHead", "apply_head", "cross_logits", "find_kind", "fit_head",
    "fit_logistic", "head_logits", "steps",
]  # fmt: skip


@dataclass(frozen=True)
class FittedHead:
    """A head, and how it was chosen."""

    layers: Head
    settings: dict[str, Any]  # goes into the manifest: kind, its setting, what was tried

    @property
    def last(self) -> DenseLayer:
        """The layer whose outputs are the logits."""
        layer = self.layers[-1]
        if not isinstance(layer, DenseLayer):
            raise TypeError("a head ends with a DenseLayer: its outputs are the logits")
        return layer

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(N, K) float64 for (N, F) features."""
        return head_logits(self.layers, features)

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """(N, K) float64 for (N, F) features; each row sums to 1."""
        return apply_head(self.layers, features)


def fit_head(
    kind: str,
    train: np.ndarray,
    train_labels: np.ndarray,
    validation: np.ndarray,
    validation_labels: np.ndarray,
    classes: int,
    seed: int = 0,
    progress: Callable[[int], None] = lambda done: None,
    balanced: bool = False,
    values: Sequence[float] | None = None,
) -> FittedHead:
    """The head of one kind whose setting does best on photos held out.

    Scores that are no logits (svm, centroid, prototypes) are divided by their best temperature.

    Args:
        train, validation: (N, F) float32 features; validation may have no rows.
        train_labels, validation_labels: (N,) int, 0 to classes - 1; train has every class.
        progress: called after each setting tried; `steps([kind])` in all.
        balanced: every class counts the same, however few its photos.
        values: of the kind's setting, to choose from; None: those of the table `KINDS`.

    Raises:
        SettingError: no such kind. PhotosError: too few photos for it, or a class without any.
    """
    row = find_kind(kind)
    seen = len(np.unique(train_labels))
    if seen != classes:
        raise PhotosError(f"train has photos of {seen} classes, expected {classes}: add some")
    sides = Sides(train, train_labels, validation, validation_labels, seed)
    known = sorted(values or row.values)
    tried: dict[int, dict[str, Any]] = {}
    found: dict[int, tuple[Head, float]] = {}
    with threadpool_limits(1):  # matrices too small to share
        solve = row.prepare(Fold(train, train_labels, balanced))
        held = HeldOut(row, sides, balanced)

        def judge(place: int) -> float:
            if place not in tried:
                layers = solve(known[place])
                logits, labels = held.logits(layers, known[place])
                temperature, facts = score(logits, labels)
                named = {row.setting: known[place]} if row.setting else {}
                tried[place] = named | facts
                found[place] = layers, temperature or row.temperature
                progress(1)
            loss = tried[place]["validation_log_loss"]
            return np.inf if loss is None else float(loss)

        start = min(range(len(known)), key=lambda place: abs(known[place] - row.default))
        place = _descend(judge, start, len(known)) if held.enough else start
        judge(place)
    progress(len(known) - len(tried))
    layers, temperature = found[place]
    if row.probable and held.enough:
        temperature = 1.0
    settings = {
        "kind": kind,
        "name": row.words,
        **tried[place],
        "temperature": temperature,
        "balanced": balanced,
        "judged_by": held.words,
        "judged_photos": held.photos,
        "tried": [tried[place] for place in sorted(tried)],
    }
    return FittedHead(scale_head(layers, temperature), settings)


def cross_logits(
    head: FittedHead, train: np.ndarray, train_labels: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Logits of training photos by heads of the same kind and setting that did not see them.

    Three folds: five take longer and find the same temperature (0.863 and 0.881 on the clothing
    photos). A class with one photo is never left out.

    Returns:
        (M, K) float64 and their labels (M,); no rows where no class has two photos, or
        the head is of a kind that is not in `KINDS`.
    """
    settings = head.settings
    row = KINDS.get(settings["kind"])
    if row is None:
        return np.zeros((0, head.last.bias.size)), np.zeros(0, np.int64)
    start = head.last if settings["kind"] == "logistic" else None  # with that the folds are quick
    empty = np.zeros((0, train.shape[1]), np.float32)
    sides = Sides(train, train_labels, empty, np.zeros(0, np.int64), seed)
    with threadpool_limits(1):
        held = HeldOut(row, sides, settings["balanced"], start, folds=3)
        logits, labels = held.logits(head.layers, settings.get(row.setting, 0.0))
    return logits / settings["temperature"], labels


def fit_logistic(
    train: np.ndarray,
    train_labels: np.ndarray,
    validation: np.ndarray,
    validation_labels: np.ndarray,
    classes: int,
    progress: Callable[[int], None] = lambda done: None,
    strengths: Sequence[float] | None = None,
) -> FittedHead:
    """`fit_head` of the kind logistic, to choose from `strengths`."""
    return fit_head(
        *("logistic", train, train_labels, validation, validation_labels, classes),
        progress=progress,
        values=strengths,
    )


def find_kind(kind: str) -> Kind:
    """The row of the table. Raises SettingError."""
    if kind not in KINDS:
        raise SettingError(f"head is {kind!r}; expected auto or one of {', '.join(KINDS)}")
    return KINDS[kind]


def steps(kinds: Sequence[str]) -> int:
    """How often `progress` counts for these kinds."""
    return sum(len(find_kind(kind).values) for kind in kinds)


def _descend(loss: Callable[[int], float], start: int, count: int) -> int:
    """The place of the least loss, downhill from `start`: losses fall, then rise."""

    def walk(step: int) -> Iterator[int]:
        place = start
        while 0 <= place + step < count and loss(place + step) < loss(place):
            place += step
            yield place

    for step in (1, -1):
        *_, end = [start, *walk(step)]
        if end != start:
            return end
    return start

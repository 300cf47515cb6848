"""One kind of head, its setting chosen on photos held out.

Every kind ends as plain layers of the same network. A setting is chosen by the log loss on
photos held out, each candidate at its own best temperature: else the one that is least sure
of itself would win over the one that ranks best. Where no class has two photos there is
nothing to judge by, and defaults stand.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from models.building.head import Head
from models.errors import PhotosError, SettingError
from training.heads.fitted_head import Attempt, FittedHead, HeadRecord
from training.heads.held_out import HeldOut, Sides, score_logits
from training.heads.kinds import KINDS, HeadKind, Samples


def fit_head(
    kind: str,
    sides: Sides,
    balanced: bool = False,
    values: Sequence[float] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> FittedHead:
    """Fit the head of one kind whose setting does best on photos held out.

    Scores that are no logits (svm, centroid, prototypes) are divided by their best temperature.

    Args:
        balanced: every class counts the same, however few its photos.
        values: of the kind's setting, to choose from; None: those of the table `KINDS`.
        progress: called after each setting tried; `count_fits([kind])` in all.

    Raises:
        SettingError: no such kind. PhotosError: too few photos for it, or a class without any.
    """
    row = find_kind(kind)
    seen = len(np.unique(sides.train_labels))
    if seen != sides.classes:
        raise PhotosError(f"train has photos of {seen} classes, expected {sides.classes}: add some")
    known = sorted(row.values if values is None else values)
    with threadpool_limits(1):  # matrices too small to share
        fits = _Fits(row, known, sides, balanced, progress)
        start = min(range(len(known)), key=lambda place: abs(known[place] - row.default))
        place = _walk_downhill(fits.loss, start, len(known)) if fits.held.enough else start
        fits.loss(place)
    progress(len(known) - len(fits.made))
    made = fits.made[place]
    record = HeadRecord(
        kind=kind,
        name=row.words,
        scores=made.attempt.scores,
        judged_by=fits.held.words,
        judged_photos=fits.held.photos,
        setting=made.attempt.setting,
        balanced=balanced,
        attempts=tuple(fits.made[place].attempt for place in sorted(fits.made)),
    )
    head = FittedHead(made.layers, record)
    are_logits = row.probable and fits.held.enough
    return head if are_logits else head.divided_by(made.temperature)


class _Fit(NamedTuple):
    """A head with one value of its kind's setting."""

    layers: Head
    temperature: float  # the best one; that of the kind where photos are too few for one
    attempt: Attempt


class _Fits:
    """Heads of one kind with several values of its setting, each fitted once."""

    def __init__(
        self,
        row: HeadKind,
        values: Sequence[float],
        sides: Sides,
        balanced: bool,
        progress: Callable[[int], None],
    ):
        self.made: dict[int, _Fit] = {}  # by the place of the value
        self.held = HeldOut(row, sides, balanced)
        self._row, self._values, self._progress = row, values, progress
        self._solve = row.prepare(Samples(sides.train, sides.train_labels, balanced))

    def loss(self, place: int) -> float:
        """Return the log loss, on photos held out, of the head with the value at `place`."""
        if place not in self.made:
            value = self._values[place]
            layers = self._solve(value)
            temperature, scores = score_logits(*self.held.logits(layers, value))
            attempt = Attempt({self._row.setting: value} if self._row.setting else {}, scores)
            usual = self._row.temperature
            self.made[place] = _Fit(layers, usual if temperature is None else temperature, attempt)
            self._progress(1)
        found = self.made[place].attempt.scores
        return found.validation_log_loss if found else np.inf


def cross_logits(head: FittedHead, sides: Sides) -> tuple[np.ndarray, np.ndarray]:
    """Compute logits of training photos by heads of the same kind that did not see them.

    Three folds: five take longer and find the same temperature (0.863 and 0.881 on the clothing
    photos). A class with one photo is never left out.

    Returns:
        (M, K) float64, on the scale of the head's own logits, and their labels (M,); no rows
        where no class has two photos, or the head is of a kind that is not in `KINDS`.
    """
    record = head.record
    row = KINDS.get(record.kind)
    if row is None:
        return np.zeros((0, sides.classes)), np.zeros(0, np.int64)
    start = head.undivided.last if record.kind == "logistic" else None  # the folds are then quick
    empty = np.zeros((0, sides.train.shape[1]), np.float32)
    alone = Sides(
        train=sides.train,
        train_labels=sides.train_labels,
        validation=empty,
        validation_labels=np.zeros(0, np.int64),
        classes=sides.classes,
        seed=sides.seed,
    )
    with threadpool_limits(1):
        held = HeldOut(row, alone, record.balanced, start, folds=3)
        logits, labels = held.logits(head.layers, record.setting.get(row.setting, 0.0))
    return logits / record.temperature, labels


def find_kind(kind: str) -> HeadKind:
    """Find the row of a kind in the table. Raises SettingError."""
    if kind not in KINDS:
        raise SettingError(f"head is {kind!r}; expected auto or one of {', '.join(KINDS)}")
    return KINDS[kind]


def count_fits(kinds: Sequence[str]) -> int:
    """Count the steps that `progress` reports for these kinds."""
    return sum(len(find_kind(kind).values) for kind in kinds)


def _walk_downhill(loss: Callable[[int], float], start: int, count: int) -> int:
    """Find the place of the least loss, downhill from `start`: losses fall, then rise."""

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

"""Try every scaling on labelled photos: a file does not say which one its program used.

With a wrong scaling most networks fall to chance, often at a confidence of 0.9 and more, so
nothing in the answers gives it away; labelled photos do.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.optimize import linear_sum_assignment

from models.building.scalings import SCALINGS, Front
from models.classifier import softmax
from models.errors import ImageError, PhotosError
from models.images import Framing, Limits, decode_image
from training.adopt.network import Source
from training.photos.listing import Photo
from training.photos.pictures import still_readable
from training.places.reading import read_photo

MOST = 240  # photos tried
BETTER = 0.1  # accuracy that another order of the classes, or another scaling, must gain


@dataclass(frozen=True)
class Attempt:
    """One way to treat pixels, and how well the network does with it."""

    front: Front
    accuracy: float
    log_loss: float
    matched: float  # accuracy in the order of the classes that fits best
    order: tuple[int, ...]  # that order: the label of each answer

    def line(self) -> str:
        """Write a row of the table."""
        return f"  {self.front!s:<32}{self.accuracy:6.3f}"


@dataclass(frozen=True)
class Trial:
    """All attempts, the best first."""

    attempts: list[Attempt]
    photos: int

    @property
    def best(self) -> Attempt:
        """The attempt with the highest accuracy; of equals that with the lowest log loss."""
        return self.attempts[0]

    @property
    def reordered(self) -> Attempt | None:
        """The attempt that another order of the classes makes much better; None: there is none."""
        most = max(self.attempts, key=lambda one: (one.matched, -one.log_loss))
        gain = max(BETTER, 3 * (0.25 / self.photos) ** 0.5)
        return most if most.matched - self.best.accuracy > gain else None

    def of(self, front: Front) -> Attempt | None:
        """Return the attempt with these settings."""
        return next((one for one in self.attempts if one.front == front), None)

    def as_json(self) -> list[dict[str, str | float]]:
        """Plain types, for the manifest."""
        return [{"front": str(one.front), "accuracy": one.accuracy} for one in self.attempts]


def match_labels(photos: Sequence[Photo], names: Sequence[str]) -> dict[str, str]:
    """Map the photos' labels to the network's: the same name, or the same letters.

    Raises:
        PhotosError: a label that the network does not know.
    """
    exact = set(names)
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(_letters(name), []).append(name)
    found, strange = {}, []
    for label in sorted({photo.label for photo in photos}):
        near = alike.get(_letters(label), [])
        if label in exact:
            found[label] = label
        elif len(near) == 1:
            found[label] = near[0]
        else:
            strange.append(label)
    if strange:
        raise PhotosError(
            f"the photos have classes that --labels has not: {', '.join(strange[:5])}; the labels "
            f"are {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}: rename the folders"
        )
    return found


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def try_fronts(
    source: Source,
    photos: Sequence[Photo],
    names: Sequence[str],
    framing: Framing,
    limits: Limits,
    declared: Front | None,
) -> Trial:
    """Measure the network with every scaling, channel order and, for grey, inversion.

    Args:
        declared: settings that were asked for; they are tried too.

    Raises:
        PhotosError: no photo can be read.
    """
    chosen = _sample(photos)
    labels = {photo.path: list(names).index(photo.label) for photo in chosen}
    read = still_readable(labels, MOST, limits, lambda data: decode_image(data, framing, limits))
    if not read:
        raise PhotosError(f"none of {len(photos)} photos can be read: {_reason(chosen[0])}")
    pixels = np.stack([square for _, square in read])
    truth = np.array([labels[path] for path, _ in read])
    attempts = [
        _measure(front, source.logits(pixels, front, framing.resize), truth)
        for front in _candidates(source.channels, declared)
    ]
    attempts.sort(key=lambda one: (-one.accuracy, one.log_loss))
    return Trial(attempts, len(truth))


def _candidates(channels: int, declared: Front | None) -> list[Front]:
    """List the ways to try: for colours both orders, for grey both of dark and light."""
    if channels == 1:
        found = [Front(one, invert=i) for one, i in product(SCALINGS[:3], (False, True))]
    else:
        found = [
            Front(one, bgr=b)
            for one, b in product(SCALINGS, (False, True))
            if not (b and one == "caffe")
        ]
    return found if declared is None or declared in found else [declared, *found]


def _sample(photos: Sequence[Photo]) -> list[Photo]:
    """Take photos from each class in turn, spread over its list."""
    by_class: dict[str, list[Photo]] = {}
    for photo in photos:
        by_class.setdefault(photo.label, []).append(photo)
    each = max(1, MOST // len(by_class))
    return [
        photo
        for members in by_class.values()
        for photo in members[:: max(1, len(members) // each)][:each]
    ]


def _measure(front: Front, logits: np.ndarray, truth: np.ndarray) -> Attempt:
    classes = logits.shape[1]
    found = logits.argmax(axis=1)
    counts = np.zeros((classes, classes))
    np.add.at(counts, (found, truth), 1)
    _, order = linear_sum_assignment(counts, maximize=True)
    probabilities = softmax(logits)[np.arange(len(truth)), truth]
    return Attempt(
        front,
        float((found == truth).mean()),
        float(-np.log(np.maximum(probabilities, 1e-12)).mean()),
        float(counts[np.arange(classes), order].sum() / len(truth)),
        tuple(int(label) for label in order),
    )


def _reason(photo: Photo) -> str:
    try:
        decode_image(read_photo(photo.path, Limits()), Framing(32))
    except (ImageError, OSError) as error:
        return str(error)
    return "they were moved"

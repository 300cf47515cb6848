"""Measure accuracy and the other numbers, of predictions or of a saved model on labelled photos."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from models.classifier import Classifier, Reading
from models.errors import PhotosError
from models.natural_order import natural_key, natural_order
from training.evaluation.ask import Asker
from training.evaluation.calibrate import measure_sets, reliability
from training.evaluation.familiarity import measure_familiarity
from training.evaluation.intervals import share_interval
from training.photos.find import find_photos
from training.photos.labels import MERGE, look_alikes, match_labels
from training.photos.listing import (
    Listing,
    Photo,
    Skipped,
    left_out_as_json,
    say_left_out,
    say_notes,
    skipped_as_json,
)
from training.scale.engine import Workers, in_order
from training.settings.config import limits_of
from training.settings.console import Stages
from training.sides.units import number_units

CHUNK = 4096  # photos in flight: a million would take a kilobyte each
LEAST_PROBABILITY = float(np.finfo(np.float64).eps)  # one certain error is no infinite loss


@dataclass
class Answers:
    """What a classifier answered for each readable photo."""

    photos: list[Photo]
    units: np.ndarray  # (N,) int, equal for photos that are copies or of one group
    probabilities: np.ndarray  # (N, K) float32
    familiarity: np.ndarray | None  # (N,) float; None: the bundle has no threshold for it
    skipped: list[Skipped]


def measure(
    probabilities: np.ndarray,
    labels: np.ndarray,
    class_names: list[str],
    units: np.ndarray | None = None,
) -> dict[str, Any]:
    """Compute accuracy and the other numbers, in plain types for JSON.

    Shares count every photo; their intervals are as wide as the independent photos make them,
    since a copy of a photo adds nothing to what is known.

    Args:
        probabilities: (N, K); labels: (N,) int, 0 to K - 1. N is 1 or more.
        units: (N,) int, equal for photos that are copies; None: no photo is a copy.

    Returns:
        `photos`, and how many of them are `independent_photos` (units); `accuracy` with its
        95 % `accuracy_interval` (Wilson 1927), `top5_accuracy` where there are more than five
        classes, `balanced_accuracy`, `macro_f1`, `log_loss`, `expected_calibration_error`
        (`calibrate.reliability`); `per_class` (precision, recall, f1, photos,
        independent_photos) and `confusion` [true][predicted], both over the classes that
        occur; `classes_without_photos`, which these numbers do not cover.
    """
    units = np.arange(len(labels)) if units is None else units
    probabilities = probabilities.astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    predicted = probabilities.argmax(axis=1)
    confusion = np.zeros((len(class_names), len(class_names)), int)
    np.add.at(confusion, (labels, predicted), 1)
    support = confusion.sum(axis=1)
    occur = np.flatnonzero(confusion.sum(axis=0) + support)
    confusion = confusion[np.ix_(occur, occur)]
    scores = _class_scores(confusion)
    seen = confusion.sum(axis=1) > 0
    independent = [len(np.unique(units[labels == index])) for index in occur]
    truth = np.clip(probabilities[np.arange(len(labels)), labels], LEAST_PROBABILITY, None)
    numbers: dict[str, Any] = {
        "photos": len(labels),
        "independent_photos": len(np.unique(units)),
        "accuracy": int((predicted == labels).sum()) / len(labels),
        "accuracy_interval": share_interval(predicted == labels, units),
        "balanced_accuracy": float(scores.recall[seen].mean()),
        "macro_f1": float(scores.f1[seen].mean()),
        "expected_calibration_error": reliability(probabilities, labels)[
            "expected_calibration_error"
        ],
        "log_loss": float(-np.log(truth).mean()),
        "per_class": _per_class(confusion, [class_names[i] for i in occur], independent),
        "confusion": confusion.tolist(),
        "confusion_labels": [class_names[index] for index in occur],
        "classes_without_photos": [class_names[index] for index in np.flatnonzero(support == 0)],
    }
    if len(class_names) > 5:
        ranks = (-probabilities).argsort(axis=1, kind="stable")[:, :5]
        numbers["top5_accuracy"] = float((ranks == labels[:, None]).any(axis=1).mean())
    return numbers


class _Scores(NamedTuple):
    """Each (K,) float64: 0 where a class has no photo, or is never predicted."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def _class_scores(confusion: np.ndarray) -> _Scores:
    """Compute the scores of every class from (K, K) counts [true][predicted]."""
    hits, support, answers = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return _Scores(
        hits / np.maximum(answers, 1), hits / np.maximum(support, 1), 2 * hits / (support + answers)
    )


def _per_class(
    confusion: np.ndarray, names: list[str], independent: list[int]
) -> list[dict[str, Any]]:
    """Describe each class of (K, K) counts [true][predicted] in plain types."""
    scores, support = _class_scores(confusion), confusion.sum(axis=1)
    return [
        {
            "label": name,
            "precision": float(scores.precision[row]),
            "recall": float(scores.recall[row]),
            "f1": float(scores.f1[row]),
            "photos": int(support[row]),
            "independent_photos": independent[row],
        }
        for row, name in enumerate(names)
    ]


def evaluate_bundle(
    classifier: Classifier,
    source: Path,
    workers: Workers,
    stages: Stages | None = None,
    merge_names: bool = False,
) -> dict[str, Any]:
    """Measure a saved model on labelled photos: those of `test/`, if there is one.

    Exact copies, and photos of one group, count as one independent photo; near copies are
    found by `fit` and `check` only.

    Args:
        merge_names: take a label for the model's class whose name looks alike.

    Returns:
        `measure`, and where the bundle has their thresholds `prediction_sets` and
        `familiarity`; `skipped`, the files that could not be read.

    Raises:
        PhotosError: no photos, or a label the model does not have.
    """
    chosen, side = photos_to_measure(source, merge_names)
    answers = answer_all(classifier, chosen, workers, stages, merge_names)
    return describe_answers(classifier, answers, side, merge_names)


def photos_to_measure(source: Path, merge_names: bool = False) -> tuple[Listing, str]:
    """Return the photos of `test/` and "test", or without such a side all photos and "all"."""
    listing = find_photos(source, merge_names)
    test = [photo for photo in listing.photos if photo.side == "test"]
    if not test and any(photo.side for photo in listing.photos):
        listing.notes.append(
            f"{source} has no labelled test side: photos of every side are measured"
        )
    return replace(listing, photos=test or listing.photos), "test" if test else "all"


def answer_all(
    classifier: Classifier,
    chosen: Listing,
    workers: Workers,
    stages: Stages | None = None,
    merge_names: bool = False,
) -> Answers:
    """Classify photos and show the progress. Raises PhotosError, for a label before any work."""
    label_indices(chosen.photos, classifier.class_names, merge_names)
    shown = stages or Stages(quiet=True)
    say_notes(shown, chosen)
    with shown.counted(f"evaluate {classifier.name}", len(chosen.photos), "photos") as advance:
        answers = classify(classifier, chosen, workers, advance)
    say_left_out(shown, answers.skipped, chosen.source)
    return answers


def describe_answers(
    classifier: Classifier, answers: Answers, side: str, merge_names: bool = False
) -> dict[str, Any]:
    """Compute all numbers about these answers, in plain types for JSON."""
    labels = label_indices(answers.photos, classifier.class_names, merge_names)
    units = answers.units
    numbers = measure(answers.probabilities, labels, classifier.class_names, units)
    chosen = classifier.prediction_set
    if chosen:
        numbers["prediction_sets"] = measure_sets(answers.probabilities, labels, chosen, units)
    if answers.familiarity is not None and classifier.familiarity is not None:
        least = classifier.familiarity.least
        numbers["familiarity"] = measure_familiarity(answers.familiarity, least, units)
    return {
        "model": classifier.name,
        "version": classifier.manifest.version,
        "precision": classifier.precision.used,
        "side": side,
        **numbers,
        "left_out": left_out_as_json(answers.skipped),
        "skipped": skipped_as_json(answers.skipped),
    }


def classify(
    classifier: Classifier,
    listing: Listing,
    workers: Workers,
    progress: Callable[[int], None] = lambda done: None,
) -> Answers:
    """Classify every readable photo, within the limits that the model was trained with.

    Args:
        workers: threads, or a cluster, which needs a `PortableClassifier`.

    Raises:
        PhotosError: no photo can be read.
        ClusterError: the cluster cannot do it.
    """
    asker = Asker(classifier, limits_of(classifier.manifest.training))
    good: list[tuple[Photo, bytes, Reading]] = []
    bad: list[Skipped] = []
    answers = in_order(asker, dict(enumerate(listing.photos)), workers)
    for photo, answer in zip(listing.photos, answers, strict=True):
        if answer.reading is not None:
            good.append((photo, answer.digest, answer.reading))
        bad += [answer.unusable] if answer.unusable else []
        progress(1)
    if not good:
        raise PhotosError(
            f"none of {len(listing.photos)} photos can be read; the first: {bad[0].reason}"
        )
    read = [photo for photo, _, _ in good]
    readings = [reading for _, _, reading in good]
    return Answers(
        photos=read,
        units=number_units(read, [digest for _, digest, _ in good]),
        probabilities=np.stack([reading.probabilities for reading in readings]),
        familiarity=_all_known([reading.familiarity for reading in readings]),
        skipped=listing.skipped + bad,
    )


def _all_known(scores: list[float | None]) -> np.ndarray | None:
    known = [score for score in scores if score is not None]
    return np.array(known) if len(known) == len(scores) else None


def label_indices(
    photos: list[Photo], class_names: list[str], merge_names: bool = False
) -> np.ndarray:
    """Return the class index of each photo. Raises PhotosError for a label without a class."""
    labels = sorted({photo.label for photo in photos}, key=natural_key)
    known = match_labels(labels, class_names, merge_names)
    unknown = [label for label in labels if label not in known]
    if unknown:
        names, alike = ", ".join(unknown[:5]), look_alikes(unknown[:5], class_names)
        advice = f"; {', '.join(alike)}: pass {MERGE} to join them" if alike else ""
        told = ", ".join(natural_order(class_names)[:10])
        raise PhotosError(f"the model has no class {names}; it knows {told}{advice}")
    indices = {label: class_names.index(name) for label, name in known.items()}
    return np.array([indices[photo.label] for photo in photos], np.int64)

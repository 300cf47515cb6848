"""Predictions -> numbers to believe."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.classifier import Classifier, Reading
from models.errors import ImageError, PhotosError
from models.images import Limits
from training.evaluation.calibrate import measure_sets, reliability
from training.evaluation.familiarity import measure_familiarity
from training.evaluation.intervals import wilson
from training.photos.find import Listing, Photo, Skipped, find_photos
from training.settings.console import Stages

LEAST_PROBABILITY = float(np.finfo(np.float64).eps)  # one certain error is no infinite loss


@dataclass
class Answers:
    """What a classifier said of the photos that could be read."""

    photos: list[Photo]
    probabilities: np.ndarray  # (N, K) float32
    familiarity: np.ndarray | None  # (N,) float; None: the bundle cannot tell
    skipped: list[Skipped]


def measure(
    probabilities: np.ndarray, labels: np.ndarray, class_names: list[str]
) -> dict[str, Any]:
    """Accuracy and the rest, in plain types for JSON.

    Args:
        probabilities: (N, K); labels: (N,) int, 0 to K - 1. N is 1 or more.

    Returns:
        `accuracy` with its 95 % `accuracy_interval` (Wilson 1927), `top5_accuracy` where
        there are more than five classes, `balanced_accuracy`, `macro_f1`, `log_loss`,
        `expected_calibration_error` (`calibrate.reliability`), `per_class` (precision, recall,
        f1, photos) and `confusion` [true][predicted], both over the classes that occur.
    """
    probabilities = probabilities.astype(np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    predicted = probabilities.argmax(axis=1)
    right = int((predicted == labels).sum())
    confusion = np.zeros((len(class_names), len(class_names)), int)
    np.add.at(confusion, (labels, predicted), 1)
    occur = np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
    confusion = confusion[np.ix_(occur, occur)]
    hits, support, answers = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = hits / np.maximum(answers, 1), hits / np.maximum(support, 1)
    f1 = 2 * hits / (support + answers)
    seen = support > 0
    truth = np.clip(probabilities[np.arange(len(labels)), labels], LEAST_PROBABILITY, None)
    ranks = (-probabilities).argsort(axis=1, kind="stable")[:, :5]
    numbers: dict[str, Any] = {
        "photos": len(labels),
        "accuracy": right / len(labels),
        "accuracy_interval": wilson(right, len(labels)),
        "balanced_accuracy": float(recall[seen].mean()),
        "macro_f1": float(f1[seen].mean()),
        "expected_calibration_error": reliability(probabilities, labels)[
            "expected_calibration_error"
        ],
        "log_loss": float(-np.log(truth).mean()),
        "per_class": [
            {
                "label": class_names[index],
                "precision": float(precision[row]),
                "recall": float(recall[row]),
                "f1": float(f1[row]),
                "photos": int(support[row]),
            }
            for row, index in enumerate(occur)
        ],
        "confusion": confusion.tolist(),
        "confusion_labels": [class_names[index] for index in occur],
    }
    if len(class_names) > 5:
        numbers["top5_accuracy"] = float((ranks == labels[:, None]).any(axis=1).mean())
    return numbers


def evaluate_bundle(
    classifier: Classifier,
    source: Path,
    workers: int,
    limits: Limits = Limits(),
    stages: Stages | None = None,
) -> dict[str, Any]:
    """The numbers of a saved model on labelled photos: those of `test/`, if there is one.

    Returns:
        `measure`, and where the bundle can tell `prediction_sets` and `familiarity`.

    Raises:
        PhotosError: no photos, or a label the model does not have.
    """
    chosen, side = photos_to_measure(source)
    answers = answer_all(classifier, chosen, workers, limits, stages)
    return describe_answers(classifier, answers, side)


def photos_to_measure(source: Path) -> tuple[Listing, str]:
    """The photos of `test/` and `test`, or without such a side every photo and `all`."""
    listing = find_photos(source)
    test = [photo for photo in listing.photos if photo.side == "test"]
    chosen = Listing(test or listing.photos, listing.skipped)
    return chosen, "test" if test else "all"


def answer_all(
    classifier: Classifier,
    chosen: Listing,
    workers: int,
    limits: Limits = Limits(),
    stages: Stages | None = None,
) -> Answers:
    """`classify` with its progress shown, once every label is known. Raises PhotosError."""
    label_indices(chosen.photos, classifier.class_names)  # refuse before the long work
    shown = stages or Stages(quiet=True)
    with shown.counted(f"evaluate {classifier.name}", len(chosen.photos), "photos") as advance:
        return classify(classifier, chosen, workers, limits, advance)


def describe_answers(classifier: Classifier, answers: Answers, side: str) -> dict[str, Any]:
    """All numbers about these answers, in plain types for JSON."""
    labels = label_indices(answers.photos, classifier.class_names)
    numbers = measure(answers.probabilities, labels, classifier.class_names)
    chosen = classifier.prediction_set
    if chosen:
        numbers["prediction_sets"] = measure_sets(answers.probabilities, labels, chosen)
    if answers.familiarity is not None and classifier.familiarity is not None:
        least = classifier.familiarity.least
        numbers["familiarity"] = measure_familiarity(answers.familiarity, least)
    skipped = [{"photo": str(item.path), "reason": item.reason} for item in answers.skipped]
    return {
        "model": classifier.name,
        "version": classifier.manifest.version,
        "side": side,
        **numbers,
        "skipped": skipped,
    }


def classify(
    classifier: Classifier,
    listing: Listing,
    workers: int,
    limits: Limits = Limits(),
    progress: Callable[[int], None] = lambda done: None,
) -> Answers:
    """Probabilities for every photo that can be read. Raises PhotosError if none can."""

    def answer(photo: Photo) -> Reading | str:
        try:
            pixels = classifier.decode(photo.path.read_bytes(), limits)
        except ImageError as error:
            return str(error)
        except OSError as error:
            return error.strerror or str(error)
        finally:
            progress(1)
        return classifier.read(pixels)

    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(answer, listing.photos))
    pairs = list(zip(listing.photos, results, strict=True))
    good = [(photo, result) for photo, result in pairs if not isinstance(result, str)]
    bad = [Skipped(photo.path, result) for photo, result in pairs if isinstance(result, str)]
    if not good:
        raise PhotosError(f"none of {len(pairs)} photos can be read; the first: {bad[0].reason}")
    return Answers(
        [photo for photo, _ in good],
        np.stack([result.probabilities for _, result in good]),
        _all_known([result.familiarity for _, result in good]),
        listing.skipped + bad,
    )


def _all_known(scores: list[float | None]) -> np.ndarray | None:
    known = [score for score in scores if score is not None]
    return np.array(known) if len(known) == len(scores) else None


def label_indices(photos: list[Photo], class_names: list[str]) -> np.ndarray:
    """The class index of each photo. Raises PhotosError for a label the model does not have."""
    indices = {name: index for index, name in enumerate(class_names)}
    unknown = sorted({photo.label for photo in photos} - set(indices))
    if unknown:
        names = ", ".join(unknown[:5])
        raise PhotosError(f"the model has no class {names}; it knows {', '.join(class_names[:10])}")
    return np.array([indices[photo.label] for photo in photos], np.int64)

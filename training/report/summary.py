"""Describe a run in words: what was trained, how good it is, what to do next.

Every sentence rests on a number of the manifest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from models.bundle import Manifest
from models.natural_order import natural_key, natural_order
from training.evaluation.intervals import wilson
from training.report.confusion import most_confused
from training.report.drawings import short
from training.report.quantities import percent
from training.report.verdicts import Verdict
from training.sides.class_sizes import is_uneven

MOST_STEPS = 4  # of advice: more is not read
FEW_PHOTOS = 200  # tested; below, the interval is wider than 10 points at 80 % accuracy
WIDE = 0.1  # of the interval of accuracy
OFTEN = 0.1  # of a class's test photos taken for one other class, 3 at least
NAMED = 5  # classes in a sentence; the others are counted
OTHERS_PHOTOS = (
    "Whether it was trained on these photos is not known from its file: if it was, these numbers "
    "are too good."
)
UNSOLVED = 0.95  # accuracy above which there is little to gain


@dataclass(frozen=True)
class ClassRow:
    """How well one class is recognised on the test photos."""

    label: str
    precision: float
    recall: float
    recall_interval: list[float] | None  # 95 %; None: it has no test photo
    f1: float
    photos: int
    independent_photos: int  # a copy adds nothing: the interval is theirs


@dataclass(frozen=True)
class Summary:
    """What a reader sees first."""

    made: str
    quality: str
    next_steps: list[str]


def class_rows(metrics: dict[str, Any]) -> list[ClassRow]:
    """Return a row for every class, the weakest recall first; those without test photos last."""
    rows = [
        ClassRow(
            label=row["label"],
            precision=row["precision"],
            recall=row["recall"],
            recall_interval=_recall_interval(row["recall"], row["independent_photos"]),
            f1=row["f1"],
            photos=row["photos"],
            independent_photos=row["independent_photos"],
        )
        for row in metrics["per_class"]
    ]
    listed = {row.label for row in rows}
    rows += [
        ClassRow(label, 0.0, 0.0, None, 0.0, 0, 0)
        for label in metrics["classes_without_photos"]
        if label not in listed  # it was not predicted either
    ]
    return sorted(rows, key=lambda row: (row.photos == 0, row.recall, natural_key(row.label)))


def _recall_interval(recall: float, independent: int) -> list[float] | None:
    return wilson(recall * independent, independent) if independent else None


def untested(metrics: dict[str, Any], name: Callable[[str], str]) -> str:
    """Name the classes that no test photo shows, in part of a sentence; "" where there are none.

    Args:
        name: how a class's name is written.
    """
    labels = natural_order(metrics["classes_without_photos"])
    if not labels:
        return ""
    more = f" and {len(labels) - NAMED:,} more" if len(labels) > NAMED else ""
    return f"{', '.join(name(label) for label in labels[:NAMED])}{more}"


def quoted(label: str) -> str:
    """Put a class's name in quotation marks, cut to 60 characters."""
    return f"“{short(label, 60)}”"


def classes_counted(manifest: Manifest) -> list[tuple[str, dict[str, int]]]:
    """Return each class with its photos on each side, in the order that people read."""
    counted = manifest.data.get("classes", {})
    return [(label, counted[label]) for label in natural_order(list(counted))]


def class_sizes(manifest: Manifest) -> list[int]:
    """Return the number of photos of each class, on all sides together."""
    return [sum(sides.values()) for sides in manifest.data.get("classes", {}).values()]


def summarise_run(manifest: Manifest, verdicts: Sequence[Verdict] = ()) -> Summary:
    """Write the sentences at the top of the report.

    Args:
        verdicts: on the learning curves, where there was gradient descent.
    """
    metrics = manifest.metrics["test"]
    made = _made(manifest)
    low, high = metrics["accuracy_interval"]
    right = round(metrics["accuracy"] * metrics["photos"])
    photos, independent = metrics["photos"], metrics["independent_photos"]
    copies = f" ({independent:,} of them independent: the others are copies)"
    counted = f"{photos:,} test photos" + copies * (independent < photos)
    quality = (
        f"It is right on {right:,} of {counted}. "
        f"On many more photos like these, expect {100 * low:.0f} to {100 * high:.0f} right answers "
        "in 100 (95 % interval)."
    )
    if missing := untested(metrics, quoted):
        quality += f" No test photo shows {missing}: these numbers do not cover it."
    if manifest.training.get("adopted"):
        quality += f" {OTHERS_PHOTOS}"
    return Summary(made + ".", quality, next_steps(manifest, verdicts)[:MOST_STEPS])


def _made(manifest: Manifest) -> str:
    """Say what the network is and how it came about, in one sentence without its end."""
    training, counts = manifest.training, manifest.data["photos"]
    classes, size = f"{len(manifest.class_names):,} classes", manifest.image.size
    if adopted := training.get("adopted"):
        return (
            f"A classifier of {classes}, adopted from {adopted}: trained elsewhere, it reads "
            f"photos at {size} px. Nothing of it was changed; its probabilities were calibrated"
        )
    untrained, tuning = training.get("weights") == "none", training.get("fine_tuning")
    made = (
        f"A classifier of {classes}: the "
        f"{'network' if untrained else 'pretrained network'} {manifest.backbone['name']} at "
        f"{size} px{', its weights drawn at random,' * untrained} with a head "
        f"({manifest.head.get('kind', 'of its own')}) trained on {counts['train']:,} photos"
    )
    if tuning:
        made += f", and its layers after {tuning['cut']} trained too" * (tuning["best"] >= 0)
    return made


def next_steps(manifest: Manifest, verdicts: Sequence[Verdict] = ()) -> list[str]:
    """Return advice, the most important first."""
    metrics, steps = manifest.metrics["test"], []
    low, high = metrics["accuracy_interval"]
    independent = metrics["independent_photos"]
    if independent < FEW_PHOTOS and high - low > WIDE:
        steps.append(
            f"Collect more test photos: with {independent} the accuracy is known to within "
            f"{100 * (high - low):.0f} points only."
        )
    if missing := untested(metrics, quoted):
        steps.append(f"Collect test photos of {missing}: there are none.")
    sizes = {row["label"]: row["photos"] for row in metrics["per_class"]}
    for truth, predicted, count in most_confused(metrics, 1):
        if count >= max(3, OFTEN * sizes[truth]):
            steps.append(
                f"Look at the {count} of {sizes[truth]} photos of {quoted(truth)} that were "
                f"taken for {quoted(predicted)}: correct wrong labels, and where a person cannot "
                "tell the two classes apart either, make them one."
            )
    weakest = next(iter(class_rows(metrics)))
    if weakest.photos and weakest.recall < metrics["accuracy"] - WIDE:
        steps.append(
            f"Add photos of {quoted(weakest.label)}: it is the class found least often "
            f"({percent(weakest.recall, 0)} of {weakest.photos})."
        )
    steps += [
        f"{verdict.sentence} Try {verdict.advice[0]}." for verdict in verdicts if verdict.advice
    ]
    counts = class_sizes(manifest)
    if is_uneven(counts):
        steps.append(
            f"The classes are uneven ({min(counts):,} to {max(counts):,} photos): "
            "trust balanced accuracy, and collect photos of the rare ones."
        )
    ours = not manifest.training.get("adopted")
    tuned = manifest.training.get("fine_tune", "no") != "no"
    if ours and not tuned and metrics["accuracy"] < UNSOLVED:
        steps.append(
            "Train the upper blocks too (--fine-tune auto): they are kept only if validation "
            "photos gain."
        )
    return steps

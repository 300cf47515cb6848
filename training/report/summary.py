"""A run in words: what was trained, how good it is, what it confuses, what to do next.

Every sentence is made from a number of the manifest; nothing is said that was not measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.bundle import Manifest
from training.evaluation.intervals import wilson
from training.report.confusion import most_confused
from training.report.drawings import short
from training.report.quantities import percent
from training.report.verdicts import Verdict

MOST_STEPS = 4  # of advice: more is not read
FEW_PHOTOS = 200  # tested; below, the interval is wider than 10 points at 80 % accuracy
WIDE = 0.1  # of the interval of accuracy
OFTEN = 0.1  # of a class's test photos taken for one other class, 3 at least
UNEVEN = 10  # times as many photos in the largest class as in the smallest
UNSOLVED = 0.95  # accuracy above which there is little to gain


@dataclass(frozen=True)
class ClassRow:
    """One class among the test photos."""

    label: str
    precision: float
    recall: float
    recall_interval: list[float] | None  # 95 %; None: it has no test photo
    f1: float
    photos: int


@dataclass(frozen=True)
class Summary:
    """What a reader is told first."""

    made: str
    quality: str
    next_steps: list[str]


def class_rows(metrics: dict[str, Any]) -> list[ClassRow]:
    """Every class that occurs, the weakest recall first; those without test photos last."""
    rows = [
        ClassRow(
            row["label"],
            row["precision"],
            row["recall"],
            wilson(round(row["recall"] * row["photos"]), row["photos"]) if row["photos"] else None,
            row["f1"],
            row["photos"],
        )
        for row in metrics["per_class"]
    ]
    return sorted(rows, key=lambda row: (row.photos == 0, row.recall, row.label))


def summarise(manifest: Manifest, verdicts: Sequence[Verdict] = ()) -> Summary:
    """The sentences at the top of the report.

    Args:
        verdicts: on the learning curves, where there was gradient descent.
    """
    metrics, counts = manifest.metrics["test"], manifest.data["photos"]
    tuning = manifest.training.get("fine_tuning")
    untaught = manifest.training.get("weights") == "none"
    made = (
        f"A classifier of {len(manifest.class_names):,} classes: the "
        f"{'network' if untaught else 'pretrained network'} {manifest.backbone['name']} at "
        f"{manifest.image.size} px{', its weights drawn at random,' * untaught} with a head "
        f"({manifest.head.get('kind', 'of its own')}) trained on {counts['train']:,} photos"
    )
    if tuning:
        made += f", and its layers after {tuning['cut']} trained too" * (tuning["best"] >= 0)
    low, high = metrics["accuracy_interval"]
    right = round(metrics["accuracy"] * metrics["photos"])
    quality = (
        f"Of {metrics['photos']:,} photos that it had never seen it names {right:,} rightly. "
        f"Were it asked about very many such photos, {100 * low:.0f} to {100 * high:.0f} of 100 "
        "would be right (95 % interval)."
    )
    return Summary(made + ".", quality, next_steps(manifest, verdicts)[:MOST_STEPS])


def next_steps(manifest: Manifest, verdicts: Sequence[Verdict] = ()) -> list[str]:
    """What is most worth doing, the most pressing first."""
    metrics, steps = manifest.metrics["test"], []
    low, high = metrics["accuracy_interval"]
    if metrics["photos"] < FEW_PHOTOS and high - low > WIDE:
        steps.append(
            f"Collect more test photos: with {metrics['photos']} the accuracy is known to within "
            f"{100 * (high - low):.0f} points only."
        )
    sizes = {row["label"]: row["photos"] for row in metrics["per_class"]}
    for truth, predicted, count in most_confused(metrics, 1):
        if count >= max(3, OFTEN * sizes[truth]):
            steps.append(
                f"Look at the {count} of {sizes[truth]} photos of “{short(truth, 60)}” that were "
                f"taken for “{short(predicted, 60)}”: wrong labels are mended, and if the two "
                "cannot be told apart by eye, one class serves better than two."
            )
    weakest = next(iter(class_rows(metrics)))
    if weakest.photos and weakest.recall < metrics["accuracy"] - WIDE:
        steps.append(
            f"Add photos of “{short(weakest.label, 60)}”: it is the class found least often "
            f"({percent(weakest.recall, 0)} of {weakest.photos})."
        )
    steps += [
        f"{verdict.sentence} Try {verdict.advice[0]}." for verdict in verdicts if verdict.advice
    ]
    trained = [sum(sides.values()) for sides in manifest.data.get("classes", {}).values()]
    if trained and max(trained) > UNEVEN * max(1, min(trained)):
        steps.append(
            f"The classes are uneven ({min(trained):,} to {max(trained):,} photos): "
            "trust balanced accuracy, and collect photos of the rare ones."
        )
    if manifest.training.get("fine_tune", "no") == "no" and metrics["accuracy"] < UNSOLVED:
        steps.append("Train the upper blocks too (--fine-tune auto): it is kept only if it pays.")
    return steps

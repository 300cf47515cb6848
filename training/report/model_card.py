"""The model card: what the model is for, how good it is and where it fails, as Markdown.

The sections are those of Mitchell et al. 2019 (arXiv:1810.03993, section 4). What the manifest
knows is filled in; what only the owner knows, such as who must not be judged by the model, is
marked as open rather than made up.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from models.bundles.manifest import CalibrationFacts, Manifest
from training.photos.find import Skipped
from training.report.cost import WATTS_PER_CORE, watt_hours
from training.report.page import TEMPLATES
from training.report.quantities import duration, energy, percent
from training.report.summary import ClassRow, class_rows

CLASSES_LISTED = 100  # the weakest; the report has all
WEAK = 0.1  # recall so far below the accuracy is worth a warning
UNEVEN = 5  # times as many training photos in the largest class as in the smallest
FEW = 10  # test photos of a class: its recall is hardly known
MARKS = re.compile(r"([\\`*_\[\]<>|$~&])")  # what Markdown, HTML or MathJax would read in a line

LICENCES = {
    "embedded": "Published by the TPU team of Google, Copyright The TensorFlow Authors, under the "
    "Apache License 2.0; they come with the package {package}.",
    "imagenet": "Downloaded by Keras (https://keras.io/api/applications/). Each family has its own "
    "licence, which its page there names; ImageNet's photos are for research.",
    "none": "None: no pretrained weights were used.",
}


def write_model_card(path: Path, manifest: Manifest, skipped: Sequence[Skipped]) -> None:
    """Write the card beside the report."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # Markdown: every name from outside goes through `plain`
    environment.filters |= {"percent": percent, "plain": plain, "duration": duration, "code": code}
    metrics, training = manifest.metrics["test"], manifest.training
    rows = class_rows(metrics)
    reasons = Counter(_kind(item.reason) for item in skipped)
    page = environment.get_template("model_card.md.j2").render(
        manifest=manifest,
        metrics=metrics,
        rows=rows[:CLASSES_LISTED],
        left_out=max(0, len(rows) - CLASSES_LISTED),
        classes=list(manifest.data.get("classes", {}).items())[:CLASSES_LISTED],
        reasons=reasons.most_common(10),
        limits=limits(manifest, rows),
        licence=licence(manifest),
        settings={name: v for name, v in training.items() if not isinstance(v, dict)},
        seconds=sum(training.get("seconds", {}).values()),
        energy=energy(watt_hours(sum(training.get("cpu_seconds", {}).values()))),
        watts=WATTS_PER_CORE,
        calibration=_numbers(manifest.calibration),
    )
    path.write_bytes(page.encode("utf-8", "replace"))  # a file's name may be no Unicode


def limits(manifest: Manifest, rows: Sequence[ClassRow]) -> list[str]:
    """What to beware of, in words made from numbers.

    Args:
        rows: from `class_rows`, the weakest first.
    """
    metrics, found = manifest.metrics["test"], []
    seen = [row for row in rows if row.photos]
    weak = [row for row in seen if row.recall < metrics["accuracy"] - WEAK]
    if weak:
        named = ", ".join(f"{percent(row.recall, 0)} of {plain(row.label)}" for row in weak[:5])
        found.append(f"It misses some classes far more often than others: it finds {named}.")
    few = [row for row in seen if row.photos < FEW]
    if few:
        found.append(
            f"{len(few):,} of {len(rows):,} classes have fewer than {FEW} test photos: "
            "their numbers are hardly known."
        )
    unseen = len(manifest.class_names) - len(seen)
    if unseen:
        found.append(f"{unseen:,} classes have no test photo: nothing is known of them.")
    trained = [sides["train"] for sides in manifest.data.get("classes", {}).values()]
    if trained and max(trained) > UNEVEN * max(1, min(trained)):
        found.append(
            f"The classes are uneven: {min(trained):,} to {max(trained):,} training photos. It "
            "leans towards the common ones where a photo is doubtful."
        )
    if not manifest.calibration:
        found.append(
            "Its probabilities were not calibrated: 0.9 need not mean right nine times in ten."
        )
    found.append(
        "It knows its classes only, and names one of them for any photo. It was tested on photos "
        "of the same collection: expect less on photos taken otherwise (other cameras, light, "
        "places, people)."
    )
    return found


def licence(manifest: Manifest) -> str:
    """Under what terms the backbone's weights come."""
    source, backbone = manifest.training.get("weights", ""), manifest.backbone["name"]
    known = LICENCES.get(source)
    if known is None:
        return f"Read from a file ({plain(source)}): its terms are known to whoever made it."
    return known.format(package=f"{backbone}-pytorch-model")


def plain(text: object) -> str:
    """A name as Markdown that shows exactly this name, on one line."""
    return MARKS.sub(r"\\\1", " ".join(str(text).split()))


def code(text: object) -> str:
    """A setting or a version as a code span."""
    return "`" + " ".join(str(text).replace("`", "'").split()) + "`"


def _kind(reason: str) -> str:
    """A reason without what differs from file to file."""
    return re.sub(r"\d[\d,.]*", "N", reason.partition(":")[0])[:120]


def _numbers(calibration: CalibrationFacts | None) -> list[tuple[str, Any]]:
    """The plain numbers of the calibration, under the names they have in the manifest."""
    known = calibration.model_dump() if calibration else {}
    return [(name, v) for name, v in known.items() if isinstance(v, int | float)]

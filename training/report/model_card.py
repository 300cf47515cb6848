"""Write the model card: what the model is for, how good it is and where it fails, as Markdown.

The sections are those of Mitchell et al. 2019 (arXiv:1810.03993, section 4). What the manifest
holds is filled in; what only the owner knows, such as whom the model may harm, is marked as open.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import jinja2

from models.bundles.calibration import CalibrationFacts
from models.bundles.manifest import Manifest
from training.photos.listing import Skipped, left_out_as_json
from training.report.cost import WATTS_PER_CORE, watt_hours
from training.report.page import TEMPLATES
from training.report.quantities import duration, energy, percent, settings_in_words
from training.report.reliability import caveats, error_in_words
from training.report.summary import ClassRow, class_rows, class_sizes, classes_counted, untested
from training.sides.class_sizes import is_uneven

REASONS_LISTED = 10
CLASSES_LISTED = 100  # the weakest; the report has all
WEAK = 0.1  # recall so far below the accuracy is worth a warning
FEW = 10  # test photos of a class: its recall is hardly known
MARKS = re.compile(r"([\\`*_\[\]<>|$~&])")  # characters with a meaning in Markdown, HTML or MathJax

LICENCES = {
    "embedded": "Published by the TPU team of Google, Copyright The TensorFlow Authors, under the "
    "Apache License 2.0; they come with the package {package}.",
    "imagenet": "Downloaded by Keras (https://keras.io/api/applications/). Each family has its own "
    "licence, which its page there names; ImageNet's photos are for research.",
    "none": "None: no pretrained weights were used.",
}


def write_model_card(path: Path, manifest: Manifest, skipped: Sequence[Skipped]) -> None:
    """Write the card next to the report."""
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
    page = environment.get_template("model_card.md.j2").render(
        manifest=manifest,
        metrics=metrics,
        untested=untested(metrics, plain),
        rows=rows[:CLASSES_LISTED],
        left_out=max(0, len(rows) - CLASSES_LISTED),
        classes=classes_counted(manifest)[:CLASSES_LISTED],
        reasons=left_out_as_json(skipped)[:REASONS_LISTED],
        limits=limits(manifest, rows) + caveats(manifest),
        licence=licence(manifest),
        settings=settings_in_words(training),
        seconds=sum(training.get("seconds", {}).values()),
        energy=energy(watt_hours(sum(training.get("cpu_seconds", {}).values()))),
        watts=WATTS_PER_CORE,
        calibration=_calibration_rows(manifest.calibration),
    )
    path.write_bytes(page.encode("utf-8", "replace"))  # a file's name may be no Unicode


def limits(manifest: Manifest, rows: Sequence[ClassRow]) -> list[str]:
    """List the weaknesses of the model, each with its number.

    Args:
        rows: from `class_rows`, the weakest first.
    """
    metrics, found = manifest.metrics["test"], []
    seen = [row for row in rows if row.photos]
    weak = [row for row in seen if row.recall < metrics["accuracy"] - WEAK]
    if weak:
        named = ", ".join(f"{percent(row.recall, 0)} of {plain(row.label)}" for row in weak[:5])
        found.append(f"It misses some classes far more often than others: it finds {named}.")
    few = [row for row in seen if row.independent_photos < FEW]
    if few:
        found.append(
            f"{len(few):,} of {len(rows):,} classes have fewer than {FEW} independent test "
            "photos: their numbers are hardly known."
        )
    if missing := untested(metrics, plain):
        found.append(f"No test photo shows {missing}: how well these classes work is not known.")
    counts = class_sizes(manifest)
    if is_uneven(counts):
        found.append(
            f"The classes are uneven: {min(counts):,} to {max(counts):,} photos. It "
            "leans towards the common ones where a photo is doubtful."
        )
    if not manifest.calibration:
        found.append(
            "Its probabilities were not calibrated: 0.9 need not mean right nine times in ten."
        )
    found.append(
        "It knows its classes only, and names one of them for any photo. It was tested on photos "
        "of the same collection: expect lower accuracy on other photos (other cameras, light, "
        "places, people)."
    )
    return found


def licence(manifest: Manifest) -> str:
    """Return the licence of the backbone's weights."""
    source, backbone = manifest.training.get("weights", ""), manifest.backbone["name"]
    known = LICENCES.get(source)
    if known is None:
        return f"Read from a file ({plain(source)}): its licence is known to its author."
    return known.format(package=f"{backbone}-pytorch-model")


def plain(text: object) -> str:
    """Escape a name for Markdown, so that it is shown as it is, on one line."""
    return MARKS.sub(r"\\\1", " ".join(str(text).split()))


def code(text: object) -> str:
    """Write a setting or a version as a code span."""
    return "`" + " ".join(str(text).replace("`", "'").split()) + "`"


def _calibration_rows(calibration: CalibrationFacts | None) -> list[tuple[str, str]]:
    """Name what the calibration did, and how precisely that is known."""
    if calibration is None:
        return []
    rows = [
        ("calibration: temperature", f"{calibration.temperature:.4g}"),
        ("calibration: photos", f"{calibration.photos:,}"),
    ]
    if test := calibration.test:
        rows.append(("calibration error", error_in_words(test.after)))
        if sets := test.prediction_sets:
            low, high = map(percent, sets.coverage_interval)
            made = (
                f"{percent(sets.coverage)} ({low} to {high}); made for {percent(sets.promised, 0)}"
            )
            rows.append(("true class in the prediction set", made))
    return rows

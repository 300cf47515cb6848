"""Write the report: one page that opens with the network off.

Pictures and styles are inside the page, and it has no script: a cell of the confusion matrix
opens its photos with the browser's own popovers, so names of classes and files, which come from
other people, have nothing to run in. `templates/` holds the page, a file for each section.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from models.bundle import Manifest
from training.photos.listing import Skipped, left_out_as_json
from training.report.confusion import confused_pairs, matrix, most_confused
from training.report.cost import WATTS_PER_CORE, Cost, watt_hours
from training.report.drawings import draw_probes, short
from training.report.gallery import Gallery
from training.report.learning import LearningRun
from training.report.mistakes import Mistake
from training.report.quantities import duration, energy, percent, settings_in_words
from training.report.summary import class_rows, classes_counted, quoted, summarise_run, untested

TEMPLATES = Path(__file__).with_name("templates")
SKIPPED_SHOWN = 200
CLASSES_OPEN = 30  # rows of the table of classes shown without a click


@dataclass(frozen=True)
class Section:
    """A part of the page that another file renders: a whole <section>, with its h2."""

    title: str  # in the list of contents
    anchor: str  # an id that no other section has
    content: Markup  # escaped already


@dataclass(frozen=True)
class Extras:
    """Parts of the report that not every run has."""

    insight: dict[str, Any] | None = None  # from `write_insight`
    gallery: Gallery = field(default_factory=Gallery)  # photos behind the matrix
    learning: Sequence[LearningRun] = ()
    sections: Sequence[Section] = ()


def write_report(
    path: Path,
    manifest: Manifest,
    cost: Cost,
    skipped: Sequence[Skipped],
    mistakes: Sequence[Mistake],
    extras: Extras = Extras(),
) -> None:
    """Write the page; pictures and styles are inside it."""
    metrics = manifest.metrics["test"]
    rows = class_rows(metrics)
    page = environment().get_template("report.html.j2").render(
        manifest=manifest,
        metrics=metrics,
        untested=untested(metrics, quoted),
        summary=summarise_run(manifest, [run.verdict for run in extras.learning]),
        confused=most_confused(metrics),
        matrix=matrix(metrics, extras.gallery),
        pairs=confused_pairs(metrics, extras.gallery),
        gallery=extras.gallery,
        classes=rows[:CLASSES_OPEN],
        more_classes=rows[CLASSES_OPEN:],
        mistakes=mistakes,
        mistake_count=metrics["photos"] - round(metrics["accuracy"] * metrics["photos"]),
        learning=extras.learning,
        insight=extras.insight,
        probes=draw_probes(extras.insight) if extras.insight else None,
        sections=extras.sections,
        classes_counted=classes_counted(manifest),
        settings=settings_in_words(manifest.training),
        cost=cost,
        watts=WATTS_PER_CORE,
        skipped=skipped[:SKIPPED_SHOWN],
        skipped_count=len(skipped),
        left_out=left_out_as_json(skipped),
    )  # fmt: skip
    path.write_bytes(page.encode("utf-8", "replace"))  # a file's name may be no Unicode


def environment() -> jinja2.Environment:
    """Return the templates with their filters."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "duration": duration,
        "picture": picture,
        "short": short,
        "energy": lambda cpu_seconds: energy(watt_hours(cpu_seconds)),
    }
    return environment


def picture(content: bytes, kind: str) -> str:
    """Encode a picture as a data URL."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"

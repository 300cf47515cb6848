"""The numbers of a run as one page that opens with the network off."""

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from models.bundle import Manifest
from training.photos import Skipped

TEMPLATE = Path(__file__).with_name("report.html.j2")
LARGEST_MATRIX = 60  # classes; a larger confusion matrix cannot be read
SKIPPED_SHOWN = 200


@dataclass(frozen=True)
class Cost:
    """What the run took, and what training end to end would have."""

    seconds: dict[str, float]  # by stage
    end_to_end_seconds: float  # estimated
    epochs: int  # that estimate is for so many

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class Mistake:
    """A test photo that was taken for something else."""

    name: str
    truth: str
    predicted: str
    probability: float
    picture: bytes  # JPEG


@dataclass(frozen=True)
class Searched:
    """What a search came to."""

    summary: dict[str, Any]  # for the manifest
    files: dict[str, bytes]  # for the bundle's folder `search`: trials.json and pictures

    @property
    def verdict(self) -> str:
        """One paragraph for people."""
        return str(self.summary["verdict"])


def write_report(
    path: Path,
    manifest: Manifest,
    cost: Cost,
    skipped: list[Skipped],
    mistakes: list[Mistake],
    insight: dict[str, Any] | None = None,
    searched: Searched | None = None,
) -> None:
    """Write the page; pictures and styles are inside it.

    Args:
        insight: what `write_insight` found, if it was asked to.
        searched: how the head was found, if it was searched for.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"percent": _percent, "duration": _duration, "picture": _picture}
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    metrics = manifest.metrics["test"]
    small = len(metrics["confusion"]) <= LARGEST_MATRIX
    page = template.render(
        manifest=manifest,
        metrics=metrics,
        cost=cost,
        skipped=skipped[:SKIPPED_SHOWN],
        skipped_count=len(skipped),
        mistakes=mistakes,
        mistake_count=metrics["photos"] - round(metrics["accuracy"] * metrics["photos"]),
        confusion=draw_confusion(metrics) if small else None,
        confused=most_confused(metrics),
        insight=insight,
        search=searched,
        probes=draw_probes(insight) if insight else None,
    )
    path.write_bytes(page.encode("utf-8", "replace"))  # a file's name may be no Unicode


def draw_confusion(metrics: dict[str, Any]) -> bytes:
    """The confusion matrix as a PNG: rows are the truth, columns the predictions."""
    counts = np.array(metrics["confusion"])
    labels = metrics["confusion_labels"]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(18.0, 2.2 + 0.46 * len(labels))
    figure = Figure(figsize=(side + 0.6, side), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(
        range(len(labels)), [_short(label) for label in labels], rotation=45, ha="right"
    )
    axes.set_yticks(range(len(labels)), [_short(label) for label in labels])
    axes.set_xlabel("predicted")
    axes.set_ylabel("truth")
    if len(labels) <= 30:
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(counts[row, column]), ha="center", va="center",
                      color=colour, fontsize=9)  # fmt: skip
    return as_png(figure)


def as_png(figure: Figure) -> bytes:
    """The drawn figure; its words are taken as they are."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class may be called $^$
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # drawn as a box
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def draw_probes(insight: dict[str, Any]) -> bytes:
    """Each layer's probe accuracy, from photo to answer, as a PNG."""
    names = [layer["name"] for layer in insight["layers"]]
    shares = [layer["probe_accuracy"] for layer in insight["layers"]]
    figure = Figure(figsize=(max(5.0, 0.42 * len(names) + 1), 3.4), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    axes.plot(range(len(names)), shares, marker="o", color="#0b7285")
    axes.axhline(insight["chance"], color="#999", linestyle="--", linewidth=1)
    axes.set_ylim(0, 1)
    axes.set_xticks(range(len(names)), [_short(name) for name in names], rotation=45, ha="right")
    axes.set_ylabel("accuracy on validation photos")
    return as_png(figure)


def most_confused(metrics: dict[str, Any], count: int = 5) -> list[tuple[str, str, int]]:
    """The pairs (truth, predicted, photos) that are confused most often."""
    counts = np.array(metrics["confusion"])
    np.fill_diagonal(counts, 0)
    labels = metrics["confusion_labels"]
    order = np.argsort(-counts, axis=None, kind="stable")[:count]
    pairs = [(int(i) // len(labels), int(i) % len(labels)) for i in order]
    return [(labels[t], labels[p], int(counts[t, p])) for t, p in pairs if counts[t, p]]


def _short(label: str) -> str:
    return label if len(label) <= 18 else f"{label[:17]}…"


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _picture(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"

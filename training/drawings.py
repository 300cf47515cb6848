"""Drawings of the report: a Matplotlib figure becomes a PNG that is read on light and on dark.

The ground is left out, so that the page shows through; on a dark page the style sheet turns
black into white. Curves are drawn where they belong: curves.py, find_rate.py.
"""

import io
import warnings
from typing import Any

from matplotlib.figure import Figure
from matplotlib.text import Text

LONGEST_LABEL = 18  # characters below a drawing
BLUE, ORANGE, GREY = "#1d5fbf", "#c2570c", "#8a8a8a"  # told apart by the colour-blind too


def as_png(figure: Figure) -> bytes:
    """The drawn figure; its words are taken as they are, never as formulas."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class may be called $^$
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # drawn as a box
        figure.savefig(buffer, format="png", transparent=True)
    return buffer.getvalue()


def short(label: str, most: int = LONGEST_LABEL) -> str:
    """A label of at most so many characters."""
    return label if len(label) <= most else f"{label[: most - 1]}…"


def draw_probes(insight: dict[str, Any]) -> bytes:
    """Each layer's probe accuracy, from photo to answer, as a PNG."""
    names = [layer["name"] for layer in insight["layers"]]
    shares = [layer["probe_accuracy"] for layer in insight["layers"]]
    figure = Figure(figsize=(max(5.0, 0.42 * len(names) + 1), 3.4), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    axes.plot(range(len(names)), shares, marker="o", color=BLUE)
    axes.axhline(insight["chance"], color=GREY, linestyle="--", linewidth=1)
    axes.set_ylim(0, 1)
    axes.set_xticks(range(len(names)), [short(name) for name in names], rotation=45, ha="right")
    axes.set_ylabel("accuracy on validation photos")
    return as_png(figure)

"""Draw curves as PNGs that are readable on a light and on a dark page.

The background is transparent; on a dark page the style sheet turns black into white.
"""

import io
import warnings
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from training.optimisation.epochs import Curves, RateSearch

LONGEST_LABEL = 18  # characters, on an axis
BLUE, ORANGE, GREY = "#1d5fbf", "#c2570c", "#8a8a8a"  # distinct to the colour-blind too


def as_png(figure: Figure) -> bytes:
    """Draw a figure as a PNG; its texts are never read as formulas."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class may be called $^$
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # drawn as a box
        figure.savefig(buffer, format="png", transparent=True)
    return buffer.getvalue()


def short(label: str, most: int = LONGEST_LABEL) -> str:
    """Cut a label to at most so many characters."""
    return label if len(label) <= most else f"{label[: most - 1]}…"


def draw_probes(insight: dict[str, Any]) -> bytes:
    """Draw each layer's probe accuracy, from photo to answer, as a PNG."""
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


def draw_curves(curves: Curves) -> bytes:
    """Draw losses (left) and accuracies (right) over the epochs, as a PNG."""
    figure = Figure(figsize=(8.4, 3.2), layout="constrained", dpi=110)
    epochs = np.arange(1, len(curves.epochs) + 1)
    sides = (
        (
            "loss",
            [epoch.loss for epoch in curves.epochs],
            [epoch.validation_loss for epoch in curves.epochs],
        ),
        (
            "accuracy",
            [epoch.accuracy for epoch in curves.epochs],
            [epoch.validation_accuracy for epoch in curves.epochs],
        ),
    )
    for axes, (name, trained, validated) in zip(figure.subplots(1, 2), sides, strict=True):
        axes.plot(epochs, trained, color=ORANGE, marker="o", markersize=3, label="training")
        axes.plot(epochs, validated, color=BLUE, marker="o", markersize=3, label="validation")
        if name == "loss" and np.isfinite(curves.start_loss):
            axes.plot([0], [curves.start_loss], "s", color=BLUE, markersize=4, label="at the start")
        if curves.best >= 0:
            axes.axvline(curves.best + 1, color=GREY, linestyle="--", linewidth=1, label="kept")
        axes.set_xlabel("epoch")
        axes.set_title(name, fontsize=11)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=8, framealpha=0)
    return as_png(figure)


def draw_rates(search: RateSearch) -> bytes:
    """Draw the training loss over the learning rate, with the rate used, as a PNG."""
    figure = Figure(figsize=(5.4, 3.4), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    axes.plot(search.rates, search.losses, color=BLUE)
    colour, kind = (ORANGE, "used") if search.found else (GREY, "the default")
    label = f"{search.suggested:.1e}, {kind}"
    axes.axvline(search.suggested, color=colour, linestyle="--", label=label)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda rate, _: f"{rate:.0e}")  # the usual one is a formula
    axes.set_ylim(top=min(search.losses.max(), 2 * search.losses[0]))
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss, smoothed")
    axes.legend(fontsize=9, framealpha=0)
    return as_png(figure)

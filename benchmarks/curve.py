"""Accuracy over wall time, ours and the guide's, as a picture.

python -m benchmarks.training PHOTOS --fine-tune --picture FILE.png
"""

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

MARKERS = "osD^vP*"


def draw(rows: Mapping[str, Mapping[str, Any]], file: Path) -> None:
    """One point for each run, and a line through the epochs of those that have a `curve`.

    Args:
        rows: name of a run -> its `seconds` from the command to the result, its `accuracy`, and
            perhaps its `curve`: seconds and accuracy along the way.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained", dpi=130)
    axes = figure.add_subplot()
    for marker, (name, row) in zip(cycle(MARKERS), rows.items(), strict=False):
        colour = "#c77d3a" if name == "guide" else "#0b7285"
        if "curve" in row:
            axes.plot(*zip(*row["curve"], strict=True), "-", color=colour)
        if row["accuracy"] is not None:
            told = f"{name}: {row['accuracy']:.3f}"
            axes.plot(row["seconds"], row["accuracy"], marker, color=colour, label=told)
    axes.set_xscale("log")
    axes.margins(x=0.1, y=0.15)
    axes.set_xticks([10, 30, 100, 300, 1000], ["10 s", "30 s", "100 s", "5 min", "17 min"])
    axes.set_xlabel("wall time, from the command to the result")
    axes.set_ylabel("accuracy on test photos")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=9)
    figure.savefig(file)

"""Accuracy over wall time, ours and the guide's, as a picture.

python -m benchmarks.training PHOTOS --fine-tune --picture FILE.png
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure


def draw(rows: Mapping[str, Mapping[str, Any]], file: Path) -> None:
    """One point for each run, and a line through the epochs of those that have a `curve`.

    Args:
        rows: name of a run -> its `seconds` from the command to the result, its `accuracy`, and
            perhaps its `curve`: seconds and accuracy along the way.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained", dpi=130)
    axes = figure.add_subplot()
    for name, row in rows.items():
        colour = "#c77d3a" if name == "guide" else "#0b7285"
        if "curve" in row:
            axes.plot(*zip(*row["curve"], strict=True), "-", color=colour)
        if row["accuracy"] is not None:
            axes.plot(row["seconds"], row["accuracy"], "o", color=colour)
            place = (row["seconds"], row["accuracy"])
            axes.annotate(name, place, (6, 5), textcoords="offset points", fontsize=9)
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.15)
    axes.set_xticks([10, 30, 100, 300, 1000], ["10 s", "30 s", "100 s", "5 min", "17 min"])
    axes.set_xlabel("wall time, from the command to the result")
    axes.set_ylabel("accuracy on test photos")
    axes.grid(alpha=0.3)
    figure.savefig(file)

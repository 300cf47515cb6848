"""What became of the loss at many learning rates. No Keras: reports read it too."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from training.drawings import BLUE, GREY, ORANGE, as_png


@dataclass(frozen=True)
class RateSearch:
    """The rates that were tried and what became of the loss."""

    rates: np.ndarray  # (S,) ascending
    losses: np.ndarray  # (S,) smoothed training loss
    suggested: float
    found: bool  # False: no rate lowered the loss, and the suggestion is the usual rate

    def as_json(self) -> dict[str, Any]:
        """Plain types, for the manifest."""
        told = {"rates": self.rates.tolist(), "losses": self.losses.tolist()}
        return told | {"suggested": self.suggested, "found": self.found}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> "RateSearch":
        """What `as_json` gave."""
        rates, losses = np.array(told["rates"]), np.array(told["losses"])
        return cls(rates, losses, told["suggested"], told["found"])


def draw_rates(search: RateSearch) -> bytes:
    """The loss over the rate, with the suggestion, as a PNG."""
    figure = Figure(figsize=(5.4, 3.4), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    axes.plot(search.rates, search.losses, color=BLUE)
    colour, kind = (ORANGE, "suggested") if search.found else (GREY, "the usual rate")
    label = f"{search.suggested:.1e}, {kind}"
    axes.axvline(search.suggested, color=colour, linestyle="--", label=label)
    axes.set_xscale("log")
    axes.set_ylim(top=min(search.losses.max(), 2 * search.losses[0]))
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss, smoothed")
    axes.legend(fontsize=9, framealpha=0)
    return as_png(figure)

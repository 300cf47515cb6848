"""What may stand in an address's query, with its range: read by routes and their description."""

from typing import NamedTuple

from models.inside import METHODS


class Number(NamedTuple):
    """A whole number."""

    name: str
    default: int
    lowest: int
    highest: int
    means: str


class Choice(NamedTuple):
    """One of some words; the first by default, unless that depends on the model."""

    name: str
    known: tuple[str, ...]
    means: str
    fixed_default: bool = True


class Words(NamedTuple):
    """Any text; where a pattern is given, it has to match."""

    name: str
    means: str
    default: str | None = None
    pattern: str | None = None


Query = Number | Choice | Words

TOP = Number("top", 5, 1, 1000, "How many of the most probable classes are answered.")
TILE = Number("tile", 0, 0, 512, "Longer side of a tile in pixels; 0: one pixel a position.")
BY = Choice("by", ("strength", "effect"), "What `top:N` ranks channels by.")
SCALE = Choice("scale", ("layer", "channel"), "Whether all tiles share the brightest value.")
COLOUR = Choice("colour", ("ember", "grey"), "The colours of the sheet.")
OVERLAY = Choice("overlay", ("0", "1"), "1: each map is laid over the photo.")
METHOD = Choice("method", METHODS, "How the saliency is computed.", fixed_default=False)
LABEL = Words("label", "The class that is explained; without it, the predicted one.")
CHANNELS = Words(
    "channels",
    "`all`, `top:N` (the highest first) or indices with commas.",
    default="all",
    pattern=r"^(all|top:[0-9]{1,9}|[0-9]{1,9}(,[0-9]{1,9})*)$",
)
ADDRESS = Words("v", "As in the address that the channel answers: then it may be kept for good.")

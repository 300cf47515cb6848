"""How a photo meets the network's square."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from models.decoding.deep_pixels import Levels
from models.errors import SettingError

SIZES_PX = (8, 2048)  # of the network's square input, least and most
FRACTIONS = (0.1, 1.0)  # of the shorter side that a crop keeps, likewise
Resize = Literal["crop", "squash", "pad"]
Box = tuple[float, float, float, float]  # left, top, right, bottom in px


@dataclass(frozen=True)
class Framing:
    """How a photo meets the network's square; recorded in every saved model.

    `crop` takes the centred square whose side is `fraction` of the shorter side; `squash`
    takes the whole photo and changes its proportions; `pad` takes it whole and as it is, with
    black beside it.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}  # read from a manifest

    size: int  # px, the network's input
    resize: Resize = "crop"
    fraction: float = 0.875  # as in ImageNet evaluation: Szegedy et al. 2015, arXiv:1512.00567
    levels: Levels | None = None  # what deep pixels show as 0 and 255; None: all of 16 bits

    def __post_init__(self) -> None:
        if not SIZES_PX[0] <= self.size <= SIZES_PX[1]:
            expected = f"{SIZES_PX[0]} to {SIZES_PX[1]}"
            raise SettingError(f"size is {self.size} px; expected {expected}")
        if self.resize not in ("crop", "squash", "pad"):
            raise SettingError(f"resize is {self.resize!r}; expected crop, squash or pad")
        if not FRACTIONS[0] <= self.fraction <= FRACTIONS[1]:
            expected = f"{FRACTIONS[0]:g} to {FRACTIONS[1]:g}"
            raise SettingError(f"fraction is {self.fraction}; expected {expected}")
        if self.levels and not -math.inf < self.levels[0] < self.levels[1] < math.inf:
            raise SettingError(f"levels are {self.levels}; expected two numbers, the lower first")

    def box(self, width: int, height: int) -> Box:
        """The part of a width x height photo that is kept."""
        if self.resize != "crop":
            return 0.0, 0.0, float(width), float(height)
        side = max(1.0, min(width, height) * self.fraction)
        return (width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2


def place(target: Framing | int, width: int, height: int) -> tuple[Box, tuple[int, int]]:
    """The part of a width x height photo to keep, and the size in px it is brought to.

    Args:
        target: a framing, or the longest side in px of the whole photo.
    """
    if isinstance(target, Framing) and target.resize != "pad":
        return target.box(width, height), (target.size, target.size)
    longest = max(width, height)
    scale = target.size / longest if isinstance(target, Framing) else min(1.0, target / longest)
    return (0, 0, width, height), (max(1, round(width * scale)), max(1, round(height * scale)))

"""Every setting of a run, in one place, checked when it is made."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models.backbones import Backbone, find_backbone
from models.cores import usable_cores
from models.errors import SettingError
from models.images import FORMATS, MORE_FORMATS, Framing, Limits, Resize


def default_cache() -> Path:
    """Where features are kept: $LAYERSCOPE_CACHE, or `layerscope` in the user's cache folder."""
    chosen = os.environ.get("LAYERSCOPE_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(home) / "layerscope"


@dataclass(frozen=True)
class FitConfig:
    """What `fit` may be told; each field with its unit, range and reason."""

    backbone: str = "efficientnet-lite0"  # a row of models/backbones.py
    weights: str = ""  # embedded, imagenet, none or a file; empty: the backbone's own
    size: int = 0  # px, the network's input; 0: what the backbone was trained at
    resize: Resize = "crop"  # crop keeps proportions; squash keeps the edges of the photo
    fraction: float = 0.875  # of the shorter side that a crop keeps; 0.1 to 1
    seed: int = 0  # gives the same split, features and head; 0 or more
    validation_share: float = 0.15  # of photos that came without a side; 0.05 to 0.4
    test_share: float = 0.15  # likewise
    threads: int = 0  # that decode and compute features; 0: one for each core
    max_megapixels: float = 25.0  # larger photos are skipped; 0.001 to 1000
    more_formats: bool = False  # also read TIFF and AVIF
    insight: bool = True  # find out what each layer detects; half as much time again
    layers: tuple[str, ...] = ()  # to look into; empty: every block and the last
    cache: Path = field(default_factory=default_cache)

    def __post_init__(self) -> None:
        find_backbone(self.backbone)
        _within("seed", self.seed, 0, 2**32 - 1)
        _within("validation-share", self.validation_share, 0.05, 0.4)
        _within("test-share", self.test_share, 0.05, 0.4)
        _within("threads", self.threads, 0, 256)
        _within("max-megapixels", self.max_megapixels, 0.001, 1000)
        Framing(self.framing.size, self.resize, self.fraction)

    @property
    def row(self) -> Backbone:
        """The backbone's row of the table."""
        return find_backbone(self.backbone)

    @property
    def weights_source(self) -> str:
        """`weights`, or what the backbone comes with."""
        return self.weights or self.row.default_weights

    @property
    def framing(self) -> Framing:
        """How a photo meets the network's square."""
        return Framing(self.size or self.row.size, self.resize, self.fraction)

    @property
    def limits(self) -> Limits:
        """What one photo may cost to decode."""
        formats = FORMATS + MORE_FORMATS if self.more_formats else FORMATS
        pixels = int(self.max_megapixels * 1e6)
        return Limits(size_bytes=max(20_000_000, pixels * 4), pixels=pixels, formats=formats)

    @property
    def workers(self) -> int:
        """Threads that decode and compute features."""
        return self.threads or usable_cores()

    def as_json(self) -> dict[str, Any]:
        """Settings that change the result, for the manifest; places are left out."""
        fields = asdict(self)
        del fields["cache"], fields["threads"]
        size, weights = self.framing.size, Path(self.weights_source).name
        return fields | {"weights": weights, "size": size, "layers": list(self.layers)}


def _within(name: str, value: float, lowest: float, highest: float) -> None:
    if not lowest <= value <= highest:
        raise SettingError(f"--{name} is {value}; expected {lowest} to {highest}")

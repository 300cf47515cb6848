"""Runs whose network is tried in INT8."""

from pathlib import Path
from typing import Any

from models.bundle import Manifest
from training.fit import fit
from training.settings.config import FitConfig
from training.settings.console import Stages

INT8 = "predict.int8.onnx"
COUNTS = {"train": 30, "validation": 20, "test": 5}  # of each class: 60 judge it, 50 are needed


def train(place: Path, out: Path, **settings: Any) -> Manifest:
    """Fit on the photos below `place`, quickly."""
    usual: dict[str, Any] = {"backbone": "tiny", "insight": False, "check": False}
    config = FitConfig(**usual | {"cache": place / "cache"} | settings)
    return fit(place / "photos", out, config, Stages(quiet=True))

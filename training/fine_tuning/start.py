"""Where fine-tuning begins, and the names under which its caches are kept.

`Frozen` needs no Keras, and can be sent to another process or machine.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.building.head import DenseLayer, Head
from models.bundle import LayerEntry
from training.features.compute import Features
from training.fine_tuning.map_store import Key
from training.fine_tuning.views import ViewRecipe
from training.settings.config import FitConfig
from training.settings.recipe import name_of
from training.sides.split import Split

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Frozen:
    """Photos with their sides, features of a frozen backbone, and a head trained on them."""

    layers: Sequence[LayerEntry]
    identity: str  # of those weights
    features: Features
    split: Split
    labels: np.ndarray  # (N,) class index of each photo
    head: Head  # trained on the plain features
    began: float  # time.monotonic() when the run began; `minutes` count from there


@dataclass(frozen=True)
class Start(Frozen):
    """The same, with the backbone."""

    backbone: "keras.Model"  # with its pretrained weights

    def keys(self, row: int, views: int) -> list[Key]:
        """List the keys of a photo's first views in the store of feature maps."""
        return [(self.features.digests[row], view) for view in range(views)]

    def store_name(self, config: FitConfig, cut: str) -> str:
        """Name the store of feature maps after all that they depend on."""
        parts = (self.identity, cut, view_recipe(config))
        return f"views-{config.row.name}-{name_of(parts)}"

    def content(self) -> str:
        """Hash the photos, their sides and labels, and the head that training begins with."""
        together = hashlib.sha256(repr((self.split.train, self.split.validation)).encode())
        together.update(b"".join(self.features.digests) + self.labels.tobytes())
        for part in self.head:
            if isinstance(part, DenseLayer):
                together.update(part.kernel.tobytes() + part.bias.tobytes())
        return together.hexdigest()


def view_recipe(config: FitConfig) -> ViewRecipe:
    """Collect all that the views of a photo depend on."""
    views = config.random_views
    return ViewRecipe(config.framing, config.limits, views.smallest_area, views.mirror, config.seed)

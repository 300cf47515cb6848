"""What each layer detects, read back from a bundle: `training/insight/write.py` wrote it.

One file of plain arrays a layer, read when it is first asked for. Nothing here can make a
Python object out of a file.
"""

import io
import json
import zipfile
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from models.bundle import Bundle
from models.errors import BundleError, UnknownChannel

INDEX = "insight/insight.json"


class Exemplar(NamedTuple):
    """A training photo that excites a channel, and where."""

    photo: str  # file name
    label: str
    value: float  # the channel's largest answer on it
    box: list[int]  # px of the network's view: left, top, right, bottom of the receptive field
    at: list[int]  # px: x, y of the strongest position


class LayerInsight:
    """What was found out about one layer. Arrays have a row for each channel."""

    def __init__(self, summary: dict[str, Any], arrays: dict[str, np.ndarray]):
        self.probe_accuracy: float = summary["probe_accuracy"]
        self.dead_share: float = summary["dead_share"]
        self.duplicate_share: float = summary["duplicate_share"]
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays["mean"])

    def check_channel(self, channel: int) -> int:
        """`channel`, if the layer has it. Raises UnknownChannel."""
        if not 0 <= channel < len(self):
            raise UnknownChannel(channel, len(self))
        return channel

    def sprite(self, channel: int) -> bytes:
        """The exemplars of one channel as a WebP with 3 x 3 tiles."""
        ends = self.arrays["sprite_ends"]
        start = ends[channel - 1] if channel else 0
        return self.arrays["sprites"][start : ends[channel]].tobytes()


class Insight:
    """The folder insight/ of one bundle."""

    def __init__(self, bundle: Bundle):
        """Read the index. Raises BundleError."""
        self._bundle = bundle
        try:
            self.index: dict[str, Any] = json.loads(bundle.read(INDEX))
            self._layers = {entry["name"]: entry for entry in self.index["layers"]}
            self.class_names: list[str] = self.index["class_names"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BundleError(bundle.path, f"{INDEX} is not as expected: {error}") from error
        self.layer = lru_cache(maxsize=64)(self._read_layer)

    @property
    def summaries(self) -> dict[str, dict[str, Any]]:
        """Layer -> probe accuracy, shares of dead channels and of near copies."""
        keys = ("probe_accuracy", "dead_share", "duplicate_share")
        return {name: {key: entry[key] for key in keys} for name, entry in self._layers.items()}

    def _read_layer(self, name: str) -> LayerInsight | None:
        """One layer; None if it was not looked into. Raises BundleError."""
        entry = self._layers.get(name)
        if entry is None:
            return None
        file = f"insight/{entry['file']}"
        try:
            with np.load(io.BytesIO(self._bundle.read(file)), allow_pickle=False) as arrays:
                return LayerInsight(entry, {key: arrays[key] for key in arrays.files})
        except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            raise BundleError(self._bundle.path, f"{file} is not as expected: {error}") from error

    def exemplars(self, layer: LayerInsight, channel: int) -> list[Exemplar]:
        """The photos that excite one channel most, strongest first."""
        arrays = layer.arrays
        found = []
        for place, photo in enumerate(arrays["exemplar_photo"][channel]):
            if photo >= 0:
                found.append(
                    Exemplar(
                        self.index["exemplar_names"][photo],
                        self.index["exemplar_labels"][photo],
                        float(arrays["exemplar_value"][channel, place]),
                        arrays["exemplar_box"][channel, place].tolist(),
                        arrays["exemplar_at"][channel, place].tolist(),
                    )
                )
        return found

    def visualised(self, layer: str, channel: int) -> dict[str, Any] | None:
        """The computed picture of a channel: its `file`, and whether it `converged`."""
        for entry in self.index.get("visualised", []):
            if (entry["layer"], entry["channel"]) == (layer, channel):
                found: dict[str, Any] = entry
                return found
        return None

    def label_of(self, layer: LayerInsight, channel: int) -> str | None:
        """The class a channel fires for most; None where it is dead."""
        label = int(layer.arrays["class"][channel])
        return self.class_names[label] if label >= 0 else None

    def effects(self, layer: LayerInsight, pooled: np.ndarray, label: str) -> np.ndarray | None:
        """What the layer's own linear probe loses of a class without each channel.

        Args:
            pooled: (C,) float32, the mean of each map.

        Returns:
            (C,) float32; None if the probe does not know the class.
        """
        if label not in self.class_names:
            return None
        weights: np.ndarray = layer.arrays["probe_kernel"][:, self.class_names.index(label)]
        return weights * pooled

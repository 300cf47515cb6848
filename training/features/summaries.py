"""Summarise the feature maps of one photo: five numbers a channel, instead of the maps.

They are enough to find later which photos excite a channel most and where, for which class it
fires, and what a linear probe learns from the layer.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from models.bundle import LayerEntry

SUMMARY = np.dtype(
    [
        ("mean", "<f2"),  # over all positions, as pooling gives it
        ("strength", "<f2"),  # the mean of the positive part
        ("peak", "<f2"),  # the largest value
        ("row", "<u2"),  # of the position with the largest value
        ("column", "<u2"),
    ]
)
_LARGEST = float(np.finfo(np.float16).max)


class LayerSummaries:
    """How the summaries of some layers lie in one record of bytes, a record for each photo."""

    def __init__(self, layers: Sequence[LayerEntry]):
        self.names = [layer.name for layer in layers]
        self._places = {}
        end = 0
        for layer in layers:
            self._places[layer.name] = end
            end += layer.channels * SUMMARY.itemsize
        self.size = end  # bytes of a record
        text = ", ".join(f"{layer.name}:{layer.channels}" for layer in layers)
        self.key = hashlib.sha256(text.encode()).hexdigest()[:16]  # of this choice of layers

    def place(self, layer: str, channels: range) -> tuple[int, int]:
        """Return where some channels of a layer begin in a record, and their length, in bytes."""
        start = self._places[layer] + channels.start * SUMMARY.itemsize
        return start, len(channels) * SUMMARY.itemsize

    def write(self, maps: Sequence[np.ndarray]) -> bytes:
        """Write the record of one photo from the layers' maps, each (C, h, w) float32."""
        return b"".join(summarise_maps(each).tobytes() for each in maps)


def summarise_maps(maps: np.ndarray) -> np.ndarray:
    """Summarise (C, h, w) float32 maps as (C,) of SUMMARY; float16 is precise enough to rank."""
    channels, height, width = maps.shape
    flat = maps.reshape(channels, -1)
    share = np.full(
        height * width, 1 / (height * width), np.float32
    )  # `mean` takes three times as long
    summary = np.empty(channels, SUMMARY)
    place = flat.argmax(axis=1)
    mean = flat @ share
    numbers = {
        "mean": mean,
        "strength": mean if flat.min() >= 0 else np.maximum(flat, 0) @ share,
        "peak": flat[np.arange(channels), place],
    }
    for name, values in numbers.items():
        summary[name] = np.clip(values, -_LARGEST, _LARGEST)
    summary["row"], summary["column"] = np.divmod(place, width)
    return summary

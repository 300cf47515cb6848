"""What is remembered of a layer's answer to one photo: five numbers a channel.

Enough to say afterwards which photos excite a channel most and where, for which class it
fires, and what a linear probe could learn from the layer; without keeping any map.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from models.bundle import LayerEntry

SUMMARY = np.dtype(
    [
        ("mean", "<f2"),  # over all positions: what pooling would give
        ("strength", "<f2"),  # the mean of the positive part
        ("peak", "<f2"),  # the largest value
        ("row", "<u2"),  # of the position with the largest value
        ("column", "<u2"),
    ]
)
_LARGEST = float(np.finfo(np.float16).max)


class Record:
    """The summaries of some layers, one after the other: what is kept of one photo."""

    def __init__(self, layers: Sequence[LayerEntry]):
        self.names = [layer.name for layer in layers]
        self._places = {}
        end = 0
        for layer in layers:
            self._places[layer.name] = end
            end += layer.channels * SUMMARY.itemsize
        text = ", ".join(f"{layer.name}:{layer.channels}" for layer in layers)
        self.key = hashlib.sha256(text.encode()).hexdigest()[:16]  # of this choice of layers

    def place(self, layer: str, channels: range) -> tuple[int, int]:
        """Where some channels of a layer begin in a record, and their length; both in bytes."""
        start = self._places[layer] + channels.start * SUMMARY.itemsize
        return start, len(channels) * SUMMARY.itemsize

    def write(self, maps: Sequence[np.ndarray]) -> bytes:
        """A record from the layers' answers to one photo, each (C, h, w) float32."""
        return b"".join(summarise(each).tobytes() for each in maps)


def summarise(maps: np.ndarray) -> np.ndarray:
    """(C, h, w) float32 -> (C,) of SUMMARY. Halves keep three digits: enough to rank by."""
    channels, height, width = maps.shape
    flat = maps.reshape(channels, -1)
    share = np.full(height * width, 1 / (height * width), np.float32)  # `mean` takes thrice as long
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

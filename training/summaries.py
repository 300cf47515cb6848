"""What is remembered of a layer's answer to one photo: five numbers a channel.

Enough to say afterwards which photos excite a channel most and where, for which class it
fires, and what a linear probe could learn from the layer; without keeping any map.
"""

import numpy as np

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


def summarise(maps: np.ndarray) -> np.ndarray:
    """(C, h, w) float32 -> (C,) of SUMMARY. Halves keep three digits: enough to rank by."""
    channels, _, width = maps.shape
    flat = maps.reshape(channels, -1)
    summary = np.empty(channels, SUMMARY)
    place = flat.argmax(axis=1)
    peak, mean = flat[np.arange(channels), place], flat.mean(axis=1)
    strength = mean if flat.min() >= 0 else np.maximum(flat, 0).mean(axis=1)
    numbers = {"mean": mean, "strength": strength, "peak": peak}
    for name, values in numbers.items():
        summary[name] = np.clip(values, -_LARGEST, _LARGEST)
    summary["row"], summary["column"] = np.divmod(place, width)
    return summary

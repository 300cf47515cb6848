"""Pooling: over windows, and over the whole map."""

from collections.abc import Callable
from typing import Any

from models.building.writers.convolutions import pads
from models.building.writers.writer import Writer


def _pool(kind: str) -> Callable[[Writer, Any, str], str]:
    def write(w: Writer, layer: Any, x: str) -> str:
        window = tuple(layer.pool_size)
        around = pads(layer, window, (1, 1))
        return w.node(kind, [x], kernel_shape=window, strides=layer.strides, pads=around)

    return write


def _global(kind: str) -> Callable[[Writer, Any, str], str]:
    def write(w: Writer, layer: Any, x: str) -> str:
        axes = [2, 3] if len(layer.input.shape) == 4 else [1]
        return w.node(kind, [x, w.integers(axes)], keepdims=int(layer.keepdims))

    return write


WRITERS: dict[str, Callable[..., str]] = {
    "AveragePooling2D": _pool("AveragePool"),
    "GlobalAveragePooling1D": _global("ReduceMean"),
    "GlobalAveragePooling2D": _global("ReduceMean"),
    "GlobalMaxPooling1D": _global("ReduceMax"),
    "GlobalMaxPooling2D": _global("ReduceMax"),
    "MaxPooling2D": _pool("MaxPool"),
}

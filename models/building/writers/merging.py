"""Layers that make one tensor of several."""

from collections.abc import Callable
from typing import Any

from models.building.writers.writer import Writer


def _alike(w: Writer, layer: Any, xs: tuple[str, ...]) -> list[str]:
    """Give vectors that meet feature maps a height and a width of one, as Keras does."""
    inputs = layer.input if isinstance(layer.input, (list, tuple)) else [layer.input]
    ranks = {len(tensor.shape) for tensor in inputs}
    if len(ranks) == 1 or len(inputs) != len(xs):  # or one of them is a number
        return list(xs)
    if ranks != {2, 4}:
        raise KeyError(f"tensors of {sorted(ranks)} axes")
    return [
        w.node("Reshape", [x, w.integers([0, -1, 1, 1])]) if len(tensor.shape) == 2 else x
        for x, tensor in zip(xs, inputs, strict=True)
    ]


def _merge(kind: str) -> Callable[..., str]:
    def write(w: Writer, layer: Any, *xs: str) -> str:
        first, *others = _alike(w, layer, xs)
        for x in others:
            first = w.node(kind, [first, x])
        return first

    return write


def _mean_of(w: Writer, layer: Any, *xs: str) -> str:
    return w.node("Mean", _alike(w, layer, xs))


def _concatenate(w: Writer, layer: Any, *xs: str) -> str:
    rank = len(layer.output.shape)
    axis = layer.axis % rank
    if axis == 0:
        raise KeyError("Concatenate along the photos")
    return w.node("Concat", list(xs), axis={1: 2, 2: 3, 3: 1}[axis] if rank == 4 else axis)


WRITERS: dict[str, Callable[..., str]] = {
    "Add": _merge("Add"),
    "Average": _mean_of,
    "Concatenate": _concatenate,
    "Divide": _merge("Div"),
    "Maximum": _merge("Max"),
    "Minimum": _merge("Min"),
    "Multiply": _merge("Mul"),
    "Subtract": _merge("Sub"),
}

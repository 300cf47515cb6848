"""The part of a graph writer that the function of a layer uses."""

from typing import Any, Protocol


class Writer(Protocol):
    """Appends nodes and numbers to a graph."""

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Append a node; returns the name of its output."""

    def constant(self, value: Any) -> str:
        """Append float32 numbers; returns their name."""

    def integers(self, value: Any) -> str:
        """Append int64 numbers, for shapes and axes; returns their name."""


def transpose(w: Writer, x: str, perm: tuple[int, ...]) -> str:
    """Reorder the axes of a tensor."""
    return w.node("Transpose", [x], perm=perm)


def channels_last(w: Writer, x: str, rank: int) -> str:
    """Bring a tensor to Keras' order of axes."""
    return transpose(w, x, (0, 2, 3, 1)) if rank == 4 else x


def channels_first(w: Writer, x: str, rank: int) -> str:
    """Bring a tensor from Keras' order of axes to this graph's."""
    return transpose(w, x, (0, 3, 1, 2)) if rank == 4 else x


def is_last(axis: int, rank: int) -> bool:
    """Return whether `axis` is that of the channels in Keras."""
    return axis in (-1, rank - 1)

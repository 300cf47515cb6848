"""Keras network -> ONNX graph, written layer by layer.

Every layer's output has the layer's name, and feature maps stay in
(N, C, H, W), the layout the CPU kernels compute in, from the first layer to the last.
Writing takes a fraction of a second, where tracing the network and converting the trace
takes from ten seconds to minutes. A kind of layer without a writer is refused by name.
"""

from typing import Any

import keras
import numpy as np

from models.building.onnx_graph import GraphWriter
from models.building.onnx_layers import WRITERS
from models.errors import ExportError


def to_onnx(network: keras.Model, outputs: dict[str, Any]) -> bytes:
    """Write `network`, or a part of it, as one ONNX graph that answers `outputs`.

    Args:
        network: flat, with one input of a fixed size.
        outputs: name -> Keras tensor. Maps leave as (N, C, h, w), vectors as (N, C).

    Raises:
        ExportError: a layer of a kind that has no writer.
    """
    writer = _Writer()
    wanted = _ancestors(network, outputs)
    for operation in network.operations:
        if id(operation) in wanted:
            writer.write(operation)
    for name, tensor in outputs.items():
        writer.rename(writer.names[id(tensor)], name)
    shapes = {name: (t.shape[-1], *t.shape[1:-1]) for name, t in outputs.items()}  # channels first
    return writer.finish(network.name, ("image", network.input_shape[1:]), shapes)


def _ancestors(network: keras.Model, outputs: dict[str, Any]) -> set[int]:
    """Find the operations that the outputs need, by their ids."""
    needed = {id(tensor) for tensor in outputs.values()}
    wanted = set()
    for operation in reversed(network.operations):
        if id(operation.output) in needed:
            wanted.add(id(operation))
            needed |= {id(tensor) for tensor in keras.tree.flatten(operation.input)}
    return wanted


class _Writer(GraphWriter):
    """A graph being written from Keras' layers."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[int, str] = {}  # the ONNX name of each Keras tensor, by its id

    def number(self, value: Any) -> str:
        """Store a number that a layer was called with, or one for each channel."""
        array = np.asarray(value, np.float32)
        return self.constant(array.reshape(1, -1, 1, 1) if array.ndim == 1 else array)

    def write(self, operation: Any) -> None:
        """Write one layer, or one operation such as `x + 3`."""
        kind = type(operation).__name__
        if kind == "InputLayer":
            shape = operation.output.shape
            image = len(shape) == 4
            name = self.node("Transpose", ["image"], perm=(0, 3, 1, 2)) if image else "image"
        elif kind not in WRITERS:
            raise ExportError(operation.name, kind)
        else:
            try:
                name = WRITERS[kind](self, operation, *self._arguments(operation))
            except KeyError as error:
                raise ExportError(operation.name, f"{kind} with {error}") from error
        self.names[id(operation.output)] = name

    def _arguments(self, operation: Any) -> list[str]:
        """Name what the operation was called with; numbers become constants."""
        called = operation._inbound_nodes[0].arguments
        named = [v for v in keras.tree.flatten(called.kwargs) if id(v) in self.names]
        return [
            self.names[id(argument)] if id(argument) in self.names else self.number(argument)
            for argument in [*keras.tree.flatten(called.args), *named]
        ]

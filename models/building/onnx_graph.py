"""Writing one ONNX graph: nodes, constants, and the whole of it, checked and serialised."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 20  # the first with Gelu
IR_VERSION = 10


class GraphWriter:
    """Nodes and constants of a graph being written."""

    def __init__(self, prefix: str = "/"):
        """Begin a graph. `prefix` begins each name that is made up; no layer's name has a slash."""
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append a node; returns the name of its output."""
        output = f"{self.prefix}n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def rename(self, tensor: str, output: str) -> None:
        """Let `tensor` leave the graph as `output`."""
        self.nodes.append(helper.make_node("Identity", [tensor], [output]))

    def constant(self, value: Any) -> str:
        """Append float32 numbers; returns their name."""
        return self._store(np.ascontiguousarray(value, np.float32))

    def integers(self, value: Any) -> str:
        """Append int64 numbers, for shapes and axes; returns their name."""
        return self._store(np.asarray(value, np.int64))

    def _store(self, array: np.ndarray) -> str:
        name = f"{self.prefix}c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def finish(
        self, name: str, entry: tuple[str, Sequence[int]], outputs: Mapping[str, Sequence[int]]
    ) -> bytes:
        """Serialise the graph. `entry`, `outputs`: names, and shapes without the photos' axis."""
        source = helper.make_tensor_value_info(entry[0], TensorProto.FLOAT, ["N", *entry[1]])
        results = [
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", *shape])
            for output, shape in outputs.items()
        ]
        graph = helper.make_graph(self.nodes, name, [source], results, self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

"""Keras network -> ONNX graphs, written layer by layer, with the answers compared.

Every layer's output can be asked for by the layer's name, and feature maps stay in
(N, C, H, W), the layout the CPU kernels compute in, from the first layer to the last.
Writing takes a fraction of a second, where tracing the network and converting the trace
takes from ten seconds to minutes. A kind of layer without a writer is refused by name.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.errors import ExportError, ParityError
from models.graph import map_tensors
from models.onnx_layers import WRITERS
from models.runtime import Graph

OPSET = 20  # the first with Gelu
IR_VERSION = 10
LOGITS_LIMIT = 1e-3  # largest difference between Keras' logits and ONNX' that is let through


@dataclass(frozen=True)
class Parity:
    """How closely the exported graphs follow Keras on some photos."""

    photos: int
    logits: float  # largest absolute difference
    maps: float  # likewise over every mapped layer
    onnx_ms: float  # what one core takes for one of these photos, compiled

    def as_json(self) -> dict[str, Any]:
        """Plain types, for the manifest."""
        return asdict(self)


def to_onnx(network: keras.Model, outputs: dict[str, Any], source: Any = None) -> bytes:
    """`network`, or a part of it, as one ONNX graph that answers `outputs`.

    Args:
        network: flat, with one input of a fixed size.
        outputs: name -> Keras tensor. Maps leave as (N, C, h, w), vectors as (N, C).
        source: the Keras tensor, a vector, where the part begins; None: the photo.

    Raises:
        ExportError: a layer of a kind that has no writer.
    """
    writer = _Writer()
    wanted = _ancestors(network, outputs, source)
    if source is not None:
        writer.names[id(source)] = "features"
    for operation in network.operations:
        if id(operation) in wanted:
            writer.write(operation)
    for name, tensor in outputs.items():
        writer.nodes.append(helper.make_node("Identity", [writer.names[id(tensor)]], [name]))
    entry = ("image", network.input_shape[1:]) if source is None else ("features", source.shape[1:])
    return writer.finish(network.name, *entry, outputs)


def export_network(network: keras.Model) -> dict[str, bytes]:
    """`predict.onnx`: logits and features; `layers.onnx`: those and every mapped layer;
    `head.onnx`: from features to logits.

    Args:
        network: raw RGB -> logits, with a layer `pool` whose output is the features.
    """
    answers = {"logits": network.output, "features": network.get_layer("pool").output}
    maps = map_tensors(network)
    return {
        "predict.onnx": to_onnx(network, answers),
        "layers.onnx": to_onnx(network, answers | maps),
        "head.onnx": to_onnx(network, {"logits": network.output}, source=answers["features"]),
    }


def measure_parity(network: keras.Model, graphs: dict[str, bytes], photos: np.ndarray) -> Parity:
    """Compare Keras and ONNX on real photos: logits from both graphs, and every map.

    Args:
        photos: (N, S, S, 3) uint8.

    Raises:
        ParityError: logits differ by more than `LOGITS_LIMIT`, or are not finite.
    """
    tensors = map_tensors(network)
    batch = photos.astype(np.float32)
    model = keras.Model(network.input, [network.output, *tensors.values()])
    called = model(batch, training=False)  # `predict` would compile first: seconds for one batch
    expected = [np.asarray(tensor) for tensor in keras.tree.flatten(called)]
    answers = Graph(graphs["layers.onnx"]).run(batch, ["logits", *tensors])
    predict = Graph(graphs["predict.onnx"])
    predict.run(batch[:1], ["logits"])  # the first run makes room
    started = time.perf_counter()
    short = predict.run(batch, ["logits"])[0]
    onnx_ms = (time.perf_counter() - started) * 1000 / len(photos)
    pair = [_difference(answers[0], expected[0]), _difference(short, expected[0])]
    logits = float(np.max(pair))  # NaN wins, as it should
    pairs = zip(answers[1:], expected[1:], strict=True)
    maps = max((_difference(a.transpose(0, 2, 3, 1), e) for a, e in pairs), default=0.0)
    if not logits <= LOGITS_LIMIT:
        raise ParityError(logits, LOGITS_LIMIT)
    return Parity(len(photos), logits, maps, onnx_ms)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


def _ancestors(network: keras.Model, outputs: dict[str, Any], source: Any) -> set[int]:
    """Ids of the operations between `source` and the outputs."""
    needed = {id(tensor) for tensor in outputs.values()}
    wanted = set()
    for operation in reversed(network.operations):
        if operation.output is not source and id(operation.output) in needed:
            wanted.add(id(operation))
            needed |= {id(tensor) for tensor in keras.tree.flatten(operation.input)}
    return wanted


class _Writer:
    """Nodes and constants of the graph being written."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.names: dict[int, str] = {}  # the ONNX name of each Keras tensor, by its id

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        output = f"/n{len(self.nodes)}"  # no layer's name may hold a slash
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, value: Any) -> str:
        return self._store(np.ascontiguousarray(value, np.float32))

    def integers(self, value: Any) -> str:
        return self._store(np.asarray(value, np.int64))

    def number(self, value: Any) -> str:
        """What a layer was called with beside tensors: a number, or one for each channel."""
        array = np.asarray(value, np.float32)
        return self.constant(array.reshape(1, -1, 1, 1) if array.ndim == 1 else array)

    def _store(self, array: np.ndarray) -> str:
        name = f"/c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def write(self, operation: Any) -> None:
        """One layer, or one operation such as `x + 3`."""
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
        """Names of what the operation was called with; numbers become constants."""
        called = operation._inbound_nodes[0].arguments
        named = [v for v in keras.tree.flatten(called.kwargs) if id(v) in self.names]
        return [
            self.names[id(argument)] if id(argument) in self.names else self.number(argument)
            for argument in [*keras.tree.flatten(called.args), *named]
        ]

    def finish(self, name: str, entry: str, shape: Sequence[int], outputs: dict[str, Any]) -> bytes:
        """The whole graph with its input `entry`, checked and serialised."""
        source = helper.make_tensor_value_info(entry, TensorProto.FLOAT, ["N", *shape])
        results = []
        for output, tensor in outputs.items():
            shape = [tensor.shape[-1], *tensor.shape[1:-1]]  # channels first
            results.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", *shape]))
        graph = helper.make_graph(self.nodes, name, [source], results, self.constants)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(model)
        return model.SerializeToString()

"""A look at an ONNX file before it is run, with protobuf alone.

ONNX Runtime loads weights that are not numbers without complaint, and a ReLU may hide them
from every answer but the wrong ones. Numbers kept in other files are refused too: a graph is
one file, and that file was hashed. So is every graph within a graph, as those of Loop, Scan
and If: without them a run has as many steps as the file has nodes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from models.onnx_operators import FLOATS, check_operators

EXTERNAL = 1  # TensorProto.DataLocation
WHOLE = (2, 3, 4, 5, 6, 7, 9, 12, 13)  # whole numbers and bool; nothing else is needed
_FIELD = descriptor_pb2.FieldDescriptorProto
_BYTES, _FLOAT, _DOUBLE = _FIELD.TYPE_BYTES, _FIELD.TYPE_FLOAT, _FIELD.TYPE_DOUBLE
_INT32, _STRING = _FIELD.TYPE_INT32, _FIELD.TYPE_STRING
# message -> field -> (number in onnx.proto3, type or the message's name, repeated)
_MESSAGES: dict[str, dict[str, tuple[int, Any, bool]]] = {
    "Any": {},  # that it is there is enough
    "Tensor": {
        "data_type": (2, _INT32, False),
        "float_data": (4, _FLOAT, True),
        "int32_data": (5, _INT32, True),
        "name": (8, _STRING, False),
        "raw_data": (9, _BYTES, False),
        "double_data": (10, _DOUBLE, True),
        "data_location": (14, _INT32, False),
    },
    "Attribute": {
        "f": (2, _FLOAT, False),
        "t": (5, "Tensor", False),
        "g": (6, "Any", False),
        "floats": (7, _FLOAT, True),
        "tensors": (10, "Tensor", True),
        "graphs": (11, "Any", True),
        "sparse_tensor": (22, "Any", False),
        "sparse_tensors": (23, "Any", True),
    },
    "Node": {
        "input": (1, _STRING, True),
        "output": (2, _STRING, True),
        "op_type": (4, _STRING, False),
        "attribute": (5, "Attribute", True),
        "domain": (7, _STRING, False),
    },
    "Value": {"name": (1, _STRING, False)},
    "Graph": {
        "node": (1, "Node", True),
        "initializer": (5, "Tensor", True),
        "input": (11, "Value", True),
        "output": (12, "Value", True),
        "value_info": (13, "Value", True),
        "sparse_initializer": (15, "Any", True),
    },
    "Model": {"graph": (7, "Graph", False), "functions": (25, "Any", True)},
}


def check_graph(model: bytes) -> None:
    """See that a graph has no graph inside, that its weights are finite and in this file.

    And that its operators are known, and no photo decides on sizes (onnx_operators.py).

    Raises:
        ValueError: it is not so; the message names the tensor or the operator.
        google.protobuf.message.DecodeError: not an ONNX file.
    """
    parsed = parse_model(model)
    graph = parsed.graph
    if parsed.functions:
        raise ValueError("it has functions of its own; expected operators of ONNX alone")
    if graph.sparse_initializer:
        raise ValueError("it has sparse weights; expected dense ones")
    if len({tensor.name for tensor in graph.initializer}) < len(graph.initializer):
        raise ValueError("two tensors have one name")  # and may be of two types
    for tensor in [*graph.initializer, *_checked_attributes(graph)]:
        _check_tensor(tensor)
    check_operators(graph)


def parse_model(model: bytes) -> Any:
    """Parse an ONNX file; what is not declared here is kept, and written again.

    Raises:
        google.protobuf.message.DecodeError: not an ONNX file.
    """
    parsed = _model_class()()
    parsed.ParseFromString(model)
    return parsed


def _checked_attributes(graph: Any) -> Iterator[Any]:
    """The tensors among the attributes of nodes. Raises ValueError for what may not be there."""
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise ValueError(f"operator {node.op_type!r} is of {node.domain!r}, not of ONNX")
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise ValueError(
                    f"operator {node.op_type!r} runs a graph of its own, perhaps without end"
                )
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise ValueError(f"operator {node.op_type!r} has sparse weights; expected dense")
            if not np.isfinite([attribute.f, *attribute.floats]).all():
                raise ValueError(f"a setting of operator {node.op_type!r} is not finite")
            yield attribute.t
            yield from attribute.tensors


def _check_tensor(tensor: Any) -> None:
    if tensor.data_location == EXTERNAL:
        raise ValueError(f"tensor {tensor.name!r} keeps its numbers in another file")
    kind = tensor.data_type
    if kind in FLOATS:
        halves = np.array(tensor.int32_data if kind == 10 else [], np.int32).astype(np.uint16)
        raw = np.frombuffer(tensor.raw_data, FLOATS[kind])
        for numbers in (raw, tensor.float_data, tensor.double_data, halves.view(np.float16)):
            if not np.isfinite(numbers).all():
                raise ValueError(f"the weights of {tensor.name!r} are not all finite")
    elif kind and kind not in WHOLE:
        raise ValueError(f"tensor {tensor.name!r} has numbers of type {kind}, which is not known")


def _model_class() -> type[Message]:
    """The part of ONNX' ModelProto that is looked at; unknown fields are kept unread."""
    file = descriptor_pb2.FileDescriptorProto(name="weights.proto", package="weights")
    file.syntax = "proto3"
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            inner = isinstance(kind, str)
            message.field.add(
                name=field,
                number=number,
                type=_FIELD.TYPE_MESSAGE if inner else kind,
                label=label,
                type_name=f".weights.{kind}" if inner else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("weights.Model"))

"""Check the weights of an ONNX file before it is run, with protobuf alone.

ONNX Runtime loads weights that are not numbers without complaint, and a ReLU may hide them
from every answer but the wrong ones. Numbers kept in other files are refused too: a graph is
one file, and that file was hashed.
"""

from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

FLOAT = 1  # TensorProto.DataType in onnx.proto3
EXTERNAL = 1  # TensorProto.DataLocation
_FIELD = descriptor_pb2.FieldDescriptorProto
# message -> field -> (number in onnx.proto3, type, message type if it is one, repeated)
_MESSAGES: dict[str, dict[str, tuple[int, int, str, bool]]] = {
    "Tensor": {
        "data_type": (2, _FIELD.TYPE_INT32, "", False),
        "float_data": (4, _FIELD.TYPE_FLOAT, "", True),
        "name": (8, _FIELD.TYPE_STRING, "", False),
        "raw_data": (9, _FIELD.TYPE_BYTES, "", False),
        "data_location": (14, _FIELD.TYPE_INT32, "", False),
    },
    "Graph": {"initializer": (5, _FIELD.TYPE_MESSAGE, ".weights.Tensor", True)},
    "Model": {"graph": (7, _FIELD.TYPE_MESSAGE, ".weights.Graph", False)},
}


def check_weights(model: bytes) -> None:
    """See that every float32 weight is finite and inside the file.

    Raises:
        ValueError: one is not; the message names its tensor.
        google.protobuf.message.DecodeError: not an ONNX file.
    """
    parsed: Any = _model_class()()
    parsed.ParseFromString(model)
    for tensor in parsed.graph.initializer:
        if tensor.data_location == EXTERNAL:
            raise ValueError(f"tensor {tensor.name!r} keeps its numbers in another file")
        if tensor.data_type == FLOAT:
            numbers = np.frombuffer(tensor.raw_data, "<f4")
            if not (np.isfinite(numbers).all() and np.isfinite(tensor.float_data).all()):
                raise ValueError(f"the weights of {tensor.name!r} are not all finite")


def _model_class() -> type[Message]:
    """The part of ONNX' ModelProto that holds weights; unknown fields are skipped."""
    file = descriptor_pb2.FileDescriptorProto(name="weights.proto", package="weights")
    file.syntax = "proto3"
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, type_name, repeated) in fields.items():
            label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            message.field.add(
                name=field, number=number, type=kind, label=label, type_name=type_name or None
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("weights.Model"))

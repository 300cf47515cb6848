"""Tensors of the Open Inference Protocol -> photos; logits -> tensors. As JSON and as binary.

In binary, numbers are little-endian and row by row; a text or an encoded photo (`BYTES`) is its
length in four bytes and then itself. In JSON an encoded photo is base64.
"""

import binascii
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from models.classifier import Classifier, softmax
from service.errors import BadRequestBody, TooManyPhotos
from service.protocols.bodies import (
    BinarySize,
    InferRequest,
    InputTensor,
    OutputTensor,
    RequestedOutput,
    TensorMetadata,
)
from service.protocols.pixels import check_range, flat, pixels_of

PIXELS, ENCODED = "image", "encoded"
OUTPUTS = ("probabilities", "label", "logits")
_DTYPES: dict[str, np.dtype[Any]] = {"UINT8": np.dtype("<u1"), "FP32": np.dtype("<f4")}
_SHARED = "shared memory is not offered: send and ask for the data itself"


def inputs_of(classifier: Classifier) -> list[TensorMetadata]:
    """What a model takes: one of these."""
    size = classifier.framing.size
    return [
        TensorMetadata(name=PIXELS, datatype="UINT8", shape=[-1, size, size, 3]),
        TensorMetadata(name=ENCODED, datatype="BYTES", shape=[-1, 1]),
    ]


def outputs_of(classifier: Classifier) -> list[TensorMetadata]:
    """What a model answers."""
    classes = len(classifier.class_names)
    return [
        TensorMetadata(name="probabilities", datatype="FP32", shape=[-1, classes]),
        TensorMetadata(name="label", datatype="BYTES", shape=[-1, 1]),
        TensorMetadata(name="logits", datatype="FP32", shape=[-1, classes]),
    ]


def read_photos(asked: InferRequest, tail: bytes, size: int, most: int) -> list[Any]:
    """Take the photos out of a request.

    Args:
        tail: the binary data after the JSON.
        size: px, the side of the model's photos.
        most: photos that a request may have.

    Returns:
        Encoded photos as bytes, or arrays (S, S, 3) of uint8 or float32.

    Raises:
        BadRequestBody: tensors that are not what the model takes. TooManyPhotos.
    """
    promised = sum(one.parameters.binary_data_size or 0 for one in asked.inputs)
    if promised != len(tail):
        raise BadRequestBody(
            f"the inputs promise {promised:,} bytes of binary data and {len(tail):,} came after "
            "the JSON; the header Inference-Header-Content-Length says where it ends"
        )
    names = [one.name for one in asked.inputs]
    if len(names) != 1 or names[0] not in (PIXELS, ENCODED):
        came = ", ".join(f"`{name[:40]}`" for name in names)
        raise BadRequestBody(f"the inputs {came} came; expected one, `{PIXELS}` or `{ENCODED}`")
    tensor = asked.inputs[0]
    if tensor.parameters.shared_memory_region is not None:
        raise BadRequestBody(_SHARED)
    if (tensor.data is None) == (tensor.parameters.binary_data_size is None):
        raise BadRequestBody(
            f"input `{tensor.name}` needs either `data` or the parameter binary_data_size"
        )
    count = _check_shape(tensor, size)
    if count > most:
        raise TooManyPhotos(f"{count:,} photos in one request; the limit is {most}")
    if tensor.name == ENCODED:
        return _encoded(tensor, tail)
    return list(_pixels(tensor, tail))


def _check_shape(tensor: InputTensor, size: int) -> int:
    """How many photos a tensor says it has. Raises BadRequestBody."""
    shape, rest = tensor.shape, [size, size, 3]
    if tensor.name == ENCODED:
        fits = tensor.datatype == "BYTES" and len(shape) in (1, 2) and shape[1:] in ([], [1])
        wanted = "BYTES of the shape [N] or [N, 1]"
    else:
        fits = tensor.datatype in _DTYPES and len(shape) == 4 and shape[1:] == rest
        wanted = f"UINT8 or FP32 of the shape [N, {size}, {size}, 3]"
    if not fits:
        came = f"{tensor.datatype[:20]} of the shape {str(shape)[:100]}"
        raise BadRequestBody(f"input `{tensor.name}` is {came}; expected {wanted}")
    return shape[0]


def _pixels(tensor: InputTensor, tail: bytes) -> np.ndarray:
    """(N, S, S, 3) uint8 or float32. Raises BadRequestBody."""
    what = f"input `{tensor.name}`"
    if tensor.data is not None:
        return pixels_of(tensor.data, tensor.shape, what, whole=tensor.datatype == "UINT8")
    kind = _DTYPES[tensor.datatype]
    needed = math.prod(tensor.shape) * kind.itemsize
    if len(tail) != needed:
        raise BadRequestBody(
            f"{what} has {len(tail):,} bytes of binary data; {tensor.datatype} of the shape "
            f"{tensor.shape} has {needed:,}"
        )
    values = np.frombuffer(tail, kind).reshape(tensor.shape)
    check_range(values, what)
    return values


def _encoded(tensor: InputTensor, tail: bytes) -> list[bytes]:
    """Encoded photos. Raises BadRequestBody."""
    if tensor.data is not None:
        texts = flat(tensor.data, tensor.shape, f"input `{tensor.name}`")
        return [from_base64(text, f"input `{tensor.name}`") for text in texts]
    photos: list[bytes] = []
    at = 0
    while at < len(tail) and len(photos) < tensor.shape[0]:
        size = int.from_bytes(tail[at : at + 4], "little")
        photos.append(tail[at + 4 : at + 4 + size])
        at += 4 + size
    if at != len(tail) or len(photos) != tensor.shape[0]:
        raise BadRequestBody(
            f"input `{tensor.name}` has {len(tail):,} bytes of binary data, in which the lengths "
            f"do not add up to {tensor.shape[0]} photos: each is its length in four bytes, "
            "little-endian, and then its bytes"
        )
    return photos


def from_base64(text: Any, what: str) -> bytes:
    """An encoded photo that came in JSON. Raises BadRequestBody."""
    if not isinstance(text, str):
        raise BadRequestBody(f"{what} holds no text where a photo in base64 is expected")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:  # also characters that are not ASCII
        raise BadRequestBody(
            f"{what} holds a text that is no base64 ({error}): encode the bytes of the photo in "
            "the standard alphabet, with padding and without line ends"
        ) from None


def wanted_outputs(asked: InferRequest) -> list[RequestedOutput]:
    """The outputs that were asked for, or all. Raises BadRequestBody."""
    wanted = asked.outputs or [RequestedOutput(name=name) for name in OUTPUTS]
    names = [one.name for one in wanted]
    for one in wanted:
        if one.name not in OUTPUTS or names.count(one.name) > 1:
            came = "is asked for twice" if one.name in OUTPUTS else "is not known"
            raise BadRequestBody(f"output `{one.name[:40]}` {came}; there are {', '.join(OUTPUTS)}")
        if one.parameters.shared_memory_region is not None:
            raise BadRequestBody(_SHARED)
        if one.name == "label" and one.parameters.classification:
            raise BadRequestBody("classification is for probabilities or logits, not for label")
    return wanted


def write_output(
    wanted: RequestedOutput, logits: np.ndarray, names: Sequence[str], binary: bool
) -> tuple[OutputTensor, bytes]:
    """One output, and its binary data, which is empty where it is JSON.

    Args:
        logits: (N, K) float32.
        binary: where the output itself does not say.
    """
    values = logits if wanted.name == "logits" else softmax(logits)
    count = wanted.parameters.classification
    if wanted.name == "label":
        texts = [[names[best]] for best in values.argmax(axis=1)]
    elif count:
        texts = [_best(row, names, count) for row in values]
    else:
        return _write(wanted, binary, list(values.shape), values.astype("<f4"))
    return _write(wanted, binary, [len(texts), len(texts[0])], [t for row in texts for t in row])


def _best(row: np.ndarray, names: Sequence[str], count: int) -> list[str]:
    """The highest values as Triton writes them: value:index:label."""
    order = np.argsort(-row, kind="stable")[:count]
    return [f"{row[index]:f}:{index}:{names[index]}" for index in order]


def _write(
    wanted: RequestedOutput, binary: bool, shape: list[int], values: np.ndarray | list[str]
) -> tuple[OutputTensor, bytes]:
    kind = "BYTES" if isinstance(values, list) else "FP32"
    tensor = OutputTensor(name=wanted.name, datatype=kind, shape=shape)
    asked = wanted.parameters.binary_data
    if not (binary if asked is None else asked):
        tensor.data = values if isinstance(values, list) else values.ravel().tolist()
        return tensor, b""
    if isinstance(values, list):
        encoded = (text.encode() for text in values)
        content = b"".join(struct.pack("<I", len(one)) + one for one in encoded)
    else:
        content = values.tobytes()
    tensor.parameters = BinarySize(binary_data_size=len(content))
    return tensor, content

"""Requests of the Open Inference Protocol, to a model whose answers can be worked out by hand."""

import base64
import json
from typing import Any

import numpy as np

from models.classifier import softmax
from tests.making import COLOURS, SHARPNESS, picture

INFER = "/v2/models/colours/infer"
RED = picture(COLOURS["red"])
LOGITS = np.array(COLOURS["red"], np.float32) * np.float32(SHARPNESS)  # of every red photo
PROBABILITIES = softmax(LOGITS[None])[0]
PIXELS = np.full((1, 8, 8, 3), COLOURS["red"], np.uint8)
BINARY = "Inference-Header-Content-Length"


def encoded(*photos: bytes, shape: Any = None, **more: Any) -> dict[str, Any]:
    texts = [base64.b64encode(photo).decode() for photo in photos]
    tensor = {"name": "encoded", "datatype": "BYTES", "shape": shape or [len(photos)]}
    return tensor | {"data": texts} | more


def pixels(values: Any = None, shape: Any = (1, 8, 8, 3), kind: str = "UINT8") -> dict[str, Any]:
    data = PIXELS.tolist() if values is None else values
    return {"name": "image", "datatype": kind, "shape": list(shape), "data": data}


def ask(client, *inputs: Any, outputs: Any = None, **more: Any) -> Any:
    body = {"inputs": inputs} | more | ({"outputs": outputs} if outputs else {})
    return client.post(INFER, json=body)


def post_binary(client, body: dict[str, Any], tail: bytes, length: str | None = None) -> Any:
    head = json.dumps(body).encode()
    return client.post(INFER, data=head + tail, headers={BINARY: length or str(len(head))})


def binary(name: str, kind: str, shape: list[int], size: int) -> dict[str, Any]:
    return {"name": name, "datatype": kind, "shape": shape,
            "parameters": {"binary_data_size": size}}  # fmt: skip


def values(answer: Any, name: str) -> Any:
    (found,) = (one for one in answer.json["outputs"] if one["name"] == name)
    return found

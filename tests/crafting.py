"""Bundles as somebody would make them who means no good: whole by their hashes, odd inside."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from models.bundle import MANIFEST
from models.manifest import UNSEALED


def edit(bundle: Path, change: Callable[[dict[str, Any]], Any] = lambda fields: None) -> Path:
    """Change fields of the manifest, and give it the hash that fits."""
    fields = json.loads((bundle / MANIFEST).read_bytes())
    change(fields)
    if "sha256" in fields:
        fields["sha256"] = UNSEALED
    text = json.dumps(fields)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (bundle / MANIFEST).write_text(text.replace(UNSEALED, digest, 1))
    return bundle


def replace(bundle: Path, name: str, content: bytes) -> Path:
    """Put another file into a bundle, with a manifest that fits it."""
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).write_bytes(content)
    entry = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return edit(bundle, lambda fields: fields["files"].update({name: entry}))


def change_weights(
    bundle: Path, name: str, change: Callable[[np.ndarray], np.ndarray], which: slice = slice(None)
) -> Path:
    """Change some of a graph's float weights, given in the order of the file."""
    graph = onnx.load_from_string((bundle / name).read_bytes())
    for tensor in graph.graph.initializer[which]:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            numbers = change(numpy_helper.to_array(tensor).copy())
            tensor.CopyFrom(numpy_helper.from_array(numbers, tensor.name))
    return replace(bundle, name, graph.SerializeToString())


def age(bundle: Path) -> Path:
    """Turn a bundle into one of schema 2, as older versions of this program wrote it."""

    def change(fields: dict[str, Any]) -> None:
        del fields["sha256"]
        fields["schema_version"] = 2
        for name in ("calibration", "parity", "thresholds"):
            known = fields[name] or {}
            fields[name] = {key: value for key, value in known.items() if value is not None}

    return edit(bundle, change)

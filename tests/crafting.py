"""Bundles as somebody would make them who means no good: whole by their hashes, odd inside."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.bundles.manifest import UNSEALED
from models.bundles.names import MANIFEST, SIGNATURE
from tests.making import colour_graph


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


def with_node(node: onnx.NodeProto) -> bytes:
    """`colour_graph` with one node more."""
    model = onnx.load_from_string(colour_graph())
    model.graph.node.append(node)
    return model.SerializeToString()


def endless_loop() -> bytes:
    """A Loop whose condition stays true: 2^62 times nothing."""
    inner = helper.make_graph(
        [helper.make_node("Identity", ["keep_in"], ["keep_out"])],
        "body",
        [
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
            helper.make_tensor_value_info("keep_in", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("keep_out", TensorProto.BOOL, [])],
    )
    return with_node(helper.make_node("Loop", ["most", "true"], [], body=inner))


def make_key(place: Path) -> Path:
    """A pair of keys as docs/serving.md says how to make it: `key.pem` and `public.pem`."""
    openssl("genpkey", "-algorithm", "ed25519", "-out", place / "key.pem")
    openssl("pkey", "-in", place / "key.pem", "-pubout", "-out", place / "public.pem")
    return place


def sign(bundle: Path, key: Path) -> None:
    """Sign a bundle, again as docs/serving.md says."""
    places = ("-in", bundle / MANIFEST, "-out", bundle / SIGNATURE)
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", key / "key.pem", *places)


def openssl(*words: str | Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)

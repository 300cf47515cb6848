"""The formats: what each is called, what runs it, and how it is written.

A writer puts its file into a folder and returns the file's name there. ONNX and Keras are the
bundle's own files; SavedModel and LiteRT are made from its Keras network.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from training.exporting.litert import write_litert
from training.exporting.source import Source
from training.exporting.tf_formats import write_saved_model

PAGE = "browser.html"  # runs the ONNX export in a browser


@dataclass(frozen=True)
class Format:
    """One format of `--format`."""

    title: str
    packages: tuple[str, ...]  # any one of these runs it, the first that is installed is named
    feed: str  # what goes in and comes out, in Markdown
    write: Callable[[Source, Path], str]

    @property
    def pinned(self) -> str:
        """The package that runs it, with the version it was proven with."""
        for package in self.packages:
            try:
                return f"{package}=={version(package)}"
            except PackageNotFoundError:
                continue
        return self.packages[0]


def write_onnx(source: Source, folder: Path) -> str:
    """Write predict.onnx with the labels and the framing in its `metadata_props`."""
    import onnx

    manifest = source.bundle.manifest
    model = onnx.load_from_string(source.bundle.read("predict.onnx"))
    facts = {
        "labels": json.dumps(manifest.class_names),
        "name": manifest.name,
        "version": manifest.version,
        "input": "raw RGB, 0 to 255, channels last",
        "resize": manifest.framing.resize,
        "fraction": str(manifest.framing.fraction),
    }
    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    page = Path(__file__).parent / "examples" / PAGE
    (folder / PAGE).write_bytes(page.read_bytes())
    return "model.onnx"


def write_keras(source: Source, folder: Path) -> str:
    """Write the bundle's Keras file, once it has been seen to load."""
    source.network()
    (folder / "model.keras").write_bytes(source.bundle.read("model.keras"))
    return "model.keras"


_FLOATS = "`image`: (N, {size}, {size}, 3) float32, raw RGB, 0 to 255. `logits`: (N, {classes}) \
float32; their softmax is the probabilities."
_BYTES = "`image`: ({batch}, {size}, {size}, 3) uint8, raw RGB. `probabilities`: \
({batch}, {classes}) "

WRITTEN = {
    "onnx": Format(
        "ONNX", ("onnxruntime",),
        _FLOATS + " `features`: what the head reads. `metadata_props` hold the labels (JSON).",
        write_onnx,
    ),
    "saved_model": Format(
        "SavedModel", ("tensorflow-cpu", "tensorflow"),
        "Signature `serving_default`. " + _BYTES.replace("{batch}", "N") + "float32.",
        write_saved_model,
    ),
    "litert": Format(
        "LiteRT", ("ai-edge-litert",), _BYTES.replace("{batch}", "1") + "{answer}",
        write_litert,
    ),
    "keras": Format("Keras", ("keras",), _FLOATS, write_keras),
}  # fmt: skip

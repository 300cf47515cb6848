"""The formats: what each is called, what runs it, and how it is written.

A writer puts its file into a folder and returns the file's name there. ONNX and Keras are the
bundle's own files; SavedModel and LiteRT are made from its Keras network.
"""

import json
from collections.abc import Callable
from contextlib import suppress
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
    packages: tuple[str, ...]  # any one of them runs it
    write: Callable[[Source, Path], str]

    @property
    def pinned(self) -> str:
        """Name the package that runs it, with the version that is installed."""
        for package in self.packages:
            with suppress(PackageNotFoundError):
                return f"{package}=={version(package)}"
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
    """Write the bundle's Keras file, once it has been seen to load; with two views, around it."""
    network, file = source.network(), folder / "model.keras"
    if source.bundle.manifest.views == 2:
        network.save(file)
    else:
        file.write_bytes(source.bundle.read("model.keras"))
    return file.name


WRITTEN = {
    "onnx": Format("ONNX", ("onnxruntime",), write_onnx),
    "saved_model": Format("SavedModel", ("tensorflow-cpu", "tensorflow"), write_saved_model),
    "litert": Format("LiteRT", ("ai-edge-litert",), write_litert),
    "keras": Format("Keras", ("keras",), write_keras),
}

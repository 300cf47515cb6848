"""Compile the frozen backbone once and keep it, so that later runs need no TensorFlow.

Keras builds it from its weights; it is written as ONNX and as a Keras file. The features that
Keras computes for some generated pictures are kept with them, so that every network made from
these files can be compared with Keras. No photo of a user is among them: each run is judged on
its own.
"""

import ast
import errno
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from models import building
from models.building.attach import (
    attach_to_keras,
    attach_to_onnx,
    head_graph,
    keep_outputs,
    pool_layers,
)
from models.building.backbones import weights_identity
from models.building.head import Head
from models.building.views import average_views, mirror
from models.bundle import LayerEntry, writing
from models.bundles.exchange import exchange
from models.bundles.manifest import Parity
from models.errors import ParityError
from models.parity import parity_limit
from models.runtime import Graph
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.settings.quiet import load_keras
from training.settings.recipe import name_of

# The code that decides what a network is, in models/building.
WRITERS = (
    "activations",
    "convolutions",
    "merging",
    "normalisations",
    "pooling",
    "shapes",
    "writer",
)
CODE = ("efficientnet_lite", "flatten", "graph", "network", "export", "onnx_graph", "onnx_layers",
        "state_dict", "scalings", *(f"writers/{name}" for name in WRITERS))  # fmt: skip


@dataclass(frozen=True)
class Compiled:
    """A backbone in the two forms that a network is made from."""

    identity: str  # of its weights
    layers: list[LayerEntry]
    keras: bytes  # the .keras file, up to `pool`
    graph: bytes  # photos -> `features` and every mapped layer
    photos: np.ndarray  # (P, S, S, 3) uint8, to compare the forms on
    features: np.ndarray  # (P, F) float32, as Keras computes them for these photos
    maps: float  # largest difference of a mapped layer between the two forms, on these
    compared: Sequence[str] = ()  # layers whose mean maps the graph answers too, as `pooled`
    views: int = 1  # of a photo that are served: 2 for it and its mirror image, averaged

    def graph_with(self, outputs: Sequence[str]) -> bytes:
        """Return what is served, with these outputs only: ONNX Runtime then computes no more."""
        return self.serving(keep_outputs(self.graph, outputs))

    def serving(self, graph: bytes) -> bytes:
        """Return a graph of this backbone, for one view, as one for the views that are served."""
        return average_views(graph) if self.views == 2 else graph

    def comparing(self, layers: Sequence[str]) -> "Compiled":
        """Return the same with an output `pooled`: mean maps of these layers, then `features`."""
        return replace(self, graph=pool_layers(self.graph, layers), compared=layers)

    @property
    def vectors(self) -> list[str]:
        """The outputs that answer a photo in numbers."""
        return ["features", "pooled"] if self.compared else ["features"]

    @property
    def vector(self) -> str:
        """The output that is kept of each photo; its last F numbers are the features."""
        return "pooled" if self.compared else "features"


def compile_network(backbone: Any, identity: str, photos: np.ndarray) -> Compiled:
    """Write a Keras backbone in both forms, and compare them on (P, S, S, 3) uint8 photos."""
    load_keras()
    import keras

    from models.building import export, graph

    layers = graph.mapped_layers(backbone)
    tensors = graph.map_tensors(backbone)
    written = export.to_onnx(backbone, {"features": backbone.output} | tensors)
    batch = photos.astype(np.float32)
    model = keras.Model(backbone.input, [backbone.output, *tensors.values()])
    called = model(batch, training=False)  # `predict` would compile first: seconds for one batch
    expected, *maps = (np.asarray(tensor) for tensor in keras.tree.flatten(called))
    answers = Graph(written).run(batch, list(tensors)) if tensors else []
    pairs = zip(answers, maps, strict=True)
    difference = max((np.abs(a.transpose(0, 2, 3, 1) - m).max() for a, m in pairs), default=0.0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "backbone.keras"
        backbone.save(file)
        return Compiled(
            identity, layers, file.read_bytes(), written, photos, expected, float(difference)
        )


def attach(compiled: Compiled, head: Head, photos: np.ndarray) -> tuple[dict[str, bytes], Parity]:
    """The files of the whole network, and how closely ONNX follows Keras.

    Features are compared with what Keras said, and those that are served with the mean of their
    views; logits with what the head makes of the features.

    Args:
        photos: (P, S, S, 3) uint8 of this run.

    Raises:
        UnusableGraph: a number is not finite.
        ParityError: either differs by more than its size allows (`parity_limit`).
    """
    files = {
        "model.keras": attach_to_keras(compiled.keras, head),
        "predict.onnx": attach_to_onnx(compiled.graph_with(compiled.vectors), head),
        "layers.onnx": attach_to_onnx(compiled.graph, head),
        "head.onnx": head_graph(head),
    }
    predict, layers, last = (Graph(files[f"{name}.onnx"]) for name in ("predict", "layers", "head"))
    _compare(layers.run(compiled.photos, ["features"])[0], compiled.features, "features")
    views = (photos, mirror(photos))[: compiled.views]
    each = [layers.run(view, ["logits", "features"]) for view in views]
    predict.run(photos[:1], ["logits"])  # the first run makes room
    started = time.perf_counter()
    answer, features = predict.run(photos, ["logits", "features"])
    onnx_ms = (time.perf_counter() - started) * 1000 / len(photos)
    _compare(features, np.mean([features for _, features in each], axis=0), "features")
    logits = max(
        _compare(found, last.run(features, ["logits"])[0], "logits")
        for found, features in ((answer, features), *each)
    )
    found_parity = Parity(photos=len(photos), logits=logits, maps=compiled.maps, onnx_ms=onnx_ms)
    return files, found_parity


def _compare(found: np.ndarray, expected: np.ndarray, what: str) -> float:
    """The largest difference from `expected`. Raises ParityError where it is too large."""
    difference = float(np.abs(found - expected).max())
    limit = parity_limit(expected)
    if not difference <= limit:
        raise ParityError(difference, limit, what)
    return difference


class CompiledStore:
    """Compiled backbones on disk, one folder each, written aside and renamed."""

    def __init__(self, config: FitConfig):
        row, source = config.row, config.weights_source
        self.identity = weights_identity(row, source, config.seed)
        parts = (row, config.framing.size, self.identity, _versions(), _code())
        self.path = config.cache / f"compiled-{row.name}-{name_of(parts)}"

    def load(self) -> Compiled | None:
        """Read the compiled backbone; None where it is missing or not whole."""
        try:
            facts = json.loads((self.path / "facts.json").read_bytes())
            content = {name: (self.path / name).read_bytes() for name in facts["sha256"]}
            sums = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
            if sums != facts["sha256"]:
                return None
            with np.load(self.path / "reference.npz", allow_pickle=False) as reference:
                photos, features = reference["photos"], reference["features"]
        except (OSError, ValueError, KeyError):
            return None
        layers = [LayerEntry(**layer) for layer in facts["layers"]]
        keras, graph = content["backbone.keras"], content["backbone.onnx"]
        return Compiled(self.identity, layers, keras, graph, photos, features, facts["maps"])

    def save(self, compiled: Compiled) -> None:
        """Write a compiled backbone. Raises StorageError."""
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=".compiled.", dir=self.path.parent))
            try:
                np.savez(
                    folder / "reference.npz", photos=compiled.photos, features=compiled.features
                )
                (folder / "backbone.keras").write_bytes(compiled.keras)
                (folder / "backbone.onnx").write_bytes(compiled.graph)
                sums = {
                    path.name: hashlib.sha256(path.read_bytes()).hexdigest()
                    for path in folder.iterdir()
                }
                layers = [layer.model_dump() for layer in compiled.layers]
                facts = {"sha256": sums, "layers": layers, "maps": compiled.maps}
                (folder / "facts.json").write_text(json.dumps(facts))
                self._put(folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _put(self, folder: Path) -> None:
        """Rename `folder` into place; another run may be about to do the same. Raises OSError."""
        if self.path.exists():
            if exchange(folder, self.path):
                return
            shutil.rmtree(self.path, ignore_errors=True)
        try:
            folder.rename(self.path)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise  # else another run was quicker, with the same content


def _versions() -> list[str]:
    found = []
    for package in ("keras", "tensorflow-cpu", "tensorflow", "onnx"):
        try:
            found.append(version(package))
        except PackageNotFoundError:
            found.append("")
    return found


def _code() -> str:
    """Hash the code that decides what a network is: not its comments, docstrings and errors."""
    together = hashlib.sha256()
    for name in CODE:
        tree = ast.parse((Path(building.__path__[0]) / f"{name}.py").read_bytes())
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise):
                node.exc = node.cause = None
            elif isinstance(
                node, ast.Module | ast.ClassDef | ast.FunctionDef
            ) and ast.get_docstring(node):
                del node.body[0]
        together.update(ast.dump(tree).encode())
    return together.hexdigest()


def build(config: FitConfig) -> Any:
    """Build the backbone in Keras, up to `pool`."""
    load_keras(config.device)
    from models.building import network

    return network.build_backbone(
        config.row, config.framing.size, config.weights_source, config.seed
    )


def generate_pictures(size: int) -> np.ndarray:
    """Draw (8, size, size, 3) uint8: dark to bright, smooth to noise, the same for every run."""
    down, right = np.mgrid[0 : 1 : size * 1j, 0 : 1 : size * 1j]
    smooth = np.stack([right, down, (right - 0.3) ** 2 + down**2 / 2], axis=-1)
    rng, pictures = np.random.default_rng(0), []
    for brightness in (0.03, 0.3, 0.6, 1.0):
        blocks = rng.random((8, 8, 3)).repeat(-(-size // 8), 0).repeat(-(-size // 8), 1)
        noise = rng.random((size, size, 3))
        for share in (0.1, 0.5):
            mixed = (1 - share) * (smooth + blocks[:size, :size]) / 2 + share * noise
            pictures.append((255 * brightness * mixed).astype(np.uint8))
    return np.stack(pictures)


def compile_backbone(config: FitConfig, stages: Stages) -> Compiled:
    """Return the backbone in both forms, from the cache or from Keras. Raises StorageError."""
    store = CompiledStore(config)
    if kept := store.load():
        return kept
    if store.path.exists():
        stages.say(f"the cache {store.path.name} was not whole and is made anew")
    with stages.stage("build and compile the backbone"):
        backbone = build(config)
        compiled = compile_network(backbone, store.identity, generate_pictures(config.framing.size))
    store.save(compiled)
    return compiled

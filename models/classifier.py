"""Run a saved model with ONNX Runtime alone: probabilities and feature maps.

Nothing here imports TensorFlow or reads a Python object from disk. A broken model is refused
when it is opened, not when a photo comes.
"""

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from models import saliency
from models.bundle import Bundle
from models.bundles.calibration import Thresholds
from models.bundles.manifest import LayerEntry, pick_blocks, spread
from models.cut import Cut, open_cut
from models.device import compare
from models.errors import BundleError, DeviceUnusable, UnknownLayer, UnusableGraph
from models.familiarity import Familiarity, read_familiarity
from models.images import Limits, Room, decode_image
from models.insight import INDEX, Insight
from models.onnx_weights import check_graph
from models.precision import int8_of
from models.probe_graph import probe_graph
from models.runtime import Graph
from models.terms import CPU, GRAPHS, PROCESSOR, Device, Precision


class Prediction(NamedTuple):
    """One class and how probable it is, 0 to 1."""

    label: str
    probability: float


class Reading(NamedTuple):
    """The answer to one photo."""

    probabilities: np.ndarray  # (K,) float32
    familiarity: float | None  # at most 1; None: the bundle cannot tell


class MappedReading(NamedTuple):
    """The answer to one photo, with the maps of the requested layers."""

    reading: Reading
    maps: dict[str, np.ndarray]  # layer -> (h, w, C) float32

    @property
    def probabilities(self) -> np.ndarray:
        """(K,) float32."""
        return self.reading.probabilities


class Classifier:
    """One bundle, ready to run. Safe to use from several threads."""

    def __init__(
        self,
        bundle: Bundle,
        threads: int = 1,
        precision: str | Precision = "fp32",
        device: Device = PROCESSOR,
    ):
        """Load the prediction graph and try it.

        Args:
            threads: how many cores one photo may use.
            precision: of the graph that predicts, fp32 or int8; maps are always in fp32.
            device: where photos are computed; each graph is compared with the processor there.

        Raises:
            DeviceUnusable: it does not start, or answers otherwise than the processor.
            BundleError: a file was altered, a graph does not fit its manifest, or INT8 is asked
                of a bundle without it.
        """
        self.bundle, self.manifest = bundle, bundle.manifest
        self.name = bundle.manifest.name
        self.class_names = bundle.manifest.class_names
        self.framing = bundle.manifest.framing
        self.layers: dict[str, LayerEntry] = {entry.name: entry for entry in self.manifest.layers}
        self.blocks = pick_blocks(self.manifest.layers)  # from photo to answer
        self.insight = Insight(bundle) if INDEX in bundle.manifest.files else None
        self._threads, self.device = threads, device
        self._lock = threading.Lock()
        self._graphs: dict[str, Graph] = {}
        self._looking = threading.Lock()  # a graph keeps the memory of its most runs at one time
        self.precision = Precision(precision) if isinstance(precision, str) else precision
        self.thresholds: Thresholds = bundle.manifest.thresholds
        if self.precision.used == "int8":
            self.thresholds = int8_of(bundle).thresholds
        known = self.thresholds.familiarity
        self._compared = [known.output] if known else []  # outputs that photos are compared by
        self.predictor = self._graph(self.precision.graph)  # photos -> logits
        self.familiarity = self._read_familiarity()
        self.prediction_set = self.thresholds.prediction_set

    def decode(
        self, data: bytes, limits: Limits = Limits(), room: Room = nullcontext
    ) -> np.ndarray:
        """Decode bytes to (S, S, 3) uint8 RGB for this network. Raises ImageError.

        Args:
            room: where memory for the pixels is waited for.
        """
        return decode_image(data, self.framing, limits, room)

    def predict(self, photos: np.ndarray) -> np.ndarray:
        """Compute the probability of every class.

        Args:
            photos: (N, S, S, 3) uint8 RGB, from `decode`.

        Returns:
            (N, K) float32; each row sums to 1.
        """
        return softmax(self.logits(photos))

    def logits(self, photos: np.ndarray) -> np.ndarray:
        """Compute the scores before softmax, (N, K) float32 and finite.

        Args:
            photos: (N, S, S, 3) RGB, 0 to 255, uint8 or float32.
        """
        return self._run(self.precision.graph, photos, ["logits"])[0]

    def read(self, photo: np.ndarray) -> Reading:
        """Compute the probability of every class, and how familiar the photo is.

        Args:
            photo: (S, S, 3) uint8 RGB, from `decode`.
        """
        if self.familiarity is None:
            return Reading(self.predict(photo[None])[0], None)
        asked = ["logits", *self._compared]
        logits, vector = self._run(self.precision.graph, photo[None], asked)
        return Reading(softmax(logits)[0], float(self.familiarity.score(vector)[0]))

    def describe(self, reading: Reading, top: int) -> dict[str, Any]:
        """Write an answer in plain types, as the service and `predict` give it.

        Returns:
            `predictions`, the `top` most probable classes; where the bundle has thresholds,
            also `prediction_set`, the names of the classes it may be, and `in_distribution`,
            whether it is like the training photos, with its `familiarity`.
        """
        probabilities, familiarity = reading
        answer: dict[str, Any] = {
            "predictions": [p._asdict() for p in self.top(probabilities, top)]
        }
        if self.prediction_set:
            count = max(1, int((probabilities >= self.prediction_set.least_probability).sum()))
            answer["prediction_set"] = [p.label for p in self.top(probabilities, count)]
        if self.familiarity is not None and familiarity is not None:
            answer["in_distribution"] = bool(familiarity >= self.familiarity.least)
            answer["familiarity"] = round(familiarity, 4)
        return answer

    def look(self, photo: np.ndarray, layers: Sequence[str]) -> MappedReading:
        """Compute probabilities and the feature maps of any set of layers, in one pass.

        In INT8, and where views are averaged, it is two: maps are those of the photo in float32,
        and the probabilities those of `read`, so that no two answers about it differ.

        Args:
            photo: (S, S, 3) uint8 RGB, from `decode`.

        Raises:
            UnknownLayer: no such layer, or it has no height and width.
        """
        for layer in layers:
            self.layer(layer)
        asked = ["logits", *layers, *self._compared]
        with self._looking:
            logits, *maps = self._run("layers.onnx", photo[None], asked)
        familiarity = float(self.familiarity.score(maps.pop())[0]) if self.familiarity else None
        pictures = (channels_first[0].transpose(1, 2, 0) for channels_first in maps)
        reading = Reading(softmax(logits)[0], familiarity)
        if self.precision.used == "int8" or self.manifest.views > 1:
            reading = self.read(photo)
        return MappedReading(reading, dict(zip(layers, pictures, strict=True)))

    def _run(self, name: str, photos: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
        """What a graph answers. Raises BundleError: nothing, or something that is no number."""
        graph = self._graph(name)
        try:
            return graph.run(photos, outputs)
        except UnusableGraph as error:
            raise BundleError(self.bundle.path, f"{name} {error.reason}") from error

    def layer(self, name: str) -> LayerEntry:
        """Return the layer called `name`. Raises UnknownLayer, with the nearest names."""
        try:
            return self.layers[name]
        except KeyError:
            raise UnknownLayer(name, list(self.layers)) from None

    def check(self) -> None:
        """Answer a grey photo by every graph in use. Raises BundleError if that does not work."""
        grey = np.full((1, self.framing.size, self.framing.size, 3), 127, np.float32)
        for name in [name for name in list(self._graphs) if name != "head.onnx"]:
            self._run(name, grey, ["logits"])

    def warm(self, like: "Classifier | None") -> None:
        """Load the graphs that an earlier version has in use by now. Raises BundleError."""
        for name in list(like._graphs) if like else []:
            if name in self.manifest.files and name not in GRAPHS.values():  # has its own
                self._graph(name)

    def top(self, probabilities: np.ndarray, count: int) -> list[Prediction]:
        """Return the `count` most probable classes of one row, best first; ties in class order."""
        order = np.argsort(-probabilities, kind="stable")[:count]
        return [Prediction(self.class_names[i], float(probabilities[i])) for i in order]

    def depths(self, count: int) -> list[str]:
        """Name up to `count` trunk layers, spread evenly from photo to answer."""
        trunk = [entry.name for entry in self.manifest.layers if entry.trunk] or list(self.layers)
        return [trunk[i] for i in spread(len(trunk), count)]

    @property
    def head(self) -> Graph:
        """Pooled features -> logits. Raises BundleError."""
        return self._graph("head.onnx")

    @cached_property
    def pooled_layer(self) -> str | None:
        """The last block, if the head reads its mean; else None: it has no exact saliency."""
        if not self.blocks:
            return None
        last, layers = self.blocks[-1].name, self._graph("layers.onnx")
        return last if saliency.is_pooled(layers, last, self.framing.size) else None

    @cached_property
    def cut(self) -> Cut | None:
        """The network in two, for saliency by masks; None: no layer does it. Raises BundleError."""
        return open_cut(self.bundle, self._graph("layers.onnx"), self._threads)

    def _read_familiarity(self) -> Familiarity | None:
        """What the bundle knows of its training photos. Raises BundleError."""
        known = self.thresholds.familiarity
        if known is None:
            return None
        grey = np.full((1, self.framing.size, self.framing.size, 3), 127, np.float32)
        width = self.predictor.run(grey, self._compared)[0].shape[-1]
        return read_familiarity(self.bundle, known, width)

    @property
    def coverage(self) -> float | None:
        """The share of photos whose prediction set is to hold the truth; None: it has no sets."""
        return self.prediction_set.coverage if self.prediction_set else None

    def _graph(self, name: str) -> Graph:
        """Return one graph of the bundle, loaded when it is first needed."""
        with self._lock:
            if name not in self._graphs:
                self._graphs[name] = self._open(name)
            return self._graphs[name]

    def _open(self, name: str) -> Graph:
        """Load one graph of the bundle, and try it once."""
        content = self.bundle.read(name)
        try:
            check_graph(content)
            graph = plain = Graph(content, self._threads)
            if self.device.used != CPU and name != "head.onnx":
                graph = Graph(content, self._threads, self.device.used)
        except DeviceUnusable:
            raise
        except Exception as error:  # the runtime's own exceptions have no common base
            raise BundleError(self.bundle.path, f"{name} does not load: {error}") from error
        self._probe(graph, plain, name)
        needed = set() if name == "head.onnx" else set(self._compared)
        if name == "layers.onnx":
            needed |= set(self.layers)
        if missing := needed - set(graph.outputs):
            reason = f"{name} has no output {min(missing)!r}, which the manifest needs"
            raise BundleError(self.bundle.path, reason)
        return graph

    def _probe(self, graph: Graph, plain: Graph, name: str) -> None:
        """See that a graph answers as logits do, on the device as on the processor."""
        size, classes = self.framing.size, len(self.class_names)
        shape = (1, graph.input_shape[-1]) if name == "head.onnx" else (1, size, size, 3)
        try:
            expected = probe_graph(plain, shape, classes)
            answers = [] if graph is plain else probe_graph(graph, shape, classes)
        except UnusableGraph as error:
            raise BundleError(self.bundle.path, f"{name} {error.reason}") from error
        for answer, wanted in zip(answers, expected, strict=False):
            compare(answer, wanted, self.device.used)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Logits (N, K) -> probabilities; shifted by the largest so that nothing overflows."""
    with np.errstate(over="ignore"):  # the difference of two huge ones is as good as infinite
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)

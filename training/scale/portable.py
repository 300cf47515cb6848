"""Graphs and classifiers that can be sent to another process: as bytes, opened again there."""

from collections.abc import Mapping
from pathlib import Path

from models.bundle import Bundle
from models.bundles.names import MANIFEST
from models.classifier import Classifier
from models.familiarity import FILE
from models.insight import INDEX
from models.runtime import Graph
from models.terms import Precision


class PortableGraph(Graph):
    """A graph that keeps its bytes, so that it can be pickled."""

    def __init__(self, model: bytes):
        super().__init__(model)
        self.model = model

    def __reduce__(self) -> tuple[type["PortableGraph"], tuple[bytes]]:
        return PortableGraph, (self.model,)


class _SentBundle(Bundle):
    """The files of a bundle that answering needs, in memory."""

    def __init__(self, path: Path, files: Mapping[str, bytes]):
        self._files = files
        super().__init__(path)

    def _bytes(self, name: str, most: int) -> bytes:
        if name not in self._files:
            raise FileNotFoundError(2, "it was not sent", name)
        return self._files[name]


class PortableClassifier(Classifier):
    """A classifier that can be pickled, to answer photos but not to look inside."""

    def __init__(self, bundle: Bundle, precision: str | Precision = "fp32"):
        """See `Classifier`. Raises BundleError."""
        super().__init__(bundle, precision=precision)

    def __reduce__(self) -> tuple[object, tuple[Path, dict[str, bytes], Precision]]:
        names = {self.precision.graph, FILE, INDEX} & set(self.manifest.files)
        files = {name: self.bundle.read(name) for name in names}
        return _open, (self.bundle.path, files | {MANIFEST: self.bundle.content}, self.precision)


def _open(path: Path, files: dict[str, bytes], precision: Precision) -> PortableClassifier:
    return PortableClassifier(_SentBundle(path, files), precision)

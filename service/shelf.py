"""The loaded bundles, by name; the first is the one that routes without a name mean."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from models.bundle import Bundle
from models.classifier import Classifier
from models.errors import BundleError, UnknownModel


class Shelf:
    """Classifiers in the order they were given."""

    def __init__(self, paths: Iterable[Path], threads: int):
        """Open every bundle. Raises BundleError for the first that cannot be served."""
        self._classifiers: dict[str, Classifier] = {}
        for path in paths:
            classifier = Classifier(Bundle(path), threads)
            if classifier.name in self._classifiers:
                raise BundleError(path, f"a model called {classifier.name!r} is served already")
            self._classifiers[classifier.name] = classifier
        if not self._classifiers:
            raise BundleError(Path(), "none given: name one or more bundles to serve")

    def __iter__(self) -> Iterator[Classifier]:
        return iter(self._classifiers.values())

    def find(self, name: str | None) -> Classifier:
        """The model called `name`, or the first. Raises UnknownModel."""
        if name is None:
            return next(iter(self))
        try:
            return self._classifiers[name]
        except KeyError:
            raise UnknownModel(name, list(self._classifiers)) from None

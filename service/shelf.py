"""The models that are served at one time, by name; the first is meant where no name is given."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from models.bundle import Bundle
from models.bundles.pinned import pinned
from models.classifier import Classifier
from models.errors import BundleError, LayerscopeError, UnknownModel, UnknownVersion
from models.examine import examine
from service.settings import Settings
from service.versions.catalogue import Refusal


class NoModel(LayerscopeError):
    """Nothing is served yet."""

    code = "not_ready"


class Shelf:
    """Classifiers in order, and what was refused. It never changes: another takes its place."""

    def __init__(self, classifiers: Iterable[Classifier], refused: Sequence[Refusal] = ()):
        self._classifiers = {classifier.name: classifier for classifier in classifiers}
        self.refused = refused

    def __iter__(self) -> Iterator[Classifier]:
        return iter(self._classifiers.values())

    def find(self, name: str | None) -> Classifier:
        """The model called `name`, or the first. Raises UnknownModel, NoModel."""
        if name is None:
            for classifier in self:
                return classifier
            raise NoModel("no model is served yet: put a bundle into the folder of models")
        try:
            return self._classifiers[name]
        except KeyError:
            raise UnknownModel(name, list(self._classifiers)) from None

    def check_version(self, name: str, version: str) -> None:
        """See that this version of a model is served. Raises UnknownModel, UnknownVersion."""
        served = self.find(name).manifest.version
        if version != served:
            raise UnknownVersion(name, version, served)


def open_shelf(paths: Iterable[Path], settings: Settings) -> Shelf:
    """Examine bundles and serve them from memory, in one process and for good.

    Raises:
        BundleError: for the first that cannot be served.
    """
    found: dict[str, Classifier] = {}
    for path in paths:
        classifier = examine(pinned(Bundle(path)), settings.precision, settings.device)
        if classifier.name in found:
            raise BundleError(path, f"a model called {classifier.name!r} is served already")
        found[classifier.name] = classifier
    if not found:
        raise BundleError(Path(), "none given: name one or more bundles to serve")
    return Shelf(found.values())

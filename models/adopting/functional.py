"""A functional model that becomes part of a network: its calls, each once its inputs exist."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from models.adopting.arguments import Call, Reference, read_calls
from models.adopting.entries import name_of, settings_of
from models.adopting.weights import Place
from models.errors import AdoptError

MOST_CALLS = 10_000  # of layers; one can be called many times


def too_many_calls() -> AdoptError:
    """Say that layers are called without end."""
    return AdoptError(f"the network calls layers more than {MOST_CALLS:,} times")


class Builder(Protocol):
    """What adds one call of a layer to the network."""

    def layer(
        self, entry: dict[str, Any], place: Place, call: Call, path: Sequence[str]
    ) -> list[Any]:
        """Add it; returns its outputs."""


class Functional:
    """A functional model that is being added: the outputs of each call so far."""

    def __init__(
        self,
        builder: Builder,
        entry: dict[str, Any],
        entries: list[dict[str, Any]],
        places: list[Place],
        path: Sequence[str],
    ):
        self.builder, self.path = builder, path
        self.config = settings_of(entry)
        self.entries = {name_of(one): one for one in entries}
        if len(self.entries) != len(entries):
            raise AdoptError("two layers of one model have the same name")
        self.places = dict(zip(self.entries, places, strict=True))
        self.made: dict[str, list[list[Any]]] = {name: [] for name in self.entries}
        self.totals: dict[str, int] = {}
        self.shifted: set[str] = set()

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """Make every call once its inputs exist. Raises AdoptError where some never do."""
        starts = _listed(self.config.get("input_layers"))
        if len(starts) != len(inputs):
            raise AdoptError(f"a model has {len(starts)} inputs and is given {len(inputs)}")
        for start, tensor in zip(starts, inputs, strict=True):
            self._of(start.layer).append([tensor])
        known = set(self.entries)
        given = {start.layer for start in starts}
        waiting = {
            name: read_calls(entry, known, name)
            for name, entry in self.entries.items()
            if name not in given
        }
        if sum(map(len, waiting.values())) > MOST_CALLS:  # before the first is built
            raise too_many_calls()
        self._count(waiting)
        while waiting:
            before = sum(map(len, waiting.values())), len(waiting)
            for name in list(waiting):
                while waiting[name] and self._ready(waiting[name][0]):
                    self._make(name, waiting[name].pop(0))
                if not waiting[name]:
                    del waiting[name]
            if (sum(map(len, waiting.values())), len(waiting)) == before:
                raise AdoptError(f"layer {next(iter(waiting))!r} waits for an input that is none")
        return [self._find(self._output(one)) for one in _listed(self.config.get("output_layers"))]

    def _count(self, calls: dict[str, list[Call]]) -> None:
        """Note how often each layer is called, and which models count one call too many.

        Keras 2 counts the building of a model as its first call.
        """
        self.totals = {name: len(found) for name, found in calls.items()}
        highest: dict[str, int] = {}
        for found in calls.values():
            for one in (one for call in found for one in call.references()):
                highest[one.layer] = max(highest.get(one.layer, 0), one.call)
        self.shifted = {
            name
            for name, most in highest.items()
            if name in self.entries and self._is_model(name) and most >= self.totals.get(name, 1)
        }

    def _output(self, one: Reference) -> Reference:
        """Return an output of the whole with the number of its call: a model inside counts one."""
        self._of(one.layer)
        functional = self.entries[one.layer].get("class_name") in ("Functional", "Model")
        if self._is_model(one.layer) and (functional or one.call >= self.totals.get(one.layer, 1)):
            return replace(one, call=max(0, one.call - 1 + (one.layer in self.shifted)))
        return replace(one, call=one.call + (one.layer in self.shifted))

    def _of(self, name: str) -> list[list[Any]]:
        if name not in self.made:
            raise AdoptError(f"a model refers to a layer {name[:80]!r} that it does not have")
        return self.made[name]

    def _place(self, one: Reference) -> int:
        """Return which of the calls so far a reference means."""
        return one.call - (one.layer in self.shifted)

    def _ready(self, call: Call) -> bool:
        return all(len(self._of(one.layer)) > self._place(one) for one in call.references())

    def _is_model(self, name: str) -> bool:
        return "layers" in settings_of(self.entries[name])

    def _find(self, one: Reference) -> Any:
        """Return an output of a call that was made."""
        made, call = self._of(one.layer), self._place(one)
        if not 0 <= call < len(made) or not 0 <= one.output < len(made[call]):
            raise AdoptError(f"layer {one.layer!r} has no output that a model refers to")
        return made[call][one.output]

    def _make(self, name: str, call: Call) -> None:
        def filled(value: Any) -> Any:
            if isinstance(value, Reference):
                return self._find(value)
            return [filled(item) for item in value] if isinstance(value, list) else value

        given = replace(
            call,
            args=filled(call.args),
            named={key: filled(value) for key, value in call.named.items()},
        )
        entry, place = self.entries[name], self.places[name]
        self.made[name].append(self.builder.layer(entry, place, given, self.path))


def _listed(value: Any) -> list[Reference]:
    """Read `input_layers` or `output_layers`: one, a list or a dictionary. Raises AdoptError."""
    found: list[Reference] = []
    waiting = [value]  # the next is its last
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += reversed(item.values())
        elif isinstance(item, list) and len(item) >= 3 and isinstance(item[0], str):
            if not all(isinstance(number, int) for number in item[1:3]):
                raise AdoptError("a model's inputs or outputs cannot be read")
            found.append(Reference(item[0], item[1], item[2]))
        elif isinstance(item, list):
            waiting += reversed(item)
        else:
            raise AdoptError("a model's inputs or outputs cannot be read")
    return found

"""The graph of a model, rebuilt from its configuration; models inside it become part of it.

Layers are called as the file says, in the order in which their inputs exist. Layers that are
active in training only are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from models.adopting.arguments import Call, Reference, read_calls
from models.adopting.assemble import Assembly, is_tensor
from models.adopting.kinds import ALIASES, KINDS, TRAINING_ONLY, refusal
from models.adopting.model_file import ModelFile
from models.adopting.operations import is_operation, read_operation, translate
from models.adopting.shape import MODELS, layers_of, read_input_shape, settings_of
from models.adopting.weights import Member, Place, first_place
from models.errors import AdoptError

DEEPEST = 12  # models inside models
MOST_LAYERS = 5000
OPERATIONS = ("TFOpLambda", "SlicingOpLambda")


@dataclass(frozen=True)
class Rebuilt:
    """The network of a file, flat, without what is active in training only."""

    network: keras.Model  # (N, H, W, C) or (N, H, W) float32 -> what the file's own answers
    scalings: list[str]  # layers that scale the pixels inside
    loss: str  # that it was compiled with; may be empty


def rebuild(file: ModelFile, size: int | None = None) -> Rebuilt:
    """Build the network of a file from its text, with its weights.

    Args:
        size: px; height and width of the input where the file leaves them open.

    Raises:
        AdoptError: a layer cannot be read, or the network is none of images.
    """
    if file.config.get("class_name") not in MODELS:
        raise _unknown(str(file.config.get("class_name")), file.config, "the model")
    shape = read_input_shape(file.config, size)
    image = keras.Input(shape, name="image")
    builder = _Builder(Assembly(image, file.is_old), file.is_old)
    outputs = builder.model(file.config, first_place(file), [image], ())
    if len(outputs) != 1:
        raise AdoptError(
            f"the network has {len(outputs)} outputs; expected one, the classes: save a model "
            "with that output alone, keras.Model(model.input, model.output[0])"
        )
    output = builder.network.tensor(outputs[0], "the last")
    if output is image:
        raise AdoptError("the network has no layer that computes anything")
    return Rebuilt(keras.Model(image, output), builder.network.scalings, _loss(file))


def _loss(file: ModelFile) -> str:
    compiled = file.config.get("compile_config")
    loss = compiled.get("loss") if isinstance(compiled, dict) else None
    if isinstance(loss, dict):
        inner = loss.get("config")
        loss = inner.get("name") if isinstance(inner, dict) else loss.get("class_name")
    return loss if isinstance(loss, str) else ""


class _Builder:
    """Walks a configuration and adds its layers to a network."""

    def __init__(self, network: Assembly, old: bool):
        """Begin. `old`: Keras 2 obeys training=True in a call, even when the network answers."""
        self.network, self.old = network, old
        self._layers = 0

    def model(
        self, entry: dict[str, Any], place: Place, inputs: Sequence[Any], path: Sequence[str]
    ) -> list[Any]:
        """Add a model; returns its outputs."""
        kind = entry.get("class_name")
        if len(path) > DEEPEST:
            raise AdoptError(f"models lie more than {DEEPEST} deep inside one another")
        if kind not in MODELS:
            raise _unknown(str(kind), entry, path[-1] if path else "the model")
        entries = layers_of(entry)
        self._layers += len(entries)
        if self._layers > MOST_LAYERS:
            raise AdoptError(f"the network has more than {MOST_LAYERS:,} layers")
        places = _places(entries, place, kind == "Sequential")
        if kind != "Sequential":
            return _Graph(self, entry, entries, places, path).run(inputs)
        tensors = list(inputs)
        for inner, where in zip(entries, places, strict=True):
            if inner.get("class_name") != "InputLayer":
                tensors = self.layer(inner, where, Call([tensors[0]]), path)
        return tensors

    def layer(
        self, entry: dict[str, Any], place: Place, call: Call, path: Sequence[str]
    ) -> list[Any]:
        """Add one call of a layer, of a model inside or of an operation; returns its outputs.

        Args:
            call: with tensors in place of references.
        """
        kind, config = str(entry.get("class_name")), settings_of(entry)
        name = name_of(entry)
        path = (*path, name)
        kind = ALIASES.get(kind, kind)
        _refuse_foreign(kind, entry, name)
        tensors = _tensors(call)
        if kind in MODELS or "layers" in config:
            return self.model(entry, place, tensors, path)
        if _is_operation(kind, entry, config, call):
            operation = read_operation(kind, config, call, path)
            return [translate(self.network, operation)]
        always = call.named.get("training") is True and not kind.startswith("Random")
        if always and self.old and kind in (*TRAINING_ONLY, "BatchNormalization"):
            raise AdoptError(
                f"layer {name!r} ({kind}) is called with training=True, so its answers change "
                "from one time to the next: call it without, and save the model again"
            )
        if kind in TRAINING_ONLY:
            return [tensors[0]]
        if kind not in KINDS:
            raise _unknown(kind, entry, name)
        return [self.network.add(kind, config, tensors, path, place)]


class _Graph:
    """A functional model that is being added: the outputs of each call so far."""

    def __init__(
        self,
        builder: _Builder,
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
        """Return an output of the whole with the number of its call; functional models count one."""
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
    waiting = [value]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, dict):
            waiting[:0] = item.values()
        elif isinstance(item, list) and len(item) >= 3 and isinstance(item[0], str):
            if not all(isinstance(number, int) for number in item[1:3]):
                raise AdoptError("a model's inputs or outputs cannot be read")
            found.append(Reference(item[0], item[1], item[2]))
        elif isinstance(item, list):
            waiting[:0] = item
        else:
            raise AdoptError("a model's inputs or outputs cannot be read")
    return found


def _tensors(call: Call) -> list[Any]:
    """List the tensors among the arguments of a layer, in order."""
    found: list[Any] = []
    waiting = [*call.args, *call.named.values()]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, list):
            waiting[:0] = item
        elif is_tensor(item):
            found.append(item)
    return found


def name_of(entry: dict[str, Any]) -> str:
    """Return a layer's name. Raises AdoptError where it has none."""
    name = settings_of(entry).get("name", entry.get("name"))
    name = entry.get("name", name) if isinstance(entry.get("name"), str) else name
    if not isinstance(name, str) or not name or len(name) > 300:
        raise AdoptError(f"a layer of kind {str(entry.get('class_name'))[:60]!r} has no name")
    return name


def _places(entries: list[dict[str, Any]], place: Place, sequential: bool) -> list[Place]:
    """Find the place of the weights of each layer; operations have none, and are not counted."""
    counted = [one for one in entries if not _is_plain_operation(one)]
    if sequential:
        counted = [one for one in counted if one.get("class_name") != "InputLayer"]
    members = [Member(_class_of(one), name_of(one), _has_weights(one)) for one in counted]
    found = {id(one): where for one, where in zip(counted, place.inside(members), strict=True)}
    return [found.get(id(one), place) for one in entries]


def _class_of(entry: dict[str, Any]) -> str:
    kind = str(entry.get("class_name"))
    return "Functional" if kind == "Model" else kind


def _has_weights(entry: dict[str, Any], depth: int = 0) -> bool:
    kind = str(entry.get("class_name"))
    if kind in MODELS and depth <= DEEPEST:
        return any(_has_weights(one, depth + 1) for one in layers_of(entry))
    known = KINDS.get(ALIASES.get(kind, kind))
    return bool(known and known.weights)


def _is_plain_operation(entry: dict[str, Any]) -> bool:
    module = entry.get("module")
    return isinstance(module, str) and ".ops." in f"{module}."


def _is_operation(kind: str, entry: dict[str, Any], config: dict[str, Any], call: Call) -> bool:
    """Return whether an entry is an operation: Add and others are layers, too."""
    if kind in OPERATIONS or _is_plain_operation(entry):
        return True
    if not is_operation(kind):
        return False
    if kind not in KINDS or "newshape" in config:
        return True
    return "module" not in entry and (len(call.args) > 1 or len(call.named.keys() - _CALLED) > 0)


_CALLED = {"training", "mask"}  # arguments of layers that are no tensors


def _refuse_foreign(kind: str, entry: dict[str, Any], name: str) -> None:
    """Raise AdoptError for a layer that is none of Keras' own, whatever it is called."""
    module, registered = entry.get("module"), entry.get("registered_name")
    own = module is None or (
        isinstance(module, str)
        and module.partition(".")[0] in ("keras", "tf_keras", "tensorflow", "builtins")
    )
    plain = registered is None or registered == entry.get("class_name")
    if not own or not plain or (module is None and "module" in entry):
        where = f"{module}.{kind}" if module else str(registered or kind)
        raise AdoptError(
            f"layer {name!r} is a {where[:100]}, a class of somebody's own: its code is not in the "
            "file, and is never run; replace it by built-in layers and save the model again"
        )


def _unknown(kind: str, entry: dict[str, Any], name: str) -> AdoptError:
    """Say why a kind of layer is refused."""
    if isinstance(entry.get("config"), dict) and "layers" in entry["config"]:
        return AdoptError(
            f"{name!r} is a model of class {kind[:60]!r}, subclassed in Python: its code is not in "
            "the file; build it as a functional model, copy the weights and save it"
        )
    known = hasattr(keras.layers, kind) or refusal(kind) != refusal("")
    reason = refusal(kind) if known else None
    if reason is None:
        reason = (
            "it is a class of somebody's own: its code is not in the file, and is never run; "
            "replace it by built-in layers and save the model again"
        )
    return AdoptError(f"layer {name!r} is a {kind[:60]}, which cannot be adopted: {reason}")

"""The graph of a model, rebuilt from its configuration; models inside it become part of it.

Layers are called as the file says, in the order in which their inputs exist. Layers that are
active in training only are left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from models.adopting.arguments import Call
from models.adopting.assemble import Assembly, is_tensor
from models.adopting.entries import MODELS, layers_of, name_of, settings_of
from models.adopting.files.model_file import ModelFile
from models.adopting.functional import MOST_CALLS, Functional, too_many_calls
from models.adopting.kinds import ALIASES, KINDS, TRAINING_ONLY
from models.adopting.operations import is_operation, read_operation, translate
from models.adopting.refusals import refuse_foreign, unknown
from models.adopting.shape import read_input_shape
from models.adopting.weights import Member, Place, first_place, places_inside
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
    in_a_row: bool  # whether the file's network reads the pixels as one row of numbers


def rebuild(file: ModelFile, size: int | None = None) -> Rebuilt:
    """Build the network of a file from its text, with its weights.

    Args:
        size: px; height and width of the input where the file leaves them open.

    Raises:
        AdoptError: a layer cannot be read, or the network is none of images.
    """
    if file.config.get("class_name") not in MODELS:
        raise unknown(str(file.config.get("class_name")), file.config, "the model")
    try:
        return _rebuild(file, size)
    except RecursionError as error:
        raise AdoptError("the text of the network is nested too deep") from error


def _rebuild(file: ModelFile, size: int | None) -> Rebuilt:
    read = read_input_shape(file.config, size)
    image = keras.Input(read.image, name="image")
    builder = _Builder(Assembly(image, file.is_old), file.is_old)
    start = image
    if read.in_a_row:
        start = builder.network.plain("Flatten", {}, [image], ["pixels_in_a_row"])
    outputs = builder.model(file.config, first_place(file), [start], ())
    if len(outputs) != 1:
        raise AdoptError(
            f"the network has {len(outputs)} outputs; expected one, the classes: save a model "
            "with that output alone, keras.Model(model.input, model.output[0])"
        )
    output = builder.network.tensor(outputs[0], "the last")
    if output is start:
        raise AdoptError("the network has no layer that computes anything")
    network = keras.Model(image, output)
    return Rebuilt(network, builder.network.scalings, _loss(file), read.in_a_row)


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
        self._layers = self._calls = 0

    def model(
        self, entry: dict[str, Any], place: Place, inputs: Sequence[Any], path: Sequence[str]
    ) -> list[Any]:
        """Add a model; returns its outputs."""
        kind = entry.get("class_name")
        if len(path) > DEEPEST:
            raise AdoptError(f"models lie more than {DEEPEST} deep inside one another")
        if kind not in MODELS:
            raise unknown(str(kind), entry, path[-1] if path else "the model")
        entries = layers_of(entry)
        self._layers += len(entries)
        if self._layers > MOST_LAYERS:
            raise AdoptError(f"the network has more than {MOST_LAYERS:,} layers")
        places = _places(entries, place, kind == "Sequential")
        if kind != "Sequential":
            return Functional(self, entry, entries, places, path).run(inputs)
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
        self._calls += 1
        if self._calls > MOST_CALLS:
            raise too_many_calls()
        path = (*path, name)
        kind = ALIASES.get(kind, kind)
        refuse_foreign(kind, entry, name)
        tensors = _tensors(call)
        if kind in MODELS or "layers" in config:
            return self.model({**entry, "class_name": kind}, place, tensors, path)
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
            raise unknown(kind, entry, name)
        return [self.network.add(kind, config, tensors, path, place)]


def _tensors(call: Call) -> list[Any]:
    """List the tensors among the arguments of a layer, in order."""
    return [item for item in call.items() if is_tensor(item)]


def _places(entries: list[dict[str, Any]], place: Place, sequential: bool) -> list[Place]:
    """Find the place of the weights of each layer; operations have none, and are not counted."""
    counted = [one for one in entries if not _is_plain_operation(one)]
    if sequential:
        counted = [one for one in counted if one.get("class_name") != "InputLayer"]
    members = [Member(_class_of(one), name_of(one), _has_weights(one)) for one in counted]
    found = dict(zip(map(id, counted), places_inside(place, members), strict=True))
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

"""Why a layer or a model is refused: it is somebody's own, or has no counterpart here."""

from typing import Any

import keras

from models.adopting.kinds import refusal
from models.adopting.weights import snake_case
from models.errors import AdoptError


def refuse_foreign(kind: str, entry: dict[str, Any], name: str) -> None:
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


def unknown(kind: str, entry: dict[str, Any], name: str) -> AdoptError:
    """Say why a kind of layer is refused."""
    if isinstance(entry.get("config"), dict) and "layers" in entry["config"]:
        return AdoptError(
            f"{name!r} is a model of class {kind[:60]!r}, subclassed in Python: its code is not in "
            "the file; build it as a functional model, copy the weights and save it"
        )
    function = snake_case(kind)
    operations = (keras.ops, keras.ops.image)
    if not hasattr(keras.layers, kind) and any(hasattr(one, function) for one in operations):
        return AdoptError(
            f"operation {name!r} ({function}) has no counterpart here: use a built-in layer such "
            "as Rescaling, Resizing or Normalization instead, and save the model again"
        )
    known = hasattr(keras.layers, kind) or refusal(kind) != refusal("")
    reason = refusal(kind) if known else None
    if reason is None:
        reason = (
            "it is a class of somebody's own: its code is not in the file, and is never run; "
            "replace it by built-in layers and save the model again"
        )
    return AdoptError(f"layer {name!r} is a {kind[:60]}, which cannot be adopted: {reason}")

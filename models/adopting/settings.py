"""The settings of one layer: those that count are kept, older spellings translated.

A key that is neither known nor known to be harmless is refused with its name: dropping
LeakyReLU's `alpha` would change every answer without a word.
"""

from typing import Any

import numpy as np

from models.adopting.kinds import KINDS, Kind
from models.errors import AdoptError

# Settings of training, of bookkeeping, and of the machine: they change no answer.
HARMLESS = frozenset(
    {
        *("name", "trainable", "dtype", "batch_input_shape", "batch_shape", "input_shape"),
        *("input_dtype", "input_dim", "batch_size", "seed", "autocast", "build_config", "dynamic"),
        *("sparse", "ragged", "optional", "momentum", "renorm_momentum", "fused", "synchronized"),
        *("implementation", "experimental_autocast", "gptq_unpacked_column_size"),
    }
)
HARMLESS_ENDINGS = ("_initializer", "_regularizer", "_constraint")
EMPTY: tuple[Any, ...] = (
    None,
    False,
    0,
    "",
    [],
    {},
)  # of a feature that is not in use, such as quantization
UNUSED = ("quantization_config", "lora_rank", "lora_alpha", "quantization_mode")
FUNCTIONS = frozenset(
    {
        *("linear", "relu", "relu6", "sigmoid", "tanh", "elu", "selu", "celu", "gelu", "mish"),
        *("silu", "swish", "softplus", "softsign", "exponential", "leaky_relu", "softmax"),
        *("hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh", "tanh_shrink", "log_softmax"),
        *("hard_shrink", "soft_shrink", "log_sigmoid", "sparse_plus", "sparse_sigmoid"),
        "squareplus",
    }
)
UNREAD = ("glu", "sparsemax", "threshold")  # functions of Keras that nothing here computes
# Functions of TensorFlow that bear another name than Keras' own.
TENSORFLOW = {"softmax_v2": "softmax", "log_softmax_v2": "log_softmax"}
# Serialised activations that are layers -> the layer.
ACTIVATION_LAYERS = ("ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax", "ThresholdedReLU")
NESTING = 4
NUMBERS = frozenset(
    {
        *("scale", "offset", "mean", "variance", "epsilon", "alpha", "negative_slope"),
        *("threshold", "max_value", "fill_value"),
    }
)
MAY_BE_MISSING = ("mean", "variance", "max_value")


def read_settings(kind: str, config: Any, name: str) -> dict[str, Any]:
    """Return the settings that count, in today's spelling; `activation` stays as it is written.

    Raises:
        AdoptError: a setting is not known, or has a value that no layer has.
    """
    if not isinstance(config, dict):
        raise AdoptError(f"layer {name!r} ({kind}) has no settings that can be read")
    known: Kind = KINDS[kind]
    found: dict[str, Any] = {}
    for key, value in config.items():
        place = known.renamed.get(key, key)
        if place in known.keys:
            if place in found and found[place] != value:
                raise AdoptError(f"layer {name!r} ({kind}) has both {key!r} and {place!r}")
            found[place] = value if place == "activation" else plain(value, kind, name, key)
        else:
            _check_harmless(known, key, value, f"layer {name!r} ({kind})")
    if found.pop("data_format", None) == "channels_first":
        raise AdoptError(
            f"layer {name!r} ({kind}) has data_format channels_first: convert the model to "
            "channels_last where it was made"
        )
    check_dtype(config.get("dtype"), f"layer {name!r} ({kind})")
    _check_numbers(found, f"layer {name!r} ({kind})")
    return found


def _check_numbers(found: dict[str, Any], where: str) -> None:
    """See that what is multiplied, added or compared is a number, or several."""
    for key in NUMBERS & found.keys():
        value = found[key]
        if value is None and key in MAY_BE_MISSING:
            continue
        try:
            good = not isinstance(value, str) and np.isfinite(np.asarray(value, np.float64)).all()
        except (TypeError, ValueError, OverflowError):
            good = False
        if not good:
            raise AdoptError(f"{where} has {key} {str(value)[:40]!r}; expected a finite number")


def _check_harmless(known: Kind, key: str, value: Any, where: str) -> None:
    if key in known.fixed:
        if value not in known.fixed[key]:
            allowed = " or ".join(map(repr, known.fixed[key]))
            raise AdoptError(f"{where} has {key} {value!r}; expected {allowed}")
    elif key in UNUSED:
        if value not in EMPTY:
            raise AdoptError(f"{where} is quantised or has LoRA ({key}): save it without")
    elif key not in HARMLESS and not key.endswith(HARMLESS_ENDINGS):
        raise AdoptError(
            f"{where} has a setting {str(key)[:60]!r} that no built-in layer of that kind has: "
            "without knowing what it does its answers could be wrong; save the model again with a "
            "newer Keras, without that setting"
        )


def plain(value: Any, kind: str, name: str, key: str, depth: int = 0) -> Any:
    """Return a value of plain numbers, words and lists of them. Raises AdoptError."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list) and len(value) <= 4096 and depth < NESTING:
        return [plain(item, kind, name, key, depth + 1) for item in value]
    if isinstance(value, dict) and value.get("class_name") in ("__tensor__", "__numpy__"):
        inner = value.get("config")
        if isinstance(inner, dict):
            return plain(inner.get("value"), kind, name, key, depth + 1)
    if isinstance(value, dict) and value.get("class_name") in ("__tuple__", "TensorShape"):
        items = value.get("items")
        return plain(items if items is not None else value.get("config"), kind, name, key, depth)
    raise AdoptError(f"layer {name!r} ({kind}) has {key} of a kind that cannot be read")


def check_dtype(policy: Any, where: str) -> None:
    """See that a layer computes with floating-point numbers: 8 bits have scales of their own."""
    name = policy
    if isinstance(policy, dict):
        inner = policy.get("config")
        name = inner.get("name") if isinstance(inner, dict) else None
    if isinstance(name, str) and name.startswith(("int", "uint", "float8")) and "_from_" in name:
        raise AdoptError(f"{where} is quantised ({name[:40]}): save the model before quantising it")


def read_activation(value: Any, name: str) -> str | dict[str, Any]:
    """Return the name of a built-in function, or the serialised layer that stands for one.

    Raises:
        AdoptError: a function of somebody's own.
    """
    if value is None:
        return "linear"
    if isinstance(value, dict):
        kind, inner = value.get("class_name"), value.get("config")
        if kind in ACTIVATION_LAYERS and isinstance(inner, dict):
            return value
        if kind == "Activation" and isinstance(inner, dict):
            return read_activation(inner.get("activation"), name)
        if kind == "function":
            value = inner if isinstance(inner, str) else (inner or {}).get("name")
        elif isinstance(kind, str) and kind.lower() in FUNCTIONS:
            value = kind
        else:
            value = kind
    if isinstance(value, str):
        value = TENSORFLOW.get(value, value)
    if isinstance(value, str) and value in FUNCTIONS:
        return value
    shown = str(value)[:60]
    if value in UNREAD:
        raise AdoptError(
            f"layer {name!r} ends with {shown!r}, an activation function that has no counterpart "
            "here yet: use another of keras.activations, and train the model again"
        )
    raise AdoptError(
        f"layer {name!r} ends with {shown!r}, an activation function of its own: its code is not "
        "in the file; use a built-in one (keras.activations) and save the model again"
    )

"""Activation functions by their Keras name, and the layers that are one."""

from collections.abc import Callable
from typing import Any

import numpy as np

from models.building.writers.writer import Writer, is_last

_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "elu": ("Elu", {}),
    "selu": ("Selu", {}),
    "celu": ("Celu", {}),
    "gelu": ("Gelu", {}),
    "mish": ("Mish", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "exponential": ("Exp", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),  # Keras' default slope
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "sparse_sigmoid": ("HardSigmoid", {"alpha": 0.5, "beta": 0.5}),
    "hard_shrink": ("Shrink", {"lambd": 0.5, "bias": 0.0}),
    "soft_shrink": ("Shrink", {"lambd": 0.5, "bias": 0.5}),
    "hard_silu": ("HardSwish", {}),
    "hard_swish": ("HardSwish", {}),
}
NAMES = ("linear", "silu", "swish", "relu6", "hard_tanh", "tanh_shrink", "log_sigmoid",
         "squareplus", "sparse_plus", "softmax", "log_softmax", *_ACTIVATIONS)  # fmt: skip


def activation(w: Writer, x: str, name: str) -> str:
    """Write an activation function by its Keras name. Raises KeyError for one not listed."""
    if name == "linear":
        return x
    if name in ("silu", "swish"):
        return w.node("Mul", [x, w.node("Sigmoid", [x])])
    if name == "relu6":
        return w.node("Clip", [x, w.constant(0.0), w.constant(6.0)])
    if name == "hard_tanh":
        return w.node("Clip", [x, w.constant(-1.0), w.constant(1.0)])
    if name == "tanh_shrink":
        return w.node("Sub", [x, w.node("Tanh", [x])])
    if name == "log_sigmoid":
        return w.node("Neg", [w.node("Softplus", [w.node("Neg", [x])])])
    if name == "squareplus":  # (x + sqrt(x^2 + 4)) / 2
        root = w.node("Sqrt", [w.node("Add", [w.node("Mul", [x, x]), w.constant(4.0)])])
        return w.node("Mul", [w.node("Add", [x, root]), w.constant(0.5)])
    if name == "sparse_plus":  # (x + 1)^2 / 4 from -1 to 1; 0 below, x above
        inside = w.node("Clip", [x, w.constant(-1.0), w.constant(1.0)])
        half = w.node("Mul", [w.node("Add", [inside, w.constant(1.0)]), w.constant(0.5)])
        above = w.node("Relu", [w.node("Sub", [x, w.constant(1.0)])])
        return w.node("Add", [w.node("Mul", [half, half]), above])
    kind, attributes = _ACTIVATIONS[name]
    return w.node(kind, [x], **attributes)


def unit_length(w: Writer, x: str) -> str:
    """Divide each vector by its length; 0 stays 0, as in Keras."""
    return w.node("LpNormalization", [x], axis=1, p=2)


def activated(w: Writer, layer: Any, x: str) -> str:
    """Write the activation function that a layer ends with."""
    name = getattr(layer.activation, "__name__", str(layer.activation))
    if name in ("softmax", "log_softmax"):
        return _over_channels(w, x, name, len(layer.output.shape))
    return activation(w, x, name)


def _over_channels(w: Writer, x: str, name: str, rank: int) -> str:
    kind = "Softmax" if name == "softmax" else "LogSoftmax"
    return w.node(kind, [x], axis=1 if rank == 4 else rank - 1)


def _softmax(w: Writer, layer: Any, x: str) -> str:
    rank = len(layer.output.shape)
    if not (isinstance(layer.axis, int) and is_last(layer.axis, rank)):
        raise KeyError(f"axis {layer.axis}")
    return _over_channels(w, x, "softmax", rank)


def _relu(w: Writer, layer: Any, x: str) -> str:
    slope, least, most = layer.negative_slope, layer.threshold, layer.max_value
    if least:
        return _relu_from(w, x, float(slope), float(least), most)
    if slope:
        x = w.node("LeakyRelu", [x], alpha=float(slope))
        return x if most is None else w.node("Min", [x, w.constant(most)])
    if most is None:
        return w.node("Relu", [x])
    return w.node("Clip", [x, w.constant(0.0), w.constant(most)])


def _relu_from(w: Writer, x: str, slope: float, least: float, most: float | None) -> str:
    """Write x where it reaches `least`, slope * (x - least) elsewhere, at most `most`."""
    above = w.node("GreaterOrEqual", [x, w.constant(least)])
    below = w.node("Mul", [w.node("Sub", [x, w.constant(least)]), w.constant(slope)])
    y = w.node("Where", [above, x, below])
    return y if most is None else w.node("Min", [y, w.constant(most)])


def _prelu(w: Writer, layer: Any, x: str) -> str:
    slope = np.asarray(layer.alpha)
    return w.node("PRelu", [x, w.constant(slope.transpose(2, 0, 1) if slope.ndim == 3 else slope)])


def _leaky(w: Writer, layer: Any, x: str) -> str:
    return w.node("LeakyRelu", [x], alpha=float(layer.negative_slope))


WRITERS: dict[str, Callable[..., str]] = {
    "Activation": activated,
    "ELU": lambda w, layer, x: w.node("Elu", [x], alpha=float(layer.alpha)),
    "LeakyReLU": _leaky,
    "PReLU": _prelu,
    "ReLU": _relu,
    "Softmax": _softmax,
}

"""How each kind of Keras layer is written in ONNX: one small function a kind.

Feature maps are (N, C, H, W) here and (N, H, W, C) in Keras; vectors are (N, C) in both.
Keras pads "same" unevenly, the odd pixel at the bottom and right, as TensorFlow does.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np


class Writer(Protocol):
    """The part of a graph writer that a layer's function uses."""

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Append a node; returns the name of its output."""

    def constant(self, value: Any) -> str:
        """Append float32 numbers; returns their name."""

    def integers(self, value: Any) -> str:
        """Append int64 numbers, for shapes and axes; returns their name."""


def activation(w: Writer, x: str, name: str) -> str:
    """Write an activation function by its Keras name. Raises KeyError for one not listed."""
    if name == "linear":
        return x
    if name in ("silu", "swish"):
        return w.node("Mul", [x, w.node("Sigmoid", [x])])
    if name == "relu6":
        return w.node("Clip", [x, w.constant(0.0), w.constant(6.0)])
    kind, attributes = _ACTIVATIONS[name]
    return w.node(kind, [x], **attributes)


def unit_length(w: Writer, x: str) -> str:
    """Divide each vector by its length; 0 stays 0, as in Keras."""
    return w.node("LpNormalization", [x], axis=1, p=2)


_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "elu": ("Elu", {}),
    "selu": ("Selu", {}),
    "gelu": ("Gelu", {}),
    "mish": ("Mish", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),  # Keras' default slope
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_silu": ("HardSwish", {}),
    "hard_swish": ("HardSwish", {}),
}


def _name(layer: Any) -> str:
    """Name a layer's activation function as Keras does."""
    return getattr(layer.activation, "__name__", str(layer.activation))


def _pads(layer: Any, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> list[int]:
    """Compute ONNX pads (top, left, bottom, right) for Keras' padding at this input size."""
    if layer.padding == "valid":
        return [0, 0, 0, 0]
    before, after = [], []
    for size, k, d, step in zip(
        layer.input.shape[1:3], kernel, dilation, layer.strides, strict=True
    ):
        total = max((-(-size // step) - 1) * step + (k - 1) * d + 1 - size, 0)
        before.append(total // 2)
        after.append(total - total // 2)
    return before + after


def _convolve(
    w: Writer, x: str, layer: Any, kernel: np.ndarray, groups: int, bias: Any, plain: bool = False
) -> str:
    """Write a convolution with an OIHW kernel; `plain` ignores the layer's stride and padding."""
    size = kernel.shape[2:]
    inputs = [x, w.constant(kernel)] + ([] if bias is None else [w.constant(bias)])
    dilation = (1, 1) if plain else layer.dilation_rate
    return w.node(
        "Conv",
        inputs,
        kernel_shape=size,
        group=groups,
        strides=(1, 1) if plain else layer.strides,
        dilations=dilation,
        pads=[0, 0, 0, 0] if plain else _pads(layer, size, dilation),
    )


def _conv(w: Writer, layer: Any, x: str) -> str:
    kernel = np.asarray(layer.kernel).transpose(3, 2, 0, 1)
    y = _convolve(w, x, layer, kernel, layer.groups, layer.bias)
    return activation(w, y, _name(layer))


def _by_channel(kernel: Any) -> np.ndarray:
    """Turn a depthwise kernel (h, w, C, multiplier) into OIHW: (C * multiplier, 1, h, w)."""
    array = np.asarray(kernel)
    return array.transpose(2, 3, 0, 1).reshape(-1, 1, *array.shape[:2])


def _depthwise(w: Writer, layer: Any, x: str) -> str:
    groups = layer.input.shape[-1]
    y = _convolve(w, x, layer, _by_channel(layer.kernel), groups, layer.bias)
    return activation(w, y, _name(layer))


def _separable(w: Writer, layer: Any, x: str) -> str:
    groups = layer.input.shape[-1]
    y = _convolve(w, x, layer, _by_channel(layer.depthwise_kernel), groups, None)
    pointwise = np.asarray(layer.pointwise_kernel).transpose(3, 2, 0, 1)
    y = _convolve(w, y, layer, pointwise, 1, layer.bias, plain=True)
    return activation(w, y, _name(layer))


def _dense(w: Writer, layer: Any, x: str) -> str:
    kernel = np.asarray(layer.kernel)
    if len(layer.input.shape) == 4:  # on every position: a convolution of one pixel
        y = _convolve(w, x, layer, kernel.T[:, :, None, None], 1, layer.bias, plain=True)
    else:
        bias = np.zeros(kernel.shape[1]) if layer.bias is None else layer.bias
        y = w.node("Gemm", [x, w.constant(kernel), w.constant(bias)])
    return activation(w, y, _name(layer))


def _batch_norm(w: Writer, layer: Any, x: str) -> str:
    if layer.axis not in (-1, len(layer.input.shape) - 1):
        raise KeyError(f"axis {layer.axis}")
    ones = np.ones(layer.moving_mean.shape)
    gamma = ones if layer.gamma is None else layer.gamma
    beta = 0 * ones if layer.beta is None else layer.beta
    numbers = [gamma, beta, layer.moving_mean, layer.moving_variance]
    return w.node("BatchNormalization", [x, *map(w.constant, numbers)], epsilon=layer.epsilon)


def _layer_norm(w: Writer, layer: Any, x: str) -> str:
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    if list(axes) not in ([-1], [len(layer.input.shape) - 1]):
        raise KeyError(f"axes {axes}")
    channels = layer.input.shape[-1]
    gamma = np.ones(channels) if layer.gamma is None else layer.gamma
    beta = np.zeros(channels) if layer.beta is None else layer.beta
    maps = len(layer.input.shape) == 4
    last = w.node("Transpose", [x], perm=(0, 2, 3, 1)) if maps else x
    inputs = [last, w.constant(gamma), w.constant(beta)]
    y = w.node("LayerNormalization", inputs, axis=-1, epsilon=layer.epsilon)
    return w.node("Transpose", [y], perm=(0, 3, 1, 2)) if maps else y


def _unit(w: Writer, layer: Any, x: str) -> str:
    if layer.axis not in (-1, len(layer.input.shape) - 1):
        raise KeyError(f"axis {layer.axis}")
    return unit_length(w, x)


def _relu(w: Writer, layer: Any, x: str) -> str:
    if layer.threshold:
        raise KeyError("ReLU with a threshold")
    if layer.negative_slope:
        x = w.node("LeakyRelu", [x], alpha=float(layer.negative_slope))
        return x if layer.max_value is None else w.node("Min", [x, w.constant(layer.max_value)])
    if layer.max_value is None:
        return w.node("Relu", [x])
    return w.node("Clip", [x, w.constant(0.0), w.constant(layer.max_value)])


def _scale(layer: Any, numbers: Any) -> np.ndarray:
    """Shape numbers for each channel to meet (N, C, H, W) or (N, C)."""
    array = np.asarray(numbers, np.float32).reshape(-1)
    return array.reshape(1, -1, 1, 1) if len(layer.input.shape) == 4 else array.reshape(1, -1)


def _rescaling(w: Writer, layer: Any, x: str) -> str:
    y = w.node("Mul", [x, w.constant(_scale(layer, layer.scale))])
    return w.node("Add", [y, w.constant(_scale(layer, layer.offset))])


def _normalization(w: Writer, layer: Any, x: str) -> str:
    if layer.invert:
        raise KeyError("invert")
    spread = np.maximum(np.sqrt(np.asarray(layer.variance)), 1e-7)
    y = w.node("Sub", [x, w.constant(_scale(layer, layer.mean))])
    return w.node("Div", [y, w.constant(_scale(layer, spread))])


def _pool(kind: str) -> Callable[[Writer, Any, str], str]:
    def write(w: Writer, layer: Any, x: str) -> str:
        window = tuple(layer.pool_size)
        pads = _pads(layer, window, (1, 1))
        return w.node(kind, [x], kernel_shape=window, strides=layer.strides, pads=pads)

    return write


def _global(kind: str) -> Callable[[Writer, Any, str], str]:
    def write(w: Writer, layer: Any, x: str) -> str:
        return w.node(kind, [x, w.integers([2, 3])], keepdims=int(layer.keepdims))

    return write


def _pad(w: Writer, layer: Any, x: str) -> str:
    (top, bottom), (left, right) = layer.padding
    return w.node("Pad", [x, w.integers([0, 0, top, left, 0, 0, bottom, right]), w.constant(0.0)])


def _crop(w: Writer, layer: Any, x: str) -> str:
    (top, bottom), (left, right) = layer.cropping
    _, height, width, _ = layer.input.shape
    starts, ends = w.integers([top, left]), w.integers([height - bottom, width - right])
    return w.node("Slice", [x, starts, ends, w.integers([2, 3])])


def _concatenate(w: Writer, layer: Any, *xs: str) -> str:
    if layer.axis not in (-1, 3) and len(layer.output.shape) == 4:
        raise KeyError(f"Concatenate along axis {layer.axis}")
    return w.node("Concat", list(xs), axis=1)


def _reshape(w: Writer, layer: Any, x: str) -> str:
    shape = layer.output.shape
    if len(shape) == 4 and shape[1] * shape[2] == 1:  # the gate of a squeeze-and-excite
        return w.node("Reshape", [x, w.integers([-1, shape[3], 1, 1])])
    return _flatten(w, layer, x) if len(shape) == 2 else _refuse(layer)


def _flatten(w: Writer, layer: Any, x: str) -> str:
    if len(layer.input.shape) == 4:
        x = w.node("Transpose", [x], perm=(0, 2, 3, 1))  # Keras flattens channels last
    return w.node("Flatten", [x])


def _refuse(layer: Any) -> str:
    raise KeyError(f"{type(layer).__name__} to shape {layer.output.shape}")


def _merge(kind: str) -> Callable[..., str]:
    def write(w: Writer, layer: Any, *xs: str) -> str:
        y = xs[0]
        for x in xs[1:]:
            y = w.node(kind, [y, x])
        return y

    return write


def _mean_of(w: Writer, layer: Any, *xs: str) -> str:
    return w.node("Mean", list(xs))


def _same(w: Writer, layer: Any, x: str) -> str:
    return x


WRITERS: dict[str, Callable[..., str]] = {
    "Activation": lambda w, layer, x: activation(w, x, _name(layer)),
    "Add": _merge("Add"),
    "Average": _mean_of,
    "AveragePooling2D": _pool("AveragePool"),
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv2D": _conv,
    "Cropping2D": _crop,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Divide": _merge("Div"),
    "Dropout": _same,
    "ELU": lambda w, layer, x: w.node("Elu", [x], alpha=float(layer.alpha)),
    "Flatten": _flatten,
    "GlobalAveragePooling2D": _global("ReduceMean"),
    "GlobalMaxPooling2D": _global("ReduceMax"),
    "LayerNormalization": _layer_norm,
    "LeakyReLU": lambda w, layer, x: w.node("LeakyRelu", [x], alpha=float(layer.negative_slope)),
    "MaxPooling2D": _pool("MaxPool"),
    "Maximum": _merge("Max"),
    "Multiply": _merge("Mul"),
    "Normalization": _normalization,
    "ReLU": _relu,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "SeparableConv2D": _separable,
    "SpatialDropout2D": _same,
    "Subtract": _merge("Sub"),
    "UnitNormalization": _unit,
    "ZeroPadding2D": _pad,
}

"""Convolutions, plain, by channel and transposed, and dense layers."""

from collections.abc import Callable
from typing import Any

import numpy as np

from models.building.writers.activations import activated
from models.building.writers.writer import Writer


def pads(layer: Any, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> list[int]:
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
        pads=[0, 0, 0, 0] if plain else pads(layer, size, dilation),
    )


def _conv(w: Writer, layer: Any, x: str) -> str:
    kernel = np.asarray(layer.kernel).transpose(3, 2, 0, 1)
    return activated(w, layer, _convolve(w, x, layer, kernel, layer.groups, layer.bias))


def _by_channel(kernel: Any) -> np.ndarray:
    """Turn a depthwise kernel (h, w, C, multiplier) into OIHW: (C * multiplier, 1, h, w)."""
    array = np.asarray(kernel)
    return array.transpose(2, 3, 0, 1).reshape(-1, 1, *array.shape[:2])


def _depthwise(w: Writer, layer: Any, x: str) -> str:
    groups = layer.input.shape[-1]
    y = _convolve(w, x, layer, _by_channel(layer.kernel), groups, layer.bias)
    return activated(w, layer, y)


def _separable(w: Writer, layer: Any, x: str) -> str:
    groups = layer.input.shape[-1]
    y = _convolve(w, x, layer, _by_channel(layer.depthwise_kernel), groups, None)
    pointwise = np.asarray(layer.pointwise_kernel).transpose(3, 2, 0, 1)
    return activated(w, layer, _convolve(w, y, layer, pointwise, 1, layer.bias, plain=True))


def _transposed(w: Writer, layer: Any, x: str) -> str:
    """Write a transposed convolution; Keras makes "same" `stride` times as large as its input."""
    if layer.output_padding is not None:
        raise KeyError("an output_padding of its own")
    kernel = np.asarray(layer.kernel).transpose(3, 2, 0, 1)
    inputs = [x, w.constant(kernel)] + ([] if layer.bias is None else [w.constant(layer.bias)])
    steps, dilations = layer.strides, layer.dilation_rate
    reach = [(k - 1) * d + 1 for k, d in zip(kernel.shape[2:], dilations, strict=True)]
    surplus = [k - s for k, s in zip(reach, steps, strict=True)]  # of the kernel over the stride
    cut = [max(s, 0) if layer.padding == "same" else 0 for s in surplus]
    y = w.node(
        "ConvTranspose",
        inputs,
        kernel_shape=kernel.shape[2:],
        strides=steps,
        dilations=dilations,
        pads=[c // 2 for c in cut] + [c - c // 2 for c in cut],
        output_padding=[max(-s, 0) for s in surplus],
    )
    return activated(w, layer, y)


def _dense(w: Writer, layer: Any, x: str) -> str:
    kernel, rank = np.asarray(layer.kernel), len(layer.input.shape)
    bias = np.zeros(kernel.shape[1]) if layer.bias is None else layer.bias
    if rank == 4:  # on every position: a convolution of one pixel
        y = _convolve(w, x, layer, kernel.T[:, :, None, None], 1, layer.bias, plain=True)
    elif rank == 2:
        y = w.node("Gemm", [x, w.constant(kernel), w.constant(bias)])
    else:
        y = w.node("Add", [w.node("MatMul", [x, w.constant(kernel)]), w.constant(bias)])
    return activated(w, layer, y)


WRITERS: dict[str, Callable[..., str]] = {
    "Conv2D": _conv,
    "Conv2DTranspose": _transposed,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
}

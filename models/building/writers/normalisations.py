"""Normalisation by statistics that were learnt or are those of the photo, and scaling of pixels."""

from collections.abc import Callable
from typing import Any

import numpy as np

from models.building.writers.activations import unit_length
from models.building.writers.writer import Writer, channels_first, channels_last, is_last


def _by_channel(layer: Any, numbers: Any) -> np.ndarray:
    """Shape numbers for each channel or place, or one for all, to meet (N, C, H, W) or others."""
    array = np.asarray(numbers, np.float32)
    rank = len(layer.input.shape)
    if array.ndim == rank:  # in Keras' order of axes
        return array.transpose(0, 3, 1, 2) if rank == 4 else array
    if array.size > 1 and array.size != layer.input.shape[-1]:
        raise KeyError(f"numbers of shape {array.shape}")
    return array.reshape((1, -1, 1, 1) if rank == 4 else (1,) * (rank - 1) + (-1,))


def _affine(w: Writer, layer: Any, x: str, scale: Any, offset: Any) -> str:
    y = w.node("Mul", [x, w.constant(_by_channel(layer, scale))])
    return w.node("Add", [y, w.constant(_by_channel(layer, offset))])


def _batch_norm(w: Writer, layer: Any, x: str) -> str:
    rank = len(layer.input.shape)
    mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    gamma = np.ones_like(mean) if layer.gamma is None else np.asarray(layer.gamma)
    beta = np.zeros_like(mean) if layer.beta is None else np.asarray(layer.beta)
    if rank == 3 or not is_last(layer.axis, rank):  # ONNX' own takes the axis of its channels
        scale = gamma / np.sqrt(variance + layer.epsilon)
        shape = [1] * rank
        shape[layer.axis] = -1
        return _affine(w, layer, x, scale.reshape(shape), (beta - mean * scale).reshape(shape))
    numbers = [gamma, beta, mean, variance]
    return w.node("BatchNormalization", [x, *map(w.constant, numbers)], epsilon=layer.epsilon)


def _layer_norm(w: Writer, layer: Any, x: str) -> str:
    rank = len(layer.input.shape)
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    axes = sorted(axis % rank for axis in axes)
    if axes != list(range(axes[0], rank)):
        raise KeyError(f"axes {axes}")
    shape = layer.input.shape[axes[0] :]
    gamma = np.ones(shape) if layer.gamma is None else np.asarray(layer.gamma).reshape(shape)
    beta = np.zeros(shape) if layer.beta is None else np.asarray(layer.beta).reshape(shape)
    inputs = [channels_last(w, x, rank), w.constant(gamma), w.constant(beta)]
    y = w.node("LayerNormalization", inputs, axis=axes[0], epsilon=layer.epsilon)
    return channels_first(w, y, rank)


def _rms_norm(w: Writer, layer: Any, x: str) -> str:
    rank = len(layer.input.shape)
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    if len(axes) != 1 or not is_last(axes[0], rank):
        raise KeyError(f"axes {axes}")
    axis = w.integers([1 if rank == 4 else rank - 1])
    power = w.node("ReduceMean", [w.node("Mul", [x, x]), axis], keepdims=1)
    size = w.node("Sqrt", [w.node("Add", [power, w.constant(layer.epsilon)])])
    y = w.node("Div", [x, size])
    return w.node("Mul", [y, w.constant(_by_channel(layer, layer.scale))])


def _group_norm(w: Writer, layer: Any, x: str) -> str:
    rank, channels = len(layer.input.shape), layer.input.shape[-1]
    if rank != 4 or not is_last(layer.axis, rank):
        raise KeyError(f"axis {layer.axis} of {rank}")
    _, height, width, _ = layer.input.shape
    groups = layer.groups if layer.groups != -1 else channels
    y = w.node("Reshape", [x, w.integers([0, groups, -1])])
    plain = [w.constant(np.ones(groups)), w.constant(np.zeros(groups))]
    y = w.node("InstanceNormalization", [y, *plain], epsilon=layer.epsilon)
    y = w.node("Reshape", [y, w.integers([-1, channels, height, width])])
    gamma = 1.0 if layer.gamma is None else layer.gamma
    return _affine(w, layer, y, gamma, 0.0 if layer.beta is None else layer.beta)


def _unit(w: Writer, layer: Any, x: str) -> str:
    rank = len(layer.input.shape)
    if rank == 3 or not (isinstance(layer.axis, int) and is_last(layer.axis, rank)):
        raise KeyError(f"axis {layer.axis} of {rank}")
    return unit_length(w, x)


def _rescaling(w: Writer, layer: Any, x: str) -> str:
    return _affine(w, layer, x, layer.scale, layer.offset)


def _normalization(w: Writer, layer: Any, x: str) -> str:
    if layer.invert:
        raise KeyError("invert")
    spread = np.maximum(np.sqrt(np.asarray(layer.variance)), 1e-7)
    y = w.node("Sub", [x, w.constant(_by_channel(layer, layer.mean))])
    return w.node("Div", [y, w.constant(_by_channel(layer, spread))])


WRITERS: dict[str, Callable[..., str]] = {
    "BatchNormalization": _batch_norm,
    "GroupNormalization": _group_norm,
    "LayerNormalization": _layer_norm,
    "Normalization": _normalization,
    "RMSNormalization": _rms_norm,
    "Rescaling": _rescaling,
    "UnitNormalization": _unit,
}

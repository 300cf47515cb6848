"""The arrays of weights that a layer needs, by its settings and the shape of its input.

They are known before the layer is built, so that a wrong number in a file makes no room for
weights that are not there.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from models.errors import AdoptError


class Wanted(NamedTuple):
    """One array that a layer needs."""

    name: str
    shape: tuple[int, ...]


def check_shapes(arrays: Sequence[np.ndarray], wanted: Sequence[Wanted], layer: str) -> None:
    """Raise AdoptError unless every array has the shape that the layer's settings ask for."""
    if len(arrays) != len(wanted):
        names = ", ".join(one.name for one in wanted) or "none"
        raise AdoptError(
            f"layer {layer!r} has {len(arrays)} arrays of weights in the file; its settings need "
            f"{len(wanted)} ({names})"
        )
    for array, one in zip(arrays, wanted, strict=True):
        if tuple(array.shape) != one.shape:
            raise AdoptError(
                f"layer {layer!r} has {one.name} of shape {tuple(array.shape)} in the file; its "
                f"settings need {one.shape}"
            )


def wanted_of(kind: str, settings: dict[str, Any], shape: Sequence[int], name: str) -> list[Wanted]:
    """List the arrays that a layer needs for an input of this shape, in Keras' order.

    Raises:
        AdoptError: the settings make no sense.
    """
    try:
        return _wanted_of(kind, settings, tuple(shape))
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError) as error:
        raise AdoptError(
            f"layer {name!r} ({kind}) has settings that make no sense: {error}"
        ) from error


def _wanted_of(kind: str, settings: dict[str, Any], shape: tuple[int, ...]) -> list[Wanted]:
    channels, rank = shape[-1], len(shape)
    outputs = settings.get("units", settings.get("filters", 0))
    multiplier = settings.get("depth_multiplier", 1)
    window = pair(settings.get("kernel_size", 1))
    bias = [Wanted("bias", (outputs,))] if settings.get("use_bias", True) else []
    if kind == "Dense":
        return [Wanted("kernel", (channels, outputs)), *bias]
    if kind == "Conv2D":
        inputs = channels // settings.get("groups", 1)
        return [Wanted("kernel", (*window, inputs, outputs)), *bias]
    if kind == "Conv2DTranspose":
        return [Wanted("kernel", (*window, outputs, channels)), *bias]
    if kind == "DepthwiseConv2D":
        bias = [Wanted("bias", (channels * multiplier,))] if bias else []
        return [Wanted("depthwise_kernel", (*window, channels, multiplier)), *bias]
    if kind == "SeparableConv2D":
        deep = Wanted("depthwise_kernel", (*window, channels, multiplier))
        return [deep, Wanted("pointwise_kernel", (1, 1, channels * multiplier, outputs)), *bias]
    if kind in ("BatchNormalization", "LayerNormalization", "GroupNormalization"):
        axis = settings.get("axis", -1)
        axes = axis if isinstance(axis, list) else [axis]
        each = tuple(shape[one % rank] for one in axes)
        found = [Wanted("gamma", each)] if settings.get("scale", True) else []
        found += [Wanted("beta", each)] if settings.get("center", True) else []
        if kind == "BatchNormalization":
            found += [Wanted("moving_mean", each), Wanted("moving_variance", each)]
        return found
    if kind == "Normalization" and settings.get("mean") is None:
        axis = settings.get("axis", -1)
        axes = [] if axis is None else axis if isinstance(axis, list) else [axis]
        each = tuple(shape[one % rank] for one in axes)
        return [Wanted("mean", each), Wanted("variance", each)]
    if kind == "PReLU":
        shared = list(settings.get("shared_axes") or [])
        return [Wanted("alpha", tuple(1 if i in shared else shape[i] for i in range(1, rank)))]
    if kind == "RMSNormalization":
        return [Wanted("scale", (channels,))]
    return [Wanted("gamma", (channels,))] if kind == "LayerScale" else []


def pair(value: Any) -> tuple[int, int]:
    """Read a height and a width, or one number for both. Raises TypeError, ValueError."""
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)

"""Layers that move numbers without changing them, and resizing."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from models.building.writers.writer import Writer, channels_first, channels_last, transpose


def _pad(w: Writer, layer: Any, x: str) -> str:
    (top, bottom), (left, right) = layer.padding
    return w.node("Pad", [x, w.integers([0, 0, top, left, 0, 0, bottom, right]), w.constant(0.0)])


def _cut(w: Writer, x: str, top: int, left: int, bottom: int, right: int) -> str:
    """Write the part of a map from (top, left) to (bottom, right)."""
    return w.node("Slice", [x, w.integers([top, left]), w.integers([bottom, right]),
                            w.integers([2, 3])])  # fmt: skip


def _crop(w: Writer, layer: Any, x: str) -> str:
    (top, bottom), (left, right) = layer.cropping
    _, height, width, _ = layer.input.shape
    return _cut(w, x, top, left, height - bottom, width - right)


def _centre(w: Writer, layer: Any, x: str) -> str:
    _, height, width, _ = layer.input.shape
    down, across = height - layer.height, width - layer.width
    if down < 0 or across < 0:
        raise KeyError("a crop larger than its input")
    top, left = down // 2, across // 2
    return _cut(w, x, top, left, top + layer.height, left + layer.width)


_RESIZE: dict[str, dict[str, Any]] = {
    "bilinear": {"mode": "linear"},
    "nearest": {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
}


def _resize(
    w: Writer, x: str, before: tuple[int, int], after: tuple[int, int], how: str, smooth: bool
) -> str:
    """Write what TensorFlow's resizing does: pixel centres at halves."""
    if before == after:
        return x
    if how in _RESIZE and not (smooth and how == "bilinear"):
        scales = w.constant([1, 1, after[0] / before[0], after[1] / before[1]])
        mode = "half_pixel"
        settings = {"coordinate_transformation_mode": mode, **_RESIZE[how]}
        return w.node("Resize", [x, "", scales], **settings)
    # ONNX Runtime's other forms differ in the fourth digit; all are weighted sums along each side
    down, across = (_weights(*sides, how, smooth) for sides in zip(before, after, strict=True))
    x = w.node("MatMul", [w.constant(down), x])
    return w.node("MatMul", [x, w.constant(across.T)])


def _weights(before: int, after: int, how: str, smooth: bool) -> np.ndarray:
    """Return (after, before): what each pixel of a resized line takes of those before."""
    line = np.eye(before, dtype=np.float32)[None, :, None, :]  # each pixel is a channel
    found = keras.ops.image.resize(line, (after, 1), interpolation=how, antialias=smooth)
    return np.asarray(found)[0, :, 0]


def _resizing(w: Writer, layer: Any, x: str) -> str:
    height, width = layer.input.shape[1:3]
    wanted = layer.height, layer.width
    # the height and the width that have the wanted proportions; rounded down, as Keras does
    high, wide = int(width * wanted[0] / wanted[1]), int(height * wanted[1] / wanted[0])
    if layer.crop_to_aspect_ratio:
        high, wide = max(min(height, high), 1), max(min(width, wide), 1)
        top, left = (height - high) // 2, (width - wide) // 2
        x = _cut(w, x, top, left, top + high, left + wide)
        height, width = high, wide
    elif layer.pad_to_aspect_ratio:  # alike on both sides: Keras leaves an odd pixel out
        top, left = max(high - height, 0) // 2, max(wide - width, 0) // 2
        ends = w.integers([0, 0, top, left, 0, 0, top, left])
        x = w.node("Pad", [x, ends, w.constant(float(layer.fill_value))])
        height, width = height + 2 * top, width + 2 * left
    return _resize(w, x, (height, width), wanted, layer.interpolation, layer.antialias)


def _upsampling(w: Writer, layer: Any, x: str) -> str:
    before, after = layer.input.shape[1:3], layer.output.shape[1:3]
    return _resize(w, x, before, after, layer.interpolation, False)


def _reshape(w: Writer, layer: Any, x: str) -> str:
    before, after = len(layer.input.shape), len(layer.output.shape)
    shape = layer.output.shape
    if after == 4 and shape[1] * shape[2] == 1 and before == 2:  # as of a squeeze-and-excite
        return w.node("Reshape", [x, w.integers([-1, shape[3], 1, 1])])
    y = channels_last(w, x, before)
    y = w.node("Reshape", [y, w.integers([-1, *shape[1:]])])
    return channels_first(w, y, after)


def _flatten(w: Writer, layer: Any, x: str) -> str:
    return w.node("Flatten", [channels_last(w, x, len(layer.input.shape))])


def _permute(w: Writer, layer: Any, x: str) -> str:
    rank = len(layer.input.shape)
    y = transpose(w, channels_last(w, x, rank), (0, *layer.dims))
    return channels_first(w, y, rank)


def _repeat(w: Writer, layer: Any, x: str) -> str:
    each = w.node("Reshape", [x, w.integers([-1, 1, layer.input.shape[-1]])])
    return w.node("Tile", [each, w.integers([1, layer.n, 1])])


def _same(w: Writer, layer: Any, x: str) -> str:
    return x


# Layers that change nothing once a network is trained.
INACTIVE = ("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout",
            "GaussianNoise", "Identity", "SpatialDropout1D", "SpatialDropout2D")  # fmt: skip

WRITERS: dict[str, Callable[..., str]] = {
    "CenterCrop": _centre,
    "Cropping2D": _crop,
    "Flatten": _flatten,
    "Permute": _permute,
    "RepeatVector": _repeat,
    "Reshape": _reshape,
    "Resizing": _resizing,
    "UpSampling2D": _upsampling,
    "ZeroPadding2D": _pad,
    **dict.fromkeys(INACTIVE, _same),
}

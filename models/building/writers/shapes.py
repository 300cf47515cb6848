"""Layers that move numbers without changing them, and resizing."""

from collections.abc import Callable
from typing import Any

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


def _resize_to(w: Writer, layer: Any, x: str, how: str) -> str:
    """Write what TensorFlow's resizing does: pixel centres at halves, no antialiasing."""
    _, height, width, _ = layer.output.shape
    if layer.input.shape[1:3] == (height, width):
        return x
    kinds = {
        "bilinear": {"mode": "linear"},
        "nearest": {"mode": "nearest", "nearest_mode": "round_prefer_ceil"},
    }
    if how not in kinds:
        raise KeyError(f"{how} interpolation")
    scales = [1, 1, height / layer.input.shape[1], width / layer.input.shape[2]]
    mode = "half_pixel"
    return w.node(
        "Resize", [x, "", w.constant(scales)], coordinate_transformation_mode=mode, **kinds[how]
    )


def _resizing(w: Writer, layer: Any, x: str) -> str:
    _, height, width, _ = layer.input.shape
    changes = height * layer.width != width * layer.height  # the proportions
    if changes and (layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio):
        raise KeyError(f"{height} x {width} to {layer.height} x {layer.width}, cropped or padded")
    if layer.antialias:
        raise KeyError("antialias")
    return _resize_to(w, layer, x, layer.interpolation)


def _upsampling(w: Writer, layer: Any, x: str) -> str:
    return _resize_to(w, layer, x, layer.interpolation)


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

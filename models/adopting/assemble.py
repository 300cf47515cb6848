"""One flat network of built-in layers, assembled layer after layer.

Every layer gets a name of its own, its weights before anything is computed, and float32
throughout: mixed precision is a matter of training.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from models.adopting.settings import read_activation, read_settings
from models.adopting.wanted import pair, wanted_of
from models.adopting.weights import Place
from models.errors import AdoptError

MOST_NUMBERS = 200_000_000  # of one layer's answer to one photo
# Names that the bundle's own layers and outputs have.
RESERVED = re.compile(r"image|scaling|logits|features|input_(size|shape)|head_(dense|unit)\d+")
# Layers that leave pixels as they are, only elsewhere or scaled.
_PASSIVE = ("Rescaling", "Normalization", "Resizing", "CenterCrop", "Cropping2D", "Reshape",
            "ZeroPadding2D", "Permute", "Flatten")  # fmt: skip


@dataclass(frozen=True)
class View:
    """Some channels of a tensor, not yet cut out: `x[..., 2]`, `x[..., ::-1]`."""

    source: Any
    channels: tuple[int, ...]
    squeezed: bool  # one channel, without its axis


class Assembly:
    """A network that grows: tensors and the layers between them."""

    def __init__(self, image: Any, old: bool):
        """Begin with the input. `old`: a file of Keras 2, whose hard sigmoid is another one."""
        self.scalings: list[str] = []  # layers that scale the pixels themselves
        self._old = old
        self._names: set[str] = set()
        self._raw = {id(image)}
        self._kept = [image]  # ids stay theirs as long as they live

    def add(
        self,
        kind: str,
        config: dict[str, Any],
        inputs: Sequence[Any],
        path: Sequence[str],
        place: Place | None = None,
    ) -> Any:
        """Add one layer of a file, with its weights.

        Args:
            inputs: tensors; several only for a layer that merges.
            path: names of the models around the layer, then its own.

        Raises:
            AdoptError: its settings or weights cannot be read, or do not fit.
        """
        name = path[-1]
        settings = read_settings(kind, config, name)
        tensors = [self.tensor(one, name) for one in inputs]
        if "activation" not in settings:
            return self._add(kind, settings, tensors, path, place)
        function = read_activation(settings.pop("activation"), name)
        odd = isinstance(function, dict) or (function == "hard_sigmoid" and self._old)
        if not odd:
            settings["activation"] = function
            return self._add(kind, settings, tensors, path, place)
        if kind != "Activation":
            path_inside = [*path[:-1], f"{name}_linear"]
            tensors = [self._add(kind, settings, tensors, path_inside, place)]
        if isinstance(function, dict):
            inner = function["class_name"]
            if inner == "PReLU":
                raise AdoptError(
                    f"layer {name!r} has a PReLU for its activation: make it a layer of its own"
                )
            return self.add(inner, {**function["config"], "name": name}, tensors, path)
        steep = self._add("Rescaling", {"scale": 0.2, "offset": 0.5}, tensors, [f"{name}_slope"])
        return self._add("ReLU", {"max_value": 1.0}, [steep], path)

    def _add(
        self,
        kind: str,
        settings: dict[str, Any],
        tensors: list[Any],
        path: Sequence[str],
        place: Place | None = None,
    ) -> Any:
        """Add a layer whose settings are plain."""
        name = path[-1]
        if not tensors:
            raise AdoptError(f"layer {name!r} ({kind}) has no input")
        self._check_axes(kind, settings, tensors[0], name)
        wanted = wanted_of(kind, settings, tensors[0].shape, name)
        arrays = place.take(wanted, name) if place and wanted else []
        if wanted and not arrays:
            raise AdoptError(f"layer {name!r} ({kind}) has no weights in the file")
        if kind == "CustomScaleLayer":  # of Inception-ResNet: shortcut + scale * residual
            scale = {"scale": settings.get("scale", 1.0), "offset": 0.0}
            scaled = self._add("Rescaling", scale, tensors[1:], [*path[:-1], f"{name}_scale"])
            return self._add("Add", {}, [tensors[0], scaled], path)
        if kind == "LayerScale":  # of ConvNeXt
            kind, settings = "DepthwiseConv2D", {"kernel_size": 1, "use_bias": False}
            arrays = [arrays[0].reshape(1, 1, -1, 1)]
        if kind == "ThresholdedReLU":
            kind, settings = "ReLU", {"threshold": settings.get("threshold", 1.0)}
        if kind.startswith("Adaptive"):
            kind, settings = _plain_pooling(kind, settings, tensors[0].shape, name)
        layer = self._make(kind, settings, self.name(path), name)
        output = self._call(layer, tensors, name)
        if arrays:
            layer.set_weights([*arrays, *layer.get_weights()[len(arrays) :]])
        if kind == "Normalization":
            layer.finalize_state()  # its mean and variance are read from the weights once
        self._note(kind, settings, layer.name, tensors, output)
        return output

    def _check_axes(self, kind: str, settings: dict[str, Any], tensor: Any, name: str) -> None:
        axis = settings.get("axis")
        if kind == "BatchNormalization" and isinstance(axis, list):
            if len(axis) != 1:
                raise AdoptError(f"layer {name!r} normalises along {len(axis)} axes; expected one")
            settings["axis"] = axis[0]

    def _make(self, kind: str, settings: dict[str, Any], unique: str, name: str) -> Any:
        kernels = {"Conv2D": "kernel", "Dense": "kernel", "Conv2DTranspose": "kernel",
                   "DepthwiseConv2D": "depthwise", "SeparableConv2D": "depthwise"}  # fmt: skip
        known = dict(settings)
        if kind in kernels:  # zeros cost nothing; the file's numbers follow
            known[f"{kernels[kind]}_initializer"] = "zeros"
        if kind == "SeparableConv2D":
            known["pointwise_initializer"] = "zeros"
        try:
            return getattr(layers, kind)(**known, name=unique, dtype="float32")
        except Exception as error:  # Keras raises ValueError, TypeError and more
            reason = " ".join(str(error).split())[:200]
            raise AdoptError(f"layer {name!r} ({kind}) cannot be built: {reason}") from error

    def _call(self, layer: Any, tensors: list[Any], name: str) -> Any:
        kind = type(layer).__name__
        merges = isinstance(layer, layers.Add.__mro__[1])  # the base of all that merge
        if len(tensors) > 1 and not merges:
            raise AdoptError(f"layer {name!r} ({kind}) has {len(tensors)} inputs; expected one")
        try:
            shape = layer.compute_output_shape(
                [one.shape for one in tensors] if merges else tensors[0].shape
            )
            sizes = [size for size in shape[1:] if size is not None]
            if math.prod(sizes) > MOST_NUMBERS:
                raise AdoptError(
                    f"layer {name!r} ({kind}) answers one photo with {math.prod(sizes):,} numbers; "
                    f"the limit is {MOST_NUMBERS:,}"
                )
            return layer(tensors if merges else tensors[0])
        except AdoptError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise AdoptError(f"layer {name!r} ({kind}) does not fit its input: {reason}") from error

    def _note(
        self, kind: str, settings: dict[str, Any], name: str, tensors: list[Any], output: Any
    ) -> None:
        """Keep account of what has happened to the pixels so far."""
        self._kept.append(output)
        if kind in _PASSIVE and all(id(tensor) in self._raw for tensor in tensors):
            self._raw.add(id(output))
            scale, offset = settings.get("scale", 1.0), settings.get("offset", 0.0)
            if kind == "Normalization" or (kind == "Rescaling" and (scale, offset) != (1, 0)):
                self.scalings.append(name)

    def scale(self, tensor: Any, scale: Any, offset: Any, path: Sequence[str]) -> Any:
        """Multiply a tensor by numbers, then add some; each for all or one for each channel."""
        return self._add("Rescaling", {"scale": scale, "offset": offset}, [tensor], path)

    def plain(self, kind: str, settings: dict[str, Any], tensors: Any, path: Sequence[str]) -> Any:
        """Add a layer without weights, whose settings are known to be good."""
        return self._add(kind, settings, list(tensors), path)

    def tensor(self, value: Any, name: str) -> Any:
        """Return a tensor; channels that were only selected are cut out. Raises AdoptError."""
        if not isinstance(value, View):
            return value
        if value.squeezed or len(value.source.shape) != 4:
            raise AdoptError(f"layer {name!r} reads one channel without its axis: not supported")
        return self.select(value.source, value.channels, [f"{name}_channels"])

    def select(self, source: Any, channels: Sequence[int], path: Sequence[str]) -> Any:
        """Reorder or select channels: a convolution of one pixel with ones and zeros."""
        count = source.shape[-1]
        kernel = np.zeros((1, 1, count, len(channels)), np.float32)
        kernel[0, 0, list(channels), range(len(channels))] = 1.0
        layer = layers.Conv2D(
            len(channels), 1, use_bias=False, dtype="float32",
            name=self.name([*path[:-1], f"scaling_{path[-1]}"]),
        )  # fmt: skip
        output = layer(source)
        layer.set_weights([kernel])
        self._kept.append(output)
        if id(source) in self._raw:
            self._raw.add(id(output))
        return output

    def reduce_channels(self, kind: str, x: Any, path: Sequence[str]) -> Any:
        """Pool the channels of each position, as spatial attention does: as rows of numbers."""
        _, height, width, channels = x.shape
        *around, own = path
        row = {"target_shape": [height * width, channels]}
        rows = self.plain("Reshape", row, [x], [*around, f"{own}_rows"])
        turned = self.plain("Permute", {"dims": [2, 1]}, [rows], [*around, f"{own}_turned"])
        pooled = self.plain(kind, {}, [turned], [*around, f"{own}_pooled"])
        return self.plain("Reshape", {"target_shape": [height, width, 1]}, [pooled], path)

    def name(self, path: Sequence[str]) -> str:
        """Return a name that no layer has: its own, with the models around it where it must be."""
        for depth in range(len(path)):
            found = re.sub(r"[^A-Za-z0-9_.-]+", "_", "_".join(path[-1 - depth :]))[-200:]
            found = found if re.match(r"[A-Za-z0-9]", found) else f"layer{found}"
            if found not in self._names and not RESERVED.fullmatch(found):
                self._names.add(found)
                return found
        number = 1
        while f"{found}_{number}" in self._names:
            number += 1
        self._names.add(f"{found}_{number}")
        return f"{found}_{number}"


def _plain_pooling(
    kind: str, settings: dict[str, Any], shape: Sequence[int], name: str
) -> tuple[str, dict[str, Any]]:
    """Write an adaptive pooling as one by windows of one size. Raises AdoptError."""
    wanted = pair(settings.get("output_size", 1))
    if len(shape) != 4 or any(
        one < 1 or s % one for s, one in zip(shape[1:3], wanted, strict=True)
    ):
        raise AdoptError(
            f"layer {name!r} ({kind}) makes {wanted[0]} x {wanted[1]} positions, which do not "
            f"divide those of its input, {tuple(shape[1:3])}: use pooling by windows"
        )
    window = [size // one for size, one in zip(shape[1:3], wanted, strict=True)]
    return kind.removeprefix("Adaptive"), {"pool_size": window, "strides": window}


def is_tensor(value: Any) -> bool:
    """Return whether a value is a tensor of the network, or some of its channels."""
    return isinstance(value, keras.KerasTensor | View)

"""Which numbers of a file belong to which layer, by name, place and shape.

A `.keras` file has a group for each layer, named after its class and its number among layers of
that class; newer ones also say the layer's name. A legacy file has a group for each layer at
the top only: the numbers of a model inside lie in one list, each with a path that most often
ends with the inner layer's name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from models.adopting.model_file import ModelFile
from models.errors import AdoptError

CONTAINERS = ("layers", "_layer_checkpoint_dependencies", "_self_tracked_trackables")
SAME = {"depthwise_kernel": ("depthwise_kernel", "kernel")}  # Keras 2 and 3 call it differently


class Member(NamedTuple):
    """A layer of a model, as far as its weights are found by it."""

    kind: str  # its class
    name: str
    weighted: bool  # whether it, or a layer inside it, has weights


class Wanted(NamedTuple):
    """One array that a layer needs."""

    name: str
    shape: tuple[int, ...]


class Place(Protocol):
    """Where the weights of one layer, or of the layers inside it, are found."""

    def inside(self, members: Sequence[Member]) -> list["Place"]:
        """Return the place of each layer of a model that stands here."""

    def take(self, wanted: Sequence[Wanted], layer: str) -> list[np.ndarray]:
        """Return the arrays of a layer. Raises AdoptError where they do not fit."""


def first_place(file: ModelFile) -> Place:
    """Return the place of the whole model."""
    if file.format == "hdf5":
        return LegacyPlace(file, None, (), {})
    return KerasPlace(file, "")


def _check(arrays: Sequence[np.ndarray], wanted: Sequence[Wanted], layer: str) -> None:
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


@dataclass(frozen=True)
class KerasPlace:
    """A group of `model.weights.h5`."""

    file: ModelFile
    path: str  # of the group, with a slash at its end unless it is the top

    def inside(self, members: Sequence[Member]) -> list[Place]:
        """Find the group of each layer: by its recorded name, else by class and number."""
        container = self._container()
        named = {
            name: f"{group}/"
            for group, name in self.file.names.items()
            if group.startswith(container) and "/" not in group[len(container) :]
        }
        numbered: dict[str, int] = {}
        with_weights: dict[str, int] = {}
        places: list[Place] = []
        for member in members:
            stem = snake_case(member.kind)
            number = numbered.get(stem, 0)
            numbered[stem] = number + 1
            path = f"{container}{stem}{f'_{number}' if number else ''}/"
            if member.name in named and _stem(named[member.name], container) == stem:
                path = named[member.name]
            elif member.weighted and not container.endswith("layers/"):
                # Keras 2 counted a layer twice where it has weights: its order tells which it is.
                place = with_weights.get(stem, 0)
                with_weights[stem] = place + 1
                path = self._ordered(container, stem, place) or path
            places.append(KerasPlace(self.file, path))
        return places

    def _container(self) -> str:
        for name in CONTAINERS:
            begin = f"{self.path}{name}/"
            if any(path.startswith(begin) for path in (*self.file.arrays, *self.file.names)):
                return begin
        return f"{self.path}{CONTAINERS[0]}/"

    def _ordered(self, container: str, stem: str, place: int) -> str | None:
        """Return the group of the layer of this class that is `place`-th among those with arrays."""
        found = {
            path[len(container) :].partition("/")[0]
            for path in self.file.arrays
            if path.startswith(container)
        }
        numbers = sorted(
            int(match[1] or 0)
            for one in found
            if (match := re.fullmatch(stem + r"(?:_(\d+))?", one))
        )
        if place >= len(numbers):
            return None
        return f"{container}{stem}{f'_{numbers[place]}' if numbers[place] else ''}/"

    def take(self, wanted: Sequence[Wanted], layer: str) -> list[np.ndarray]:
        """Return the arrays `vars/0`, `vars/1` and so on."""
        arrays, begin = [], f"{self.path}vars/"
        while (array := self.file.arrays.get(f"{begin}{len(arrays)}")) is not None:
            arrays.append(array)
        _check(arrays, wanted, layer)
        return arrays


@dataclass(frozen=True)
class LegacyPlace:
    """A layer of a legacy file: its own group, or a part of the list of the model around it."""

    file: ModelFile
    group: str | None  # of a layer at the top; None: the top itself
    inner: tuple[str, ...]  # names of models and layers inside that group
    taken: dict[str, tuple[str, ...]] = field(default_factory=dict)  # array -> the layer it went to

    def inside(self, members: Sequence[Member]) -> list[Place]:
        """Return a group for each layer at the top; below, only its name."""
        if self.group is None:
            return [LegacyPlace(self.file, one.name, (), self.taken) for one in members]
        return [
            LegacyPlace(self.file, self.group, (*self.inner, one.name), self.taken)
            for one in members
        ]

    def take(self, wanted: Sequence[Wanted], layer: str) -> list[np.ndarray]:
        """Return arrays by their names; where these say nothing, in their order."""
        paths = self.file.groups.get(self.group or "", [])
        if not self.inner:
            return self._own(paths, wanted, layer)
        arrays = []
        for one in wanted:
            owner = (*self.inner, one.name)  # a layer that is called twice takes the same again
            free = [path for path in paths if self.taken.get(path, owner) == owner]
            again = [path for path in free if path in self.taken]
            path = self._best(again or free, one)
            if path is None:
                raise AdoptError(f"layer {layer!r} has no {one.name} of {one.shape} in the file")
            self.taken[path] = owner
            arrays.append(self.file.arrays[path])
        _check(arrays, wanted, layer)
        return arrays

    def _own(self, paths: Sequence[str], wanted: Sequence[Wanted], layer: str) -> list[np.ndarray]:
        """Return the arrays of a layer that has a group of its own."""
        floats = [path for path in paths if path in self.file.arrays]
        by_name = {_variable(path): path for path in floats}
        chosen = []
        for one in wanted:
            names = SAME.get(one.name, (one.name,))
            chosen += [by_name[name] for name in names if name in by_name][:1]
        extra = len(floats) - len(wanted) - ("count" in by_name)
        if len(chosen) != len(wanted) or extra:
            chosen = floats  # names of an older Keras: their order counts
        arrays = [self.file.arrays[path] for path in chosen]
        _check(arrays, wanted, layer)
        return arrays

    def _best(self, paths: Sequence[str], one: Wanted) -> str | None:
        """Return the array whose path ends most like the layer's; the first of equals."""
        names = SAME.get(one.name, (one.name,))
        alike = [
            path
            for path in paths
            if _variable(path) in names
            and path in self.file.arrays
            and tuple(self.file.arrays[path].shape) == one.shape
        ]
        return max(alike, key=self._likeness, default=None)

    def _likeness(self, path: str) -> int:
        """Count how many of the names around a layer its path ends with."""
        parts = path.split("/")[:-1]
        count = 0
        for mine, theirs in zip(reversed(self.inner), reversed(parts), strict=False):
            if mine != theirs:
                break
            count += 1
        return count


def _variable(path: str) -> str:
    """Return the name of a variable: the last part of its path, without `:0`."""
    return re.sub(r"(_\d+)?(:\d+)?$", "", path.rpartition("/")[2])


def _stem(path: str, container: str) -> str:
    return re.sub(r"_\d+$", "", path[len(container) :].rstrip("/"))


def snake_case(name: str) -> str:
    """Write a class's name as Keras does in a file of weights."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def wanted_of(kind: str, settings: dict[str, Any], shape: Sequence[int]) -> list[Wanted]:
    """List the arrays that a layer needs for an input of this shape, in Keras' order.

    Raises:
        AdoptError: the settings make no sense.
    """
    try:
        return _wanted_of(kind, settings, tuple(shape))
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError) as error:
        raise AdoptError(f"a {kind} has settings that make no sense: {error}") from error


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
        shared = [one for one in settings.get("shared_axes") or []]
        return [Wanted("alpha", tuple(1 if i in shared else shape[i] for i in range(1, rank)))]
    if kind == "RMSNormalization":
        return [Wanted("scale", (channels,))]
    return [Wanted("gamma", (channels,))] if kind == "LayerScale" else []


def pair(value: Any) -> tuple[int, int]:
    """Read a height and a width, or one number for both. Raises TypeError, ValueError."""
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)

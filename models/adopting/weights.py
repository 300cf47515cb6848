"""Which numbers of a file belong to which layer, by name, place and shape.

A `.keras` file has a group for each layer, named after its class and its number among layers of
that class; newer ones also say the layer's name. A legacy file has a group for each layer at
the top only: the numbers of a model inside lie in one list, each with a path that most often
ends with the inner layer's name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from models.adopting.files.model_file import ModelFile
from models.adopting.legacy_weights import Groups, LegacyPlace
from models.adopting.wanted import Wanted, check_shapes

CONTAINERS = ("layers", "_layer_checkpoint_dependencies", "_self_tracked_trackables")


class Member(NamedTuple):
    """A layer of a model, as far as its weights are found by it."""

    kind: str  # its class
    name: str
    weighted: bool  # whether it, or a layer inside it, has weights


class Place(Protocol):
    """Where the weights of one layer, or of the layers inside it, are found."""

    def take(self, wanted: Sequence[Wanted], layer: str) -> list[np.ndarray]:
        """Return the arrays of a layer. Raises AdoptError where they do not fit."""


def first_place(file: ModelFile) -> Place:
    """Return the place of the whole model."""
    if file.format == "hdf5":
        return LegacyPlace(file, None, (), Groups(file.config))
    return KerasPlace(file, "")


def places_inside(place: Place, members: Sequence[Member]) -> list[Place]:
    """Return the place of each layer of a model that stands at `place`."""
    if isinstance(place, KerasPlace):
        return place.inside(members)
    if isinstance(place, LegacyPlace):
        return [place.of(member.name) for member in members]
    raise TypeError(f"{type(place).__name__} is no place of weights")


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
        """Return the group that is `place`-th among those of a class with arrays."""
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
        arrays: list[np.ndarray] = []
        begin = f"{self.path}vars/"
        while (array := self.file.arrays.get(f"{begin}{len(arrays)}")) is not None:
            arrays.append(array)
        check_shapes(arrays, wanted, layer)
        return arrays


def _stem(path: str, container: str) -> str:
    return re.sub(r"_\d+$", "", path[len(container) :].rstrip("/"))


def snake_case(name: str) -> str:
    """Write a class's name as Keras does in a file of weights."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()

"""The weights of a legacy HDF5 file: a group for each layer at the top.

The numbers of a model inside lie in one list, the trainable ones first, each with a path that
most often ends with the inner layer's name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.adopting.files.model_file import ModelFile
from models.adopting.wanted import Wanted, check_shapes
from models.errors import AdoptError

# Keras 2 and 3 call an array differently; that of a LayerScale has no name.
SAME = {"depthwise_kernel": ("depthwise_kernel", "kernel"), "gamma": ("gamma", "variable")}


@dataclass(frozen=True)
class LegacyPlace:
    """A layer of a legacy file: its own group, or a part of the list of the model around it."""

    file: ModelFile
    group: str | None  # of a layer at the top; None: the top itself
    inner: tuple[str, ...]  # names of models and layers inside that group
    groups: "Groups"

    def of(self, name: str) -> "LegacyPlace":
        """Return the place of a layer inside: a group at the top; below, only its name."""
        if self.group is None:
            return LegacyPlace(self.file, name, (), self.groups)
        return LegacyPlace(self.file, self.group, (*self.inner, name), self.groups)

    def take(self, wanted: Sequence[Wanted], layer: str) -> list[np.ndarray]:
        """Return arrays by their names; where these say nothing, in their order."""
        paths = self.file.groups.get(self.group or "", [])
        if not self.inner:
            return self._own(paths, wanted, layer)
        floats = [path for path in paths if path in self.file.arrays]
        by_name = self.groups.say_names(floats)
        if not by_name and self.groups.is_half_frozen(self.group or ""):
            raise AdoptError(
                f"the layers inside {self.group!r} were renamed after they were built, and only "
                f"some are trainable: which weights belong to {layer!r} cannot be told; save the "
                "model in the .keras format"
            )
        arrays = []
        for one in wanted:
            path = self._find(floats, one, by_name)
            if path is None:
                raise AdoptError(f"layer {layer!r} has no {one.name} of {one.shape} in the file")
            arrays.append(self.file.arrays[path])
        check_shapes(arrays, wanted, layer)
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
        check_shapes(arrays, wanted, layer)
        return arrays

    def _find(self, paths: Sequence[str], one: Wanted, by_name: bool) -> str | None:
        """Return the array whose path ends most like the layer's, or the first that is free."""
        owner, taken = (*self.inner, one.name), self.groups.taken
        again = [path for path in paths if taken.get(path) == owner]  # the layer is called twice
        names = SAME.get(one.name, (one.name,))
        alike = [
            path
            for path in again or paths
            if taken.get(path, owner) == owner
            and _variable(path) in names
            and tuple(self.file.arrays[path].shape) == one.shape
            and (self._likeness(path) or not by_name)
        ]
        found = max(alike, key=self._likeness if by_name else lambda path: 0, default=None)
        if found is not None:
            taken[found] = owner
        return found

    def _likeness(self, path: str) -> int:
        """Count how many of the names around a layer its path ends with."""
        parts = path.split("/")[:-1]
        count = 0
        for mine, theirs in zip(reversed(self.inner), reversed(parts), strict=False):
            if mine != theirs:
                break
            count += 1
        return count


class Groups:
    """What the configuration says of the groups of a legacy file, and which arrays have gone."""

    def __init__(self, config: dict[str, Any]):
        self.taken: dict[str, tuple[str, ...]] = {}  # array -> the layer it went to
        self._names: set[str] = set()
        self._frozen: dict[str, set[bool]] = {}  # group -> whether its layers can be trained
        for entry in _layers_in(config):
            inside = [entry, *_layers_in(entry)]
            name = str(_config_of(entry).get("name"))
            self._frozen[name] = {
                _config_of(one).get("trainable", True) is True
                for one in inside
                if "layers" not in _config_of(one) and one.get("class_name") != "InputLayer"
            }
            self._names |= {str(_config_of(one).get("name")) for one in inside}

    def say_names(self, paths: Sequence[str]) -> bool:
        """Return whether every path names a layer that is there: else the order counts."""
        parents = {path.split("/")[-2] for path in paths if path.count("/") > 1}
        return parents <= self._names

    def is_half_frozen(self, group: str) -> bool:
        """Return whether only some layers can be trained: their weights come first, then."""
        return len(self._frozen.get(group, set())) > 1


def _config_of(entry: Any) -> dict[str, Any]:
    config = entry.get("config") if isinstance(entry, dict) else None
    if isinstance(config, list):
        return {"layers": config}
    return config if isinstance(config, dict) else {}


def _layers_in(entry: Any, depth: int = 0) -> list[dict[str, Any]]:
    """List the layers of a model at the top, or of one inside it all the way down."""
    found: list[dict[str, Any]] = []
    layers = _config_of(entry).get("layers")
    for one in layers if isinstance(layers, list) and depth < 16 else []:
        if isinstance(one, dict):
            found += [one, *_layers_in(one, depth + 1)]
    return found


def _variable(path: str) -> str:
    """Return the name of a variable: the last part of its path, without `:0`."""
    return re.sub(r"(_\d+)?(:\d+)?$", "", path.rpartition("/")[2])

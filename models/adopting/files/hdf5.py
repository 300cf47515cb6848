"""The numbers of an HDF5 file: its structure is walked and checked before an array is read.

HDF5 can point to other files, to itself in circles, and declare arrays far larger than the
file. None of that occurs in what Keras writes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from models.errors import AdoptError

MOST_OBJECTS = 100_000  # groups and arrays; a large network has some thousands
DEEPEST = 32  # groups within groups
MOST_NUMBERS = 1_000_000_000  # in all arrays together: 4 GB
RATIO = 100  # bytes that an array declares for each byte that it stores
SMALL = 1_000_000  # bytes; below, no ratio is too large
FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
NOT_READ = ("optimizer", "optimizer_weights", "_optimizer")  # of training, at the top


@dataclass
class Numbers:
    """What an HDF5 file holds that counts."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)  # path -> float32
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of arrays that are no floats
    names: dict[str, str] = field(default_factory=dict)  # group -> the layer's name (Keras 3)
    groups: dict[str, list[str]] = field(default_factory=dict)  # layer -> paths in order (legacy)
    config: str = ""  # of the whole model (legacy)
    training: str = ""
    version: str = ""  # of the Keras that wrote it (legacy)


def read_numbers(path: Path) -> Numbers:
    """Read every array of floating-point numbers, but those of the optimiser.

    Raises:
        AdoptError: the file is damaged, points outside itself, or holds what no model holds.
    """
    try:
        with h5py.File(path, "r") as file:
            found, walked = Numbers(), set()
            for name, item in _walk(file):
                _read(name, item, found)
                walked.add(name)
            _read_legacy(file, found, walked)
            return found
    except AdoptError:
        raise
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError, ValueError and more
        reason = " ".join(str(error).split())[:200]
        raise AdoptError(f"the HDF5 part is damaged: {reason}; was its copy finished?") from error


def _walk(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Yield every group and array with its path. Raises AdoptError for a link that is not plain."""
    waiting: list[tuple[str, Any]] = [("", file)]
    seen = numbers = 0
    while waiting:
        path, group = waiting.pop()
        if path.count("/") > DEEPEST:
            raise AdoptError(f"groups lie more than {DEEPEST} deep: no model is built like that")
        for key in group:
            name = f"{path}/{key}" if path else key
            if not path and key in NOT_READ:
                continue
            seen += 1
            if seen > MOST_OBJECTS:
                raise AdoptError(f"the HDF5 part has more than {MOST_OBJECTS:,} objects")
            link = group.get(key, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = type(link).__name__
                raise AdoptError(f"{name[:100]!r} is an HDF5 {kind}, which points elsewhere")
            item = group[key]
            if isinstance(item, h5py.Dataset):
                _check_array(name, item)
                numbers += item.size or 0
                if numbers > MOST_NUMBERS:
                    raise AdoptError(f"the arrays declare more than {MOST_NUMBERS:,} numbers")
            elif isinstance(item, h5py.Group):
                waiting.append((name, item))
            else:
                raise AdoptError(f"{name[:100]!r} is a {type(item).__name__}, which no model has")
            yield name, item


def _check_array(name: str, array: h5py.Dataset) -> None:
    """See that an array's numbers are in this file, and not far more than it stores."""
    made = array.id.get_create_plist()
    if made.get_layout() == h5py.h5d.VIRTUAL or array.is_virtual:
        raise AdoptError(f"the array {name[:100]!r} is virtual: its numbers lie in other files")
    if made.get_external_count():
        raise AdoptError(f"the array {name[:100]!r} keeps its numbers in another file")
    for number in range(made.get_nfilters()):
        if made.get_filter(number)[0] not in FILTERS:
            raise AdoptError(f"the array {name[:100]!r} is packed in a way that Keras does not use")
    declared, stored = (array.size or 0) * array.dtype.itemsize, array.id.get_storage_size()
    if declared > SMALL + RATIO * stored:
        raise AdoptError(
            f"the array {name[:100]!r} is a bomb: its shape {array.shape} makes {declared:,} "
            f"bytes, and it holds {stored:,}"
        )


def _read(name: str, item: Any, found: Numbers) -> None:
    """Keep an array, or the name of the layer whose variables a group holds."""
    name = name.replace("\\", "/")  # Keras 2 on Windows
    if isinstance(item, h5py.Group):
        if name.endswith("vars") and isinstance(item.attrs.get("name"), str):
            found.names[name.removesuffix("vars").rstrip("/")] = item.attrs["name"]
        return
    half = item.dtype.kind == "V" and item.dtype.itemsize == 2  # bfloat16, which NumPy has not
    if half and item.attrs.get("dtype") == "bfloat16":
        upper = np.frombuffer(item[()].tobytes(), "<u2").astype("<u4") << 16
        found.arrays[name] = upper.view("<f4").reshape(item.shape)
    elif item.dtype.kind == "f":
        found.arrays[name] = np.asarray(item[()], np.float32)
    else:
        found.shapes[name] = tuple(item.shape)


def _read_legacy(file: h5py.File, found: Numbers, walked: set[str]) -> None:
    """Read what a legacy file says about itself in attributes.

    Args:
        walked: paths without a link; a name in an attribute can be any path.
    """
    found.config, found.training = _text(file, "model_config"), _text(file, "training_config")
    found.version = _text(file, "keras_version")
    weights = file.get("model_weights") if "model_weights" in file else None
    if not isinstance(weights, h5py.Group):
        return
    found.version = found.version or _text(weights, "keras_version")
    for layer in _names(weights, "layer_names") or list(weights):
        group = weights[layer] if f"model_weights/{layer}" in walked else None
        if isinstance(group, h5py.Group):
            inside = _names(group, "weight_names")
            found.groups[layer] = [f"model_weights/{layer}/{name}" for name in inside]


def _text(item: Any, name: str) -> str:
    value = item.attrs.get(name, "")
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _names(group: h5py.Group, name: str) -> list[str]:
    """Read a list of names, which Keras splits where it is long: `weight_names0`, and so on."""
    if name in group.attrs:
        parts = [group.attrs[name]]
    else:
        parts, number = [], 0
        while f"{name}{number}" in group.attrs:
            parts.append(group.attrs[f"{name}{number}"])
            number += 1
    items = [item for part in parts for item in np.asarray(part).ravel().tolist()]
    return [item.decode("utf-8") if isinstance(item, bytes) else str(item) for item in items]

"""Reading the embedded weights: a PyTorch state dict, without PyTorch and without trust.

A state dict in PyTorch's serialisation of before 2020 is five pickles (magic number,
protocol, machine, the dict, the storage keys) followed by the raw numbers. A pickle can
name any Python object to call; this reader lets five names pass and refuses the rest, and
it reads nothing whose SHA-256 is not the one expected.
"""

import collections
import hashlib
import io
import math
import pickle
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple

import numpy as np

from models.errors import WeightsUnreadable

MAGIC = 0x1950A86A20F9469CFC6C
STORAGES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}


class _Storage(NamedTuple):
    """One run of raw numbers, named by a key until it is read."""

    key: str
    dtype: np.dtype[Any]
    length: int


class _View(NamedTuple):
    """A tensor: where in its storage, of what shape, with which steps (in numbers)."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _View:
    return _View(storage, offset, tuple(shape), tuple(strides))


class _Reader(pickle.Unpickler):
    """An unpickler that can build a dict of tensors and nothing else."""

    ALLOWED: ClassVar[dict[tuple[str, str], Any]] = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild,
        ("torch", "FloatStorage"): "FloatStorage",
        ("torch", "LongStorage"): "LongStorage",
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in weights") from None

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, _, count, _ = pid
        return _Storage(key, STORAGES[kind], int(count))


def read_state_dict(path: Path, sha256: str) -> dict[str, np.ndarray]:
    """Read every tensor of the state dict at `path`, by name.

    Args:
        path: a file in PyTorch's serialisation of before version 1.6.
        sha256: what the file must hash to, 64 hexadecimal digits.

    Raises:
        WeightsUnreadable: no such file, another hash, or not such a file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsUnreadable(path, f"{error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise WeightsUnreadable(path, f"SHA-256 is {found[:12]}..., expected {sha256[:12]}...")
    return parse_state_dict(io.BytesIO(content), path)


def parse_state_dict(file: BinaryIO, path: Path) -> dict[str, np.ndarray]:
    """Read the tensors in `file`; `path` is only named in errors. Raises WeightsUnreadable."""
    try:
        magic, _protocol, _machine, views, keys = (_Reader(file).load() for _ in range(5))
        if magic != MAGIC:
            raise pickle.UnpicklingError("not a PyTorch state dict of before version 1.6")
        storages = {view.storage.key: view.storage for view in views.values()}
        numbers = {key: _read_storage(file, storages[key]) for key in keys}
        return {name: _tensor(view, numbers[view.storage.key]) for name, view in views.items()}
    except Exception as error:  # unpickling raises whatever the bytes make it raise
        raise WeightsUnreadable(path, str(error) or type(error).__name__) from error


def _read_storage(file: BinaryIO, storage: _Storage) -> np.ndarray:
    """Read the next storage in the file: its length in 8 bytes, then the numbers."""
    count = int.from_bytes(file.read(8), "little")
    content = file.read(count * storage.dtype.itemsize)
    if count != storage.length or len(content) != count * storage.dtype.itemsize:
        raise ValueError(f"storage {storage.key} is cut short")
    return np.frombuffer(content, storage.dtype)


def _tensor(view: _View, numbers: np.ndarray) -> np.ndarray:
    """Copy the numbers a view shows; never past the end of its storage."""
    if math.prod(view.shape) == 0:
        return np.zeros(view.shape, numbers.dtype)
    steps = zip(view.shape, view.strides, strict=True)
    last = view.offset + sum((size - 1) * step for size, step in steps)
    if view.offset < 0 or min(view.strides, default=0) < 0 or last >= len(numbers):
        raise ValueError("a tensor reaches past its storage")
    strides = [step * numbers.itemsize for step in view.strides]
    start = numbers[view.offset :]
    return np.lib.stride_tricks.as_strided(start, view.shape, strides, writeable=False).copy()

"""Weights in PyTorch's old format are read without PyTorch, and nothing else in them runs."""

import collections
import hashlib
import io
import pickle
import sys
import types

import numpy as np
import pytest

from models.building.backbones import BACKBONES
from models.building.state_dict import MAGIC, read_state_dict
from models.errors import WeightsUnreadable


class _Tensor:
    """Pickles itself as a PyTorch tensor does."""

    def __init__(self, storage, offset, shape, strides):
        self.arguments = (storage, offset, shape, strides, False, collections.OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.arguments


class _Storage:
    """A run of numbers, pickled as PyTorch does: by name, the numbers after the pickles."""

    def __init__(self, key, numbers):
        self.key, self.numbers = key, np.asarray(numbers)


class _Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if not isinstance(value, _Storage):
            return None
        kind = {"f": "FloatStorage", "i": "LongStorage"}[value.numbers.dtype.kind]
        torch = sys.modules["torch"]
        return "storage", getattr(torch, kind), value.key, "cpu", len(value.numbers), None


@pytest.fixture
def torch(monkeypatch):
    """A module that has what a state dict names; pickling by name needs no more."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def rebuild():
        pass

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)


def serialise(tensors, storages, magic=MAGIC):
    """A state dict as PyTorch wrote it before version 1.6: five pickles, then the numbers."""
    file = io.BytesIO()
    for part in (magic, 1001, {"little_endian": True}, tensors, [one.key for one in storages]):
        _Pickler(file, protocol=2).dump(part)
    for one in storages:
        file.write(len(one.numbers).to_bytes(8, "little") + one.numbers.tobytes())
    return file.getvalue()


def read(content, folder):
    path = folder / "weights.pth"
    path.write_bytes(content)
    return read_state_dict(path, hashlib.sha256(content).hexdigest())


SIX = _Storage("six", np.arange(6, dtype="<f4"))
COUNT = _Storage("count", np.array([7, 8], "<i8"))


def test_tensors_come_back_whole_turned_cut_and_scalar(torch, tmp_path):
    tensors = collections.OrderedDict(
        plain=_Tensor(SIX, 0, (2, 3), (3, 1)),
        turned=_Tensor(SIX, 0, (3, 2), (1, 3)),  # the same numbers with the steps swapped
        every_second=_Tensor(SIX, 1, (3,), (2,)),
        repeated=_Tensor(SIX, 5, (2, 2), (0, 0)),  # what `expand` leaves
        scalar=_Tensor(COUNT, 1, (), ()),
        empty=_Tensor(SIX, 0, (0, 3), (3, 1)),
    )
    found = read(serialise(tensors, [COUNT, SIX]), tmp_path)
    assert {name: value.tolist() for name, value in found.items()} == {
        "plain": [[0, 1, 2], [3, 4, 5]],
        "turned": [[0, 3], [1, 4], [2, 5]],
        "every_second": [1, 3, 5],
        "repeated": [[5, 5], [5, 5]],
        "scalar": 8,
        "empty": [],
    }
    assert found["plain"].dtype == "<f4"
    assert found["scalar"].dtype == "<i8"


def test_another_hash_is_refused_before_anything_is_unpickled(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"altered")
    found = hashlib.sha256(b"altered").hexdigest()[:12]
    with pytest.raises(WeightsUnreadable, match=f"SHA-256 is {found}.*, expected 000000000000"):
        read_state_dict(path, "0" * 64)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsUnreadable, match=r"nowhere\.pth: No such file"):
        read_state_dict(tmp_path / "nowhere.pth", "0" * 64)


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("posix", "system"), ("builtins", "eval"), ("collections", "Counter"),
     ("torch", "load"), ("torch._utils", "_rebuild_parameter"), ("numpy", "load")],
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 3])  # the magic number's, and the dict's
def test_a_pickle_that_names_anything_else_is_refused_and_not_run(place, module, name, tmp_path):
    mark = tmp_path / "it ran"
    call = f"c{module}\n{name}\n(S'touch \"{mark}\"'\ntR.".encode()  # find, argument, call
    parts = [pickle.dumps(part, 2) for part in (MAGIC, 1001, {}, {}, [])]
    parts[place] = call
    with pytest.raises(WeightsUnreadable, match=rf"{module}\.{name} has no place in weights"):
        read(b"".join(parts), tmp_path)
    assert not mark.exists()


def test_a_file_cut_off_anywhere_is_refused(torch, tmp_path):
    whole = serialise({"plain": _Tensor(SIX, 0, (2, 3), (3, 1))}, [SIX])
    assert read(whole, tmp_path)["plain"].sum() == 15
    for length in range(len(whole)):
        with pytest.raises(WeightsUnreadable):
            read(whole[:length], tmp_path)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (7,), (1,)),  # seven numbers of six
        (1, (2, 3), (3, 1)),  # six, but from the second on
        (0, (2, 2), (5, 2)),
        (-1, (2,), (1,)),
        (5, (2,), (-1,)),  # inside the storage, but PyTorch has no negative steps
        (0, (-1, -6), (6, 1)),
        (0, (2, 3), (3,)),  # one step for two dimensions
    ],
)
def test_a_tensor_outside_its_storage_is_refused(offset, shape, strides, torch, tmp_path):
    content = serialise({"far": _Tensor(SIX, offset, shape, strides)}, [SIX])
    with pytest.raises(WeightsUnreadable):
        read(content, tmp_path)


def test_a_storage_longer_than_announced_is_refused(torch, tmp_path):
    content = serialise({"plain": _Tensor(SIX, 0, (2, 3), (3, 1))}, [SIX])
    numbers = SIX.numbers.tobytes()
    longer = content[: -len(numbers) - 8] + (7).to_bytes(8, "little") + numbers + b"\0" * 4
    with pytest.raises(WeightsUnreadable, match="storage six is cut short"):
        read(longer, tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a pickle", pickle.dumps(1) * 5])
def test_what_is_no_state_dict_is_refused(content, tmp_path):
    with pytest.raises(WeightsUnreadable, match=r"weights\.pth"):
        read(content, tmp_path)


def test_another_magic_number_is_refused(torch, tmp_path):
    with pytest.raises(WeightsUnreadable, match=r"not a PyTorch state dict of before version 1.6"):
        read(serialise({}, [], magic=MAGIC + 1), tmp_path)


@pytest.mark.parametrize(
    ("name", "millions"),
    [("efficientnet-lite0", 4.65), ("efficientnet-lite1", 5.42), ("efficientnet-lite2", 6.09)],
)
def test_the_embedded_weights_are_those_of_their_network(name, millions):
    embedded = BACKBONES[name].embedded
    tensors = read_state_dict(embedded.path(), embedded.sha256)
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    learnt = sum(value.size for key, value in tensors.items() if not key.endswith(statistics))
    assert round(learnt / 1e6, 2) == millions  # as timm's table of models counts them
    assert tensors["_fc.weight"].shape == (1000, 1280)
    assert all((value >= 0).all() for key, value in tensors.items() if key.endswith("running_var"))

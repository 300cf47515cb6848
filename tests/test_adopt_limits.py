"""What a hostile file can do to the reader itself: depth, length, odd types, odd numbers."""

import io
import json
import os
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from models.adopting.files.model_file import read_model_file
from models.adopting.rebuild import rebuild
from tests.foreign import grey
from tests.foreign_files import edit_archive, liven, read_archive, write_archive
from tests.refusing import refused
from tests.test_adopt_hostile import KERNEL, replaced, with_weights


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("good") / "model.keras"
    liven(grey()).save(path)
    return path


def with_text(good: Path, target: Path, before: str, after: str) -> Path:
    """A copy whose configuration has `after` in place of `before`."""
    parts = read_archive(good)
    text = json.dumps(json.loads(parts["config.json"]))
    assert before in text
    parts["config.json"] = text.replace(before, after, 1).encode()
    return write_archive(target, parts)


@pytest.mark.parametrize("depth", [300, 900, 990, 5000])
@pytest.mark.parametrize("place", ["input_layers", "output_layers"])
def test_a_list_that_is_nested_without_end_is_refused(place, depth, good, tmp_path):
    path = with_text(good, tmp_path / "m.keras", f'"{place}": ', f'"{place}": ' + "[" * depth)
    content = read_archive(path)["config.json"].decode()
    start = content.index("[" * depth) + depth
    closed = content[:start] + "1" + "]" * depth + ", " + f'"was": {content[start:]}'
    refused(write_archive(path, read_archive(path) | {"config.json": closed.encode()}))


@pytest.mark.parametrize("depth", [100, 400, 480])
def test_an_activation_inside_an_activation_without_end_is_refused(depth, good, tmp_path):
    nested = '{"class_name": "Activation", "config": {"activation": ' * depth
    nested += '"nobody"' + "}}" * depth
    path = with_text(good, tmp_path / "m.keras", '"activation": "relu"', f'"activation": {nested}')
    refused(path)


def test_lists_of_hundreds_of_thousands_are_read_in_one_pass(good, tmp_path):
    def outputs(config):
        last = config["config"]["layers"][-1]["config"]["name"]
        config["config"]["output_layers"] = [[last, 0, 0]] * 200_000

    refused(edit_archive(good, tmp_path / "m.keras", outputs), "200000 outputs")


def test_a_layer_that_is_called_without_end_is_refused(good, tmp_path):
    def again(config):
        layer = config["config"]["layers"][1]
        layer["inbound_nodes"] *= 10_001

    refused(edit_archive(good, tmp_path / "m.keras", again), "more than 10,000 times")


def test_layers_without_end_are_refused(good, tmp_path):
    def many(config):
        one = {"class_name": "ReLU", "config": {}}
        config["config"]["layers"] += [one | {"name": f"r{number}"} for number in range(100_000)]

    refused(edit_archive(good, tmp_path / "m.keras", many), "more than 5,000 layers")


def test_a_name_in_an_attribute_leads_to_no_other_file(tmp_path):
    path, other = tmp_path / "m.h5", tmp_path / "other.h5"
    liven(grey()).save(path)
    with h5py.File(other, "w") as file:
        file.create_group("x").attrs["weight_names"] = [b"stolen"]
    with h5py.File(path, "r+") as file:
        file["optimizer_weights/x"] = h5py.ExternalLink(str(other), "/x")  # is not read
        weights = file["model_weights"]
        names = [
            one if isinstance(one, bytes) else one.encode() for one in weights.attrs["layer_names"]
        ]
        weights.attrs["layer_names"] = [*names, b"/optimizer_weights/x"]
    assert "/optimizer_weights/x" not in read_model_file(path).groups


@pytest.mark.parametrize(
    ("byte", "value", "words"),
    [(8, 1, "without a password"), (10, 9, "method 9; expected deflate")],
)
def test_a_member_that_is_encrypted_or_packed_oddly_is_refused(byte, value, words, good, tmp_path):
    path = write_archive(tmp_path / "m.keras", read_archive(good))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + byte] = value
    path.write_bytes(content)
    refused(path, words)


def test_a_name_with_a_zero_byte_is_not_taken_for_what_stands_before_it(good, tmp_path):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in read_archive(good).items():
            archive.writestr(name.replace("config.json", "config.json_evil"), content)
    path.write_bytes(path.read_bytes().replace(b"config.json_evil", b"config.json\0evil"))
    refused(path, "config.json\\x00evil")


def test_a_pipe_is_refused_before_anybody_waits_for_it(tmp_path):
    os.mkfifo(tmp_path / "m.keras")
    refused(tmp_path / "m.keras", "a pipe or a device")


def put(**settings):
    return lambda file: file.create_dataset(KERNEL, **settings)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (put(data=["x"] * 5, dtype=h5py.string_dtype()), "0 arrays"),
        (put(shape=(3,), dtype=h5py.vlen_dtype("f4")), "0 arrays"),
        (put(data=np.zeros((1352, 3), [("a", "f4"), ("b", "f4")])), "0 arrays"),
        (put(data=np.ones((1352, 3), "c8")), "0 arrays"),
        (put(data=np.full((1352, 3), 1e300)), "not finite"),
        (put(data=np.ones((1352, 3), "f4"), compression="lzf"), "packed in a way"),
        (lambda file: file.__setitem__(KERNEL, np.dtype("f4")), "Datatype"),
    ],
)
def test_an_array_of_an_odd_type_is_refused(make, words, good, tmp_path):
    refused(with_weights(good, tmp_path / "m.keras", replaced(make)), words)


@pytest.mark.parametrize(
    ("key", "value"),
    [("filters", -3), ("filters", 0), ("filters", 10**30), ("filters", float("nan")),
     ("kernel_size", [0, 0]), ("kernel_size", [-3, 3]), ("kernel_size", [10**12, 3]),
     ("strides", [0, 0]), ("strides", [-1, -1]), 
     ("dilation_rate", [10**9, 1]), ("groups", 0), ("groups", 7), ("padding", "causal")],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_refused(key, value, good, tmp_path):
    def change(config):
        found = config["config"]["layers"]
        next(one for one in found if one["class_name"] == "Conv2D")["config"][key] = value

    refused(edit_archive(good, tmp_path / "m.keras", change), "conv2d")


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), None, "x", "0.5", ["a"], [[1], [2, 3]], 10**400]
)
def test_a_scale_that_is_no_finite_number_is_refused(value, good, tmp_path):
    def change(config):
        found = config["config"]["layers"]
        next(one for one in found if one["class_name"] == "Rescaling")["config"]["scale"] = value

    refused(edit_archive(good, tmp_path / "m.keras", change), "expected a finite number")


@pytest.mark.parametrize(
    "shape", [[-28, 28, 1], [0, 28, 1], [10**9, 28, 1], [28.5, 28, 1], [28, 28, "3"], [True, 28, 1]]
)
def test_an_input_of_a_shape_that_makes_no_sense_is_refused(shape, good, tmp_path):
    def change(config):
        config["config"]["layers"][0]["config"]["batch_shape"] = [None, *shape]

    refused(edit_archive(good, tmp_path / "m.keras", change))


def test_the_file_that_is_spoilt_here_is_good(good):
    buffer = io.BytesIO(read_archive(good)["model.weights.h5"])
    with h5py.File(buffer) as file:
        assert file[KERNEL].shape == (1352, 3)
    assert rebuild(read_model_file(good)).network.output_shape == (None, 3)

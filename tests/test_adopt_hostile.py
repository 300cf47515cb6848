"""A hostile or mistaken model file is refused by what it is, before anything in it runs."""

import io
import pickle
import struct
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


class Touch:
    """A pickle that leaves a trace where it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("good") / "model.keras"
    liven(grey()).save(path)
    return path


@pytest.fixture(scope="module")
def good_h5(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("good") / "model.h5"
    liven(grey()).save(path)
    return path


def with_weights(good: Path, target: Path, change) -> Path:
    """A copy whose HDF5 part was changed by `change(file)`."""
    parts = read_archive(good)
    buffer = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        change(file)
    return write_archive(target, parts | {"model.weights.h5": buffer.getvalue()})


KERNEL = "layers/dense/vars/0"


def replaced(make):
    def change(file):
        del file[KERNEL]
        make(file)

    return change


def test_a_good_file_is_read(good, good_h5):
    assert rebuild(read_model_file(good)).network.output_shape == (None, 3)
    assert rebuild(read_model_file(good_h5)).network.output_shape == (None, 3)


@pytest.mark.parametrize(
    "name", ["../evil.h5", "/etc/evil", "..\\evil", "C:\\evil", "a/../../evil", "\\evil"]
)
def test_a_member_outside_the_archive_is_refused(name, good, tmp_path):
    path = write_archive(tmp_path / "m.keras", read_archive(good) | {name: b"x"})
    refused(path, "outside itself")


@pytest.mark.parametrize(
    "name", ["weights.pkl", "model.weights.npz", "assets/words.txt", "x/", "a"]
)
def test_a_further_member_is_refused_by_its_name(name, good, tmp_path):
    path = write_archive(tmp_path / "m.keras", read_archive(good) | {name: b"x"})
    refused(path, f"the archive has {'' if name.startswith('assets') else 'a member '}{name!r}")


@pytest.mark.parametrize("name", ["metadata.json", "config.json", "model.weights.h5"])
def test_a_missing_member_is_named(name, good, tmp_path):
    parts = read_archive(good)
    del parts[name]
    refused(write_archive(tmp_path / "m.keras", parts), name)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice_is_refused(good, tmp_path):
    path = write_archive(tmp_path / "m.keras", read_archive(good))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model.weights.h5", pickle.dumps(Touch(tmp_path / "ran")))
    refused(path, "model.weights.h5 twice")
    assert not (tmp_path / "ran").exists()


def test_a_link_in_the_archive_is_refused(good, tmp_path):
    parts = read_archive(good)
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            member = zipfile.ZipInfo(name)
            if name == "model.weights.h5":
                member.external_attr = 0o120777 << 16
                content = b"/etc/passwd"
            archive.writestr(member, content)
    refused(path, "a link or a folder")


def test_a_bomb_of_ten_gigabytes_is_refused_by_its_directory(good, tmp_path):
    parts = read_archive(good)
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("metadata.json", "config.json"):
            archive.writestr(name, parts[name])
        archive.writestr("model.weights.h5", bytes(10_000_000))
    content = path.read_bytes()
    directory = content.rindex(b"PK\x01\x02")
    huge = struct.pack("<I", 3_900_000_000)
    patched = content[: directory + 24] + huge + content[directory + 28 :]
    path.write_bytes(patched)
    refused(path, "bomb", "3,900,000,000")
    write_zip64(path, parts, 10_000_000_000)
    refused(path, "10,000,000,000 bytes")


def write_zip64(path: Path, parts: dict[str, bytes], size: int) -> None:
    """An archive whose weights claim `size` bytes in the field for large files."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("metadata.json", "config.json"):
            archive.writestr(name, parts[name])
        member = zipfile.ZipInfo("model.weights.h5")
        member.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(member, bytes(100_000))
        archive.filelist[-1].file_size = size


def test_a_member_that_inflates_to_more_than_it_says_is_refused(good, tmp_path):
    parts = read_archive(good)
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", parts["metadata.json"])
        archive.writestr("config.json", b"{" + b" " * 40_000_000 + b"}")
        archive.writestr("model.weights.h5", parts["model.weights.h5"])
        for member in archive.filelist:
            if member.filename == "config.json":
                member.file_size = 900
    refused(path, "damaged")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(share, good, good_h5, tmp_path):
    for source in (good, good_h5):
        content = source.read_bytes()
        path = tmp_path / source.name
        path.write_bytes(content[: int(len(content) * share)])
        refused(path)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_called_one_and_not_loaded(protocol, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(pickle.dumps(Touch(tmp_path / "ran"), protocol))
    refused(path, "pickle")
    assert not (tmp_path / "ran").exists()


def test_an_array_far_larger_than_its_file_is_refused(good, tmp_path):
    def bomb(file):
        file.create_dataset(KERNEL, shape=(1_000_000, 250_000), dtype="f4", chunks=(1000, 1000))

    path = with_weights(good, tmp_path / "m.keras", replaced(bomb))
    refused(path, "bomb", KERNEL)


def test_an_array_packed_to_nothing_is_refused(good, tmp_path):
    def bomb(file):
        zeros = np.zeros((3000, 3000), "f4")
        file.create_dataset(KERNEL, data=zeros, compression="gzip", chunks=(3000, 3000))

    refused(with_weights(good, tmp_path / "m.keras", replaced(bomb)), "bomb")


def test_numbers_in_another_file_are_refused(good, tmp_path):
    (tmp_path / "secret.bin").write_bytes(bytes(4_000))

    def outside(file):
        place = [(str(tmp_path / "secret.bin"), 0, 4_000)]
        file.create_dataset(KERNEL, shape=(1000,), dtype="f4", external=place)

    refused(with_weights(good, tmp_path / "m.keras", replaced(outside)), "another file")


def test_a_virtual_array_is_refused(good, tmp_path):
    def virtual(file):
        layout = h5py.VirtualLayout(shape=(10,), dtype="f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", shape=(10,))
        file.create_virtual_dataset(KERNEL, layout)

    refused(with_weights(good, tmp_path / "m.keras", replaced(virtual)), "virtual")


@pytest.mark.parametrize(
    "link", [h5py.SoftLink("/layers/dense/vars/1"), h5py.ExternalLink("/etc/passwd", "/x")]
)
def test_a_link_inside_the_weights_is_refused(link, good, tmp_path):
    def linked(file):
        file[KERNEL] = link

    refused(with_weights(good, tmp_path / "m.keras", replaced(linked)), type(link).__name__)


def test_a_circle_of_groups_comes_to_an_end(good, tmp_path):
    def circle(file):
        file["layers/dense/again"] = file["layers"]

    refused(with_weights(good, tmp_path / "m.keras", circle), "deep")


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(number, good, tmp_path):
    def spoil(file):
        file[KERNEL][0, 0] = number

    refused(with_weights(good, tmp_path / "m.keras", spoil), "not finite", KERNEL)


def test_weights_of_another_shape_are_refused_with_both(good, tmp_path):
    def other(file):
        file.create_dataset(KERNEL, data=np.ones((5, 3), "f4"))

    refused(with_weights(good, tmp_path / "m.keras", replaced(other)), "(5, 3)", "(1352, 3)")


def test_weights_that_are_missing_or_too_many_are_refused(good, tmp_path):
    refused(with_weights(good, tmp_path / "a.keras", replaced(lambda file: None)), "dense")

    def more(file):
        file["layers/dense/vars/2"] = np.ones(3, "f4")

    refused(with_weights(good, tmp_path / "b.keras", more), "3 arrays")


def test_a_layer_far_wider_than_its_weights_makes_no_room(good, tmp_path):
    def wide(config):
        config["config"]["layers"][-1]["config"]["units"] = 10**12

    refused(edit_archive(good, tmp_path / "m.keras", wide), "1000000000000")


def test_maps_without_end_are_refused_before_they_are_computed(good, tmp_path):
    def large(config):
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "MaxPooling2D":
                layer["class_name"] = "UpSampling2D"
                layer["config"] = {"name": layer["config"]["name"], "size": [30000, 30000]}

    refused(edit_archive(good, tmp_path / "m.keras", large), "numbers; the limit is")

"""A saved model is whole or not there, and no altered byte of it is used."""

import errno
import hashlib
import os
import tempfile
import threading
from pathlib import Path

import pytest

from models.bundle import Bundle, Manifest, check_target, new_bundle, seal
from models.bundles.exchange import exchange
from models.errors import BundleError, StorageError
from models.images import Framing
from tests.crafting import edit


def describe(**fields):
    image = Framing(size=32, resize="crop", fraction=0.875)
    known = {"name": "flowers", "class_names": ["rose", "tulip"], "image": image,
             "backbone": {}, "head": {}, "layers": []}  # fmt: skip
    return Manifest(**known | fields)


def write(target, content=b"weights"):
    """A small bundle with two files, one of them in a folder."""
    with new_bundle(target) as folder:
        (folder / "model.keras").write_bytes(content)
        (folder / "insight").mkdir()
        (folder / "insight" / "probes.json").write_text("{}")
        return seal(folder, describe(), target)


def alter(target, **fields):
    """Change fields of the manifest on disk, and its hash with them."""
    edit(target, lambda known: known.update(fields))


@pytest.fixture
def flowers(tmp_path):
    write(tmp_path / "flowers")
    return tmp_path / "flowers"


def test_a_bundle_gives_back_what_was_written(flowers):
    bundle = Bundle(flowers)
    assert bundle.read("model.keras") == b"weights"
    assert bundle.read("insight/probes.json") == b"{}"
    assert bundle.manifest.class_names == ["rose", "tulip"]
    assert bundle.manifest.framing.box(32, 32) == (2, 2, 30, 30)  # 0.875 * 32 = 28, centred
    assert set(bundle.manifest.files) == {"model.keras", "insight/probes.json"}
    assert bundle.manifest.files["model.keras"].sha256 == hashlib.sha256(b"weights").hexdigest()
    assert os.listdir(flowers.parent) == ["flowers"]


@pytest.mark.parametrize("content", [b"weighty", b"", b"weights "])  # same size, none, longer
def test_an_altered_file_is_refused_by_name(content, flowers):
    (flowers / "model.keras").write_bytes(content)
    bundle = Bundle(flowers)
    assert bundle.read("insight/probes.json") == b"{}"  # the others can still be used
    for use in (lambda: bundle.read("model.keras"), bundle.verify):
        with pytest.raises(BundleError, match=r"flowers: model\.keras was altered"):
            use()


def test_a_missing_file_and_one_never_listed_are_refused_by_name(flowers):
    (flowers / "model.keras").unlink()
    (flowers / "extra").write_text("put there by hand")
    with pytest.raises(BundleError, match=r"model\.keras cannot be read: No such file"):
        Bundle(flowers).read("model.keras")
    with pytest.raises(BundleError, match="extra is not in its manifest"):
        Bundle(flowers).read("extra")


@pytest.mark.parametrize("schema", [0, 1, None, "2"])
def test_another_schema_is_refused_with_both_versions(schema, flowers):
    alter(flowers, schema_version=schema)
    with pytest.raises(BundleError, match=f"schema version {schema!r}; this program reads 2 and 3"):
        Bundle(flowers)


FILE = {"size": 1, "sha256": "0" * 64}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "../up"}, "name: "),
        ({"name": "a\n"}, "name: "),
        ({"class_names": []}, "class_names: "),
        ({"class_names": ["rose", "rose"]}, "a name twice"),
        ({"class_names": [f"{one:0999}" for one in range(1002)]}, "1,000,000 letters together"),
        ({"class_names": [str(n) + "\U0001f600" * 840 for n in range(100)]}, "as JSON writes them"),
        ({"data": {"samples": [{"name": "a", "label": "\xe4" * 167}] * 999}}, "letters together"),
        ({"surprise": 1}, "surprise: "),
        ({"layers": [{"name": "conv"}]}, r"layers\.0\.kind: "),
        ({"image": {"size": 4, "resize": "crop", "fraction": 1}}, "size is 4 px"),
        (
            {"image": {"size": 32, "resize": "stretch", "fraction": 1}},
            "image.resize: Input should be 'crop', 'squash' or 'pad'",
        ),
        ({"files": {"model.keras": {"size": 1}}}, r"files\.model\.keras\.sha256: "),
        *(
            ({"files": {name: FILE}}, "outside the bundle")
            for name in ("../secret", "a/../../secret", "/etc/passwd", "..", "", ".", "a\\..\\b")
        ),
        ({"files": {"a\0b": FILE}}, "a.*b"),  # the system call would end at the zero
    ],
)
def test_a_manifest_that_cannot_be_right_is_refused_with_the_place(fields, said, flowers):
    alter(flowers, **fields)
    with pytest.raises(BundleError, match=said):
        Bundle(flowers).verify()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_not_json_is_refused(content, flowers):
    (flowers / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"manifest\.json is not JSON"):
        Bundle(flowers)


@pytest.mark.parametrize("content", ["null", "[1]", "7", '"schema_version"', "true"])
def test_a_manifest_that_holds_no_object_is_refused_with_what_it_holds(content, flowers):
    (flowers / "manifest.json").write_text(content)
    with pytest.raises(BundleError, match=r"manifest\.json holds no object") as refusal:
        Bundle(flowers)
    assert f"it begins {content!r}" in str(refusal.value)


@pytest.mark.parametrize("place", ["nowhere", "empty", "file"])
def test_a_place_without_a_bundle_is_named(place, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BundleError, match=rf"{place}: no manifest\.json .*is this a bundle\?"):
        Bundle(tmp_path / place)


def test_a_bundle_that_replaces_another_gets_the_next_version(flowers):
    first = Bundle(flowers)
    assert first.manifest.version == "1"
    assert write(flowers, b"better").version == "2"
    second = Bundle(flowers)
    assert second.manifest.version == "2"
    assert second.read("model.keras") == b"better"
    assert second.fingerprint != first.fingerprint
    assert os.listdir(flowers.parent) == ["flowers"]
    with pytest.raises(BundleError, match=r"model\.keras was altered"):
        first.read("model.keras")  # opened before: never the new file under the old manifest


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_crash_leaves_the_old_bundle_and_nothing_else(error, flowers):
    def crash():
        with new_bundle(flowers) as folder:
            (folder / "model.keras").write_bytes(b"half of")
            raise error("on purpose")

    with pytest.raises(error, match="on purpose"):
        crash()
    Bundle(flowers).verify()
    assert Bundle(flowers).read("model.keras") == b"weights"
    assert os.listdir(flowers.parent) == ["flowers"]


def test_no_instant_is_without_a_bundle_while_one_replaces_another(flowers):
    found, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            try:
                found.append(Bundle(flowers).manifest.version)
            except BundleError as error:
                found.append(str(error))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(100):
            write(flowers)
    finally:
        stop.set()
        watcher.join()
    assert len(found) > 100
    assert [one for one in found if not one.isdigit()] == []
    assert Bundle(flowers).manifest.version == "101"
    assert os.listdir(flowers.parent) == ["flowers"]


def test_where_names_cannot_be_exchanged_two_renames_replace_a_bundle(flowers, monkeypatch):
    monkeypatch.setattr("models.bundle.exchange", lambda one, other: False)
    assert write(flowers, b"better").version == "2"
    assert Bundle(flowers).read("model.keras") == b"better"
    assert os.listdir(flowers.parent) == ["flowers"]


def test_a_path_that_is_not_there_cannot_be_exchanged(tmp_path):
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path, tmp_path / "nowhere")


def test_a_crash_while_swapping_brings_the_old_bundle_back(flowers, monkeypatch):
    monkeypatch.setattr("models.bundle.exchange", lambda one, other: False)
    rename = Path.rename

    def fail(self, to):  # only between two renames could another process get in the way
        if to == flowers and ".old" not in self.name:
            raise OSError(errno.EACCES, "Permission denied")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(StorageError, match="Permission denied"):
        write(flowers, b"better")
    monkeypatch.undo()
    assert Bundle(flowers).read("model.keras") == b"weights"
    assert os.listdir(flowers.parent) == ["flowers"]


def test_a_bundle_sealed_twice_can_be_read(tmp_path):
    target = tmp_path / "flowers"
    with new_bundle(target) as folder:
        (folder / "model.keras").write_bytes(b"weights")
        seal(folder, describe(), target)
        seal(
            folder, describe(metrics={"test": {"accuracy": 0.9}}), target
        )  # say, measured afterwards
    Bundle(target).verify()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device that is always full")
def test_a_full_disk_is_said_and_leaves_the_old_bundle(flowers):
    def fill():
        with new_bundle(flowers) as folder:
            (folder / "model.keras").symlink_to("/dev/full")
            (folder / "model.keras").write_bytes(b"weights")

    with pytest.raises(StorageError, match=r"no space left to write .*flowers"):
        fill()
    assert Bundle(flowers).read("model.keras") == b"weights"
    assert os.listdir(flowers.parent) == ["flowers"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EACCES, "cannot write"),
        (errno.EROFS, "cannot write"),
        (errno.EPERM, "cannot write"),
        (errno.ENOSPC, "no space left"),
        (errno.EDQUOT, "no space left"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_any_work(
    code, said, tmp_path, monkeypatch
):
    def fail(*_, **__):  # root, as in a container, may write where others may not
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    with pytest.raises(StorageError, match=f"{said}.*flowers.*choose another place"):
        check_target(tmp_path / "flowers")


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for target in (tmp_path / "file" / "flowers", tmp_path / "file" / "deeper" / "flowers"):
        with pytest.raises(StorageError, match=r"cannot write .*flowers: .*; choose another place"):
            check_target(target)


def test_a_parent_with_too_long_a_name_is_refused(tmp_path):
    with pytest.raises(StorageError, match="name too long"):
        check_target(tmp_path / ("x" * 300) / "flowers")  # 255 bytes are the most


def test_a_target_that_holds_something_else_is_refused_and_kept(tmp_path, flowers):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "rose.jpg").write_text("irreplaceable")
    (tmp_path / "file").write_text("irreplaceable")
    (tmp_path / "link").symlink_to(flowers)
    for name in ("photos", "file", "link"):
        with pytest.raises(StorageError, match=f"{name} exists and is not a bundle"):
            write(tmp_path / name)
    assert (tmp_path / "photos" / "rose.jpg").read_text() == "irreplaceable"
    assert sorted(os.listdir(tmp_path)) == ["file", "flowers", "link", "photos"]


def test_an_empty_folder_and_a_missing_one_are_filled(tmp_path):
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "empty", tmp_path / "far" / "away"):
        write(target)
        Bundle(target).verify()


@pytest.mark.parametrize("name", ["-flag", ".hidden", "a b", "ä", "x" * 65, "a\n"])
def test_a_name_that_does_not_fit_a_url_is_refused(name, tmp_path):
    with pytest.raises(StorageError, match="cannot name a bundle: use letters"):
        check_target(tmp_path / name)

"""A bundle that was damaged, or made by somebody who means no good, is refused, never followed."""

import logging
import os
import shutil
import socket

import numpy as np
import pytest

from models.bundle import Bundle
from models.bundles.nameless import new_file
from models.bundles.names import MANIFEST
from models.bundles.pinned import PinnedBundle, pin, pinned
from models.errors import BundleError
from models.examine import examine
from tests.crafting import age, edit, replace
from tests.making import believe_colours, colour_bundle


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    place = tmp_path_factory.mktemp("bundles")
    return believe_colours(colour_bundle(place / "plain"), place / "colours")


@pytest.fixture
def copied(colours, tmp_path):
    return shutil.copytree(colours, tmp_path / "colours")


@pytest.fixture
def deep(insight_bundle, tmp_path):
    """A copy of a bundle with layers and insight."""
    return shutil.copytree(insight_bundle, tmp_path / "colours")


def test_a_manifest_with_any_bit_flipped_is_refused(deep):
    whole = (deep / MANIFEST).read_bytes()
    rng = np.random.default_rng(12)
    opened = []
    for bit in rng.choice(8 * len(whole), 300, replace=False):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (deep / MANIFEST).write_bytes(damaged)
        try:
            Bundle(deep)
            opened.append(int(bit))
        except BundleError:
            pass
    assert opened == []
    (deep / MANIFEST).write_bytes(whole)
    Bundle(deep).verify()


MANY = [
    ("[]", 250_000, "250,0.. lists"),
    ("0", 5_500_000, "5,500,... values"),
    ('{"a":0,"b":0,"c":0}', 84_000, "252,... of them named"),
]


@pytest.mark.parametrize(("value", "times", "found"), MANY)
def test_a_manifest_whose_values_would_fill_the_memory_is_refused(value, times, found, copied):
    text = (copied / MANIFEST).read_text()
    many = ",".join([value] * times)
    (copied / MANIFEST).write_text(text.replace("{", f'{{"more": [{many}],', 1))
    with pytest.raises(
        BundleError, match=f"{found}.*expected at most 200,000, 5,000,000 and 250,000"
    ):
        Bundle(copied)


def test_a_manifest_with_a_number_that_takes_long_to_read_is_refused(copied):
    text = (copied / MANIFEST).read_text()
    (copied / MANIFEST).write_text(text.replace("{", f'{{"more": {"9" * 4000},', 1))
    with pytest.raises(BundleError, match="not JSON: it holds 1,001 digits in a row"):
        Bundle(copied)


def test_the_one_bit_that_would_make_a_manifest_an_older_one_is_noticed(copied):
    text = (copied / MANIFEST).read_text()
    (copied / MANIFEST).write_text(text.replace('"schema_version": 3', '"schema_version": 2'))
    with pytest.raises(BundleError, match="it is not what its own SHA-256 says"):
        Bundle(copied)


def test_a_bundle_of_the_schema_before_is_read_with_a_warning(deep, caplog):
    before = Bundle(deep).manifest
    with caplog.at_level(logging.WARNING):
        opened = examine(Bundle(age(deep)))
    assert "schema 2, whose manifest has no hash of its own" in caplog.text
    assert opened.manifest.calibration == before.calibration
    assert opened.manifest.thresholds == before.thresholds
    assert opened.class_names == ["blue", "green", "red"]


def test_an_old_bundle_without_calibration_is_read_too(copied):
    edit(age(copied), lambda fields: fields.update(calibration={}, parity={}, thresholds={}))
    opened = examine(Bundle(copied))
    assert (opened.manifest.calibration, opened.manifest.parity) == (None, None)
    assert opened.coverage is None


CHANGES = {
    "metrics.test": lambda f: f.update(metrics={"test": None}),
    "metrics.test.accuracy": lambda f: f.update(metrics={"test": {"accuracy": "high"}}),
    "backbone.name": lambda f: f.update(backbone={"name": ["a"]}),
    "data.samples": lambda f: f.update(data={"samples": None}),
    "data.samples.0.name": lambda f: f.update(
        data={"samples": [{"name": "../../etc/passwd", "label": "x"}]}
    ),
    "thresholds.prediction_set": lambda f: f.update(thresholds={"prediction_set": [1]}),
    "calibration.temperature": lambda f: f.update(
        calibration={"method": "temperature", "temperature": 0, "photos": 1}
    ),
    "parity.logits": lambda f: f.update(
        parity={"photos": 1, "logits": None, "maps": 0, "onnx_ms": 1}
    ),
    "version": lambda f: f.update(version="1/../2"),
    "created": lambda f: f.update(created="x" * 2000),
    "class_names.1": lambda f: f["class_names"].__setitem__(1, "\ud800"),
    "files": lambda f: f["files"].update({"a/b/c/d/e/f": {"size": 1, "sha256": "0" * 64}}),
    "files.predict.onnx.sha256": lambda f: f["files"]["predict.onnx"].update(sha256="0"),
    "more than 8,000,000,000 bytes": lambda f: f["files"]["predict.onnx"].update(size=9 * 10**9),
    "files.predict.onnx.size": lambda f: f["files"]["predict.onnx"].update(size=-1),
    "image": lambda f: f["image"].update(fraction=7),
}


@pytest.mark.parametrize("place", CHANGES)
def test_a_field_that_something_reads_later_is_refused_by_its_place(place, copied):
    with pytest.raises(BundleError, match=place):
        Bundle(edit(copied, CHANGES[place]))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_has_not_is_refused(number, copied):
    text = (copied / MANIFEST).read_text()
    (copied / MANIFEST).write_text(text.replace('"fraction": 1.0', f'"fraction": {number}'))
    with pytest.raises(BundleError, match=f"{number} is not a finite number"):
        Bundle(copied)


def as_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def as_pipe(path):
    path.unlink()
    os.mkfifo(path)


def as_socket(path):
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(path))


def as_device(path):
    path.unlink()
    os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5))  # /dev/zero, which never ends


@pytest.mark.parametrize("become", [as_link, as_pipe, as_socket, as_device])
@pytest.mark.parametrize("name", [MANIFEST, "predict.onnx"])
def test_what_is_no_regular_file_is_refused_at_once(name, become, copied):
    try:
        become(copied / name)
    except PermissionError as error:
        pytest.skip(f"only root makes devices: {error}")
    with pytest.raises(BundleError, match=rf"{name} (that can|cannot) be read.*|read \("):
        Bundle(copied).verify()


def test_a_folder_inside_that_is_a_link_is_not_followed(deep, tmp_path):
    (deep / "insight").rename(tmp_path / "insight")
    (deep / "insight").symlink_to(tmp_path / "insight")
    with pytest.raises(BundleError, match=r"insight/.* cannot be read: a link"):
        Bundle(deep).verify()


def test_a_bundle_reached_by_a_link_is_opened(copied, tmp_path):
    (tmp_path / "current").symlink_to(copied)  # as who deploys by links has it
    Bundle(tmp_path / "current").verify()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f["layers"][0].update(height=9), "has maps of .*; its manifest says"),
        (lambda f: f["layers"][-1].update(channels=9), "'?block|has maps of|insight knows"),
        (lambda f: f["data"].update(samples=[{"name": "9.jpg", "label": "x"}]), r"'9\.jpg'"),
        (lambda f: f["files"].pop("layers.onnx"), "layers.onnx is not in its manifest"),
        (lambda f: f["files"].pop("head.onnx"), "head.onnx is not in its manifest"),
        (lambda f: f["files"].pop("insight/layer00.npz"), "layer00.npz is not in its manifest"),
    ],
)
def test_what_would_fail_a_request_later_is_found_when_it_is_examined(change, reason, deep):
    with pytest.raises(BundleError, match=reason):
        examine(Bundle(edit(deep, change)))


def test_a_report_too_large_to_be_sent_is_refused(deep, monkeypatch):
    monkeypatch.setattr("models.examine.SENT_BYTES", 1_000)
    replace(deep, "report.html", b"a" * 1_001)
    with pytest.raises(BundleError, match=r"report\.html has 1,001 bytes"):
        examine(Bundle(deep))


def test_a_pinned_bundle_stays_as_it_was_when_its_folder_is_damaged(deep):
    bundle = pinned(Bundle(deep))
    shutil.rmtree(deep)
    found = examine(bundle)
    assert found.class_names == ["blue", "green", "red"]
    assert bundle.read("report.html").startswith(b"<!doctype html>")
    with pytest.raises(BundleError, match=r"model\.keras cannot be read: it is not kept"):
        bundle.read("model.keras")


def test_a_system_without_files_in_memory_pins_on_its_disk(copied, monkeypatch):
    def forbidden(*_):
        raise PermissionError

    monkeypatch.setattr(os, "memfd_create", forbidden, raising=False)
    bundle = pinned(Bundle(copied))
    shutil.rmtree(copied)
    assert examine(bundle).class_names == ["red", "green", "blue"]


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="files in memory are Linux'")
def test_nobody_can_write_into_a_pinned_copy(copied):
    number = new_file()
    pin(Bundle(copied), number)
    with pytest.raises(PermissionError):
        os.pwrite(number, b"altered", 100)
    os.close(number)


def test_a_copy_that_somebody_could_write_to_is_verified_again(copied, tmp_path):
    """As on a disk, where the system has no files that can be sealed."""
    number = os.open(tmp_path / "copy", os.O_RDWR | os.O_CREAT)
    pin(Bundle(copied), number)
    PinnedBundle(copied, os.dup(number)).verify()
    end = os.fstat(number).st_size
    os.pwrite(number, bytes([os.pread(number, 1, end - 1)[0] ^ 1]), end - 1)
    with pytest.raises(BundleError, match="was altered"):
        PinnedBundle(copied, number).verify()


def test_a_damaged_file_is_not_pinned(deep):
    content = bytearray((deep / "model.keras").read_bytes())
    content[100] ^= 1
    (deep / "model.keras").write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.keras was altered"):
        pinned(Bundle(deep))

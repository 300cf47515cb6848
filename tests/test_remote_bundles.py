"""Bundles at addresses: a version is seen when it is whole, and used when every hash fits."""

import json

import pytest
from click.testing import CliRunner

from models.bundle import Bundle
from models.errors import BundleError, StorageError
from service.__main__ import main as serve
from tests.making import colour_bundle, write_classes
from tests.stores import at, put, upload
from training.__main__ import evaluate, predict
from training.places import bundles
from training.places.address import as_place
from training.places.bundles import fetch_bundle, published


@published()
def make(out, photos=None):
    """Write a bundle whose answers can be worked out; returns where it was written."""
    colour_bundle(out)
    return out


def names(address):
    """Whatever lies below an address."""
    found, waiting = [], [as_place(address)]
    while waiting:
        for child in waiting.pop().children():
            (waiting if child.is_dir() else found).append(child)
    top = as_place(address)
    return sorted(place.relative_to(top).as_posix() for place in found)


def test_each_bundle_is_a_version_below_its_address(memory, tmp_path):
    out = as_place(f"{memory}/models/colours")
    make(out)
    make(out)
    found = names(str(out))
    assert {name.split("/")[0] for name in found} == {"1", "2"}
    assert "2/manifest.json" in found
    fetch_bundle(at(str(out)), tmp_path / "colours")
    assert Bundle(tmp_path / "colours").manifest.version == "2"
    fetch_bundle(at(f"{out}/1"), tmp_path / "first")
    assert Bundle(tmp_path / "first").manifest.version == "1"


def test_the_manifest_is_written_last_and_half_a_version_is_none(memory, tmp_path, monkeypatch):
    out = as_place(f"{memory}/colours")
    make(out)
    written = []

    def put_some(local, place):
        written.append(place.name)
        if place.name == "manifest.json":
            raise StorageError("the connection broke")
        real_put(local, place)

    real_put = bundles._put
    monkeypatch.setattr(bundles, "_put", put_some)
    with pytest.raises(StorageError, match="broke"):
        make(as_place(str(out)))
    monkeypatch.undo()
    assert written[-1] == "manifest.json"
    assert any(name.startswith("2/") for name in names(str(out)))
    fetch_bundle(at(str(out)), tmp_path / "colours")
    assert Bundle(tmp_path / "colours").manifest.version == "1"
    make(as_place(str(out)))  # not into the half one
    assert "3/manifest.json" in names(str(out))


def test_a_bundle_that_was_copied_there_by_hand_is_read(memory, tmp_path):
    upload(colour_bundle(tmp_path / "made"), f"{memory}/colours")
    fetch_bundle(at(f"{memory}/colours"), tmp_path / "colours")
    Bundle(tmp_path / "colours").verify()


@pytest.mark.parametrize("content", [b"short", None])
def test_an_altered_bundle_is_refused(memory, tmp_path, content):
    made = colour_bundle(tmp_path / "made")
    upload(made, f"{memory}/colours")
    whole = (made / "predict.onnx").read_bytes()
    put(f"{memory}/colours/predict.onnx", content or whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BundleError, match="altered"):
        fetch_bundle(at(f"{memory}/colours"), tmp_path / "colours")


def test_what_is_no_bundle_is_neither_read_nor_written_over(memory, tmp_path):
    put(f"{memory}/holiday/1.jpg", b"x")
    with pytest.raises(StorageError, match="exists and is not a bundle"):
        make(as_place(f"{memory}/holiday"))
    with pytest.raises(BundleError, match=r"no manifest\.json there"):
        fetch_bundle(at(f"{memory}/holiday"), tmp_path / "x")


def test_a_bundle_is_not_written_among_the_photos(memory):
    photos = as_place(f"{memory}/set")
    with pytest.raises(StorageError, match="lies among the photos of memory://photos/set"):
        make(as_place(f"{memory}/set/model"), photos)


def test_predictions_come_from_an_address_and_go_to_one(memory, tmp_path):
    make(as_place(f"{memory}/colours"))
    write_classes(tmp_path / "photos", 2)
    upload(tmp_path / "photos", f"{memory}/set")
    words = [f"{memory}/colours", f"{memory}/set", "--out", f"{memory}/answers.jsonl", "--quiet"]
    done = CliRunner().invoke(predict, words)
    assert done.exit_code == 0, done.output
    assert "saved memory://photos/answers.jsonl: 6 predictions" in done.output
    lines = as_place(f"{memory}/answers.jsonl").read_bytes().decode().splitlines()
    first = json.loads(lines[0])
    assert first["photo"] == "memory://photos/set/blue/000.png"
    assert first["predictions"][0]["label"] == "blue"
    done = CliRunner().invoke(evaluate, [f"{memory}/colours", f"{memory}/set", "--quiet"])
    assert json.loads(done.stdout)["accuracy"] == 1.0


def test_the_service_says_to_download_a_bundle_first():
    for words in (["s3://bucket/colours"], ["--models", "s3://bucket/models"]):
        done = CliRunner().invoke(serve, words)
        assert done.exit_code == 2
        assert "download it first" in done.output

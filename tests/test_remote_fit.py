"""The whole way through a store: `fit` from s3:// to s3://, on a real server that has bad days."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from models.bundle import Bundle
from tests.making import write_classes
from tests.packing import packed
from tests.stores import KEY_ID, SECRET, Faulty, at, put, serving_s3, upload
from training.__main__ import evaluate, predict
from training.fit import fit
from training.places.address import as_place
from training.places.bundles import fetch_bundle
from training.settings.config import FitConfig
from training.settings.console import Stages

pytestmark = pytest.mark.slow
PHOTOS = "s3://photos/sets/colours"
SAME = ("predict.onnx", "layers.onnx", "head.onnx", "familiarity.npz", "split.json")


class World(NamedTuple):
    """A folder, the same in a store, and the bundle of the folder."""

    server: Faulty
    folder: Path
    cache: Path  # with the compiled backbone alone
    made: Path


def run(source: Path, out: Path, cache: Path) -> Any:
    return fit(source, out, FitConfig(backbone="tiny", cache=cache, seed=3), Stages(quiet=True))


def fresh(world: World, place: Path) -> Path:
    """A cache that knows the backbone, and no photo."""
    return Path(shutil.copytree(world.cache, place / "cache"))


def vectors(cache: Path) -> dict[bytes, bytes]:
    """The features that a cache has, by digest."""
    (file,) = cache.glob("*.sqlite")
    with closing(sqlite3.connect(file)) as opened:
        return dict(opened.execute("SELECT digest, vector FROM features"))


def hashes(bundle: Path, names=SAME) -> dict[str, str]:
    files = Bundle(bundle).manifest.files
    return {name: files[name].sha256 for name in names}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    place = tmp_path_factory.mktemp("remote")
    folder = write_classes(place / "colours", 12)
    made, cache = place / "here" / "model", place / "cache"
    run(folder, made, cache)
    compiled = place / "compiled"
    compiled.mkdir()
    for kept in cache.glob("compiled-*"):
        shutil.copytree(kept, compiled / kept.name)
    with pytest.MonkeyPatch.context() as patch, serving_s3(patch) as server:
        upload(folder, PHOTOS)
        yield World(server, folder, compiled, made)


@pytest.fixture
def calm(world):
    """The server as it is on good days."""
    world.server.fail_every, world.server.gone = 0, set()
    world.server.asked.clear()
    yield world
    world.server.fail_every, world.server.gone = 0, set()


def test_photos_of_a_store_give_the_bundle_of_the_same_folder(calm, tmp_path):
    cache = fresh(calm, tmp_path)
    run(as_place(PHOTOS), tmp_path / "model", cache)
    assert hashes(tmp_path / "model") == hashes(calm.made)
    here, there = vectors(calm.made.parent.parent / "cache"), vectors(cache)
    assert here == there
    assert len(there) == 36
    first = calm.server.count("GET", ".png")
    calm.server.asked.clear()
    again = run(as_place(PHOTOS), tmp_path / "model", cache)
    assert again.version == "2"
    assert calm.server.count("HEAD", ".png") == 0
    shown = calm.server.count("GET", ".png")  # pictures of the page and of the report alone
    assert shown < first
    assert calm.server.count("GET", "list-type=2") <= 3


def test_a_photo_that_goes_and_a_server_that_fails_change_nothing_else(calm, tmp_path):
    folder = Path(shutil.copytree(calm.folder, tmp_path / "colours"))
    (folder / "green" / "004.png").unlink()
    run(folder, tmp_path / "here" / "model", fresh(calm, tmp_path / "one"))
    calm.server.gone, calm.server.fail_every = {"colours/green/004.png"}, 10
    before = calm.server.requests
    manifest = run(as_place(PHOTOS), tmp_path / "there" / "model", fresh(calm, tmp_path / "two"))
    assert calm.server.requests - before > 40
    assert hashes(tmp_path / "there" / "model") == hashes(tmp_path / "here" / "model")
    assert manifest.data["left_out"] == [
        {
            "kind": "missing",
            "title": "named by the list, or found before, but not there",
            "count": 1,
        }
    ]
    report = (tmp_path / "there" / "model" / "report.html").read_text(encoding="utf-8")
    assert "green/004.png" in report


def test_a_bundle_goes_to_a_store_and_answers_from_there(calm, tmp_path, capfd):
    out = "s3://photos/models/colours"
    run(as_place(PHOTOS), as_place(out), fresh(calm, tmp_path))
    run(as_place(PHOTOS), as_place(out), tmp_path / "cache")
    fetch_bundle(at(out), tmp_path / "copy")
    fetched = Bundle(tmp_path / "copy")
    assert (fetched.manifest.name, fetched.manifest.version) == ("colours", "2")
    assert hashes(tmp_path / "copy", SAME[:4]) == hashes(calm.made, SAME[:4])
    answers = "s3://photos/answers.jsonl"
    done = CliRunner().invoke(predict, [out, PHOTOS, "--out", answers, "--quiet"])
    assert done.exit_code == 0, done.output
    lines = as_place(answers).read_bytes().decode().splitlines()
    assert len(lines) == 36
    assert json.loads(lines[0])["photo"] == f"{PHOTOS}/blue/000.png"
    measured = CliRunner().invoke(evaluate, [out, PHOTOS, "--quiet"])
    assert json.loads(measured.stdout)["photos"] == 36
    shown = done.output + measured.output + "".join(capfd.readouterr())
    for file in [*(tmp_path / "copy").rglob("*"), *(tmp_path / "cache").rglob("*")]:
        content = file.read_bytes() if file.is_file() else b""
        assert SECRET.encode() not in content, file
        assert KEY_ID.encode() not in content, file
    assert SECRET not in shown
    assert KEY_ID not in shown


@pytest.mark.parametrize("form", ["tar", "structs"])
def test_shards_in_a_store_give_the_bundle_of_the_same_folder(form, calm, tmp_path):
    shard = packed(calm.folder, form, tmp_path)
    source = put(f"s3://photos/shards/{form}/{shard.name}", shard.read_bytes()).parent
    run(source, tmp_path / "model", fresh(calm, tmp_path))
    assert hashes(tmp_path / "model") == hashes(calm.made)


def test_a_bundle_that_is_not_there_ends_as_one_line(calm, tmp_path):
    done = CliRunner().invoke(predict, ["s3://photos/none", PHOTOS, "--out", str(tmp_path / "x")])
    assert done.exit_code == 2
    assert "bundle s3://photos/none: no manifest.json there" in done.output

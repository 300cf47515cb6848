"""Each command that takes `--engine ray` gives on a real cluster what threads give."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from models.bundle import Bundle
from tests.making import write_defects, write_sides
from tests.ray_cluster import run_command, running
from tests.serving import ROOT

pytest.importorskip("ray", reason="Ray is an extra: pip install -r requirements-scale.txt")
pytestmark = [pytest.mark.nodes, pytest.mark.slow, pytest.mark.long]

TINY = ["--backbone", "tiny"]
COUNTS = {"train": 10, "validation": 10, "test": 5}  # of each of three colours


@pytest.fixture(scope="module")
def cluster():
    short = tempfile.TemporaryDirectory(prefix="ray")  # Ray's sockets have short paths
    with short as place, running(Path(place)) as started:
        yield started


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """By a relative path, which leads elsewhere from where the nodes were started."""
    place = write_sides(tmp_path_factory.mktemp("commands") / "photos", COUNTS)
    write_defects(place / "train" / "red")
    return Path(os.path.relpath(place, ROOT))


def with_both(cluster, tmp_path, act):
    """What `act` makes in a folder of its own with threads, and with the cluster."""
    made = []
    for name, engine in {
        "threads": [],
        "cluster": ["--engine", "ray", "--address", cluster.address],
    }.items():
        (tmp_path / name).mkdir()
        made.append(act(tmp_path / name, engine))
        left = list((tmp_path / name).glob("cache/shards/*/*"))
        assert (tmp_path / name / "cache/shards").exists() == bool(engine)  # who computed
        assert not left
    return made


def hashes(bundle, *begins):
    """Hashes of a bundle's files whose names begin so."""
    files = Bundle(bundle).manifest.files
    found = {name: entry.sha256 for name, entry in files.items() if name.startswith(begins)}
    assert len(found) > 3
    return found


GRAPHS = ("predict", "layers", "head", "insight/", "familiarity")


def test_fit_evaluate_and_predict(cluster, photos, tmp_path):
    def act(place, engine):
        tune = ["--fine-tune", "yes", "--cut", "block1_relu", "--epochs", 2, "--find-rate"]
        bundle, cache = place / "colours", place / "cache"
        run_command("fit", photos, "--out", bundle, *TINY, *tune, *engine, place=cache)
        numbers, _ = run_command("evaluate", bundle, photos, *engine, place=cache)
        lines = place / "out.jsonl"
        run_command("predict", bundle, photos, "--out", lines, *engine, place=cache)
        metrics = Bundle(bundle).manifest.metrics
        return hashes(bundle, *GRAPHS), metrics, json.loads(numbers), lines.read_text()

    threads, ray = with_both(cluster, tmp_path, act)
    assert ray == threads


def test_check(cluster, photos, tmp_path):
    def act(place, engine):
        given = [*TINY, *engine, "--json", place / "summary.json"]
        run_command("check", photos, "--out", place / "page.html", *given, place=place / "cache")
        summary = json.loads((place / "summary.json").read_text())
        found = {key: summary[key] for key in ("photos", "classes", "findings", "notes")}
        return found, (place / "page.csv").read_text()

    threads, ray = with_both(cluster, tmp_path, act)
    assert ray == threads
    assert ray[0]["photos"] == 75 + 4  # and those that cannot be read
    assert ray[0]["findings"]


def test_search(cluster, photos, tmp_path):
    def act(place, engine):
        bundle, given = place / "colours", [*TINY, *engine, "--trials", 3, "--minutes", 10]
        run_command("search", photos, "--out", bundle, *given, place=place / "cache")
        manifest = Bundle(bundle).manifest
        return hashes(bundle, *GRAPHS), manifest.metrics, manifest.training["head"]

    threads, ray = with_both(cluster, tmp_path, act)
    assert ray == threads


def test_insight(cluster, photos, tmp_path):
    plain = tmp_path / "plain"
    given = [*TINY, "--no-insight"]
    run_command("fit", photos, "--out", plain, *given, place=tmp_path / "cache")

    def act(place, engine):
        bundle = place / "colours"
        shutil.copytree(plain, bundle)
        run_command("insight", bundle, photos, *engine, place=place / "cache")
        return hashes(bundle, *GRAPHS)

    threads, ray = with_both(cluster, tmp_path, act)
    assert ray == threads
    assert any(name.startswith("insight/") for name in ray)

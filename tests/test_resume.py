"""A run that is killed goes on where it was, and ends as one that was not."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.making import write_classes
from tests.serving import ROOT
from training.fit import fit
from training.settings.config import FitConfig
from training.settings.console import Stages

SETTINGS = {"backbone": "tiny", "seed": 3, "threads": 1, "insight": False}
TUNE = {"fine_tune": "yes", "cut": "block1_relu", "epochs": 6, "batch": 2, "views": 3,
        "learning_rate": 0.001}  # fmt: skip
KILLED = """
import json, sys
from pathlib import Path
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.fit import fit

photos, out, cache, settings = sys.argv[1:]
config = FitConfig(cache=Path(cache), **json.loads(settings))
fit(Path(photos), Path(out), config, Stages(quiet=True))
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("resume") / "photos", 60)


@pytest.fixture(scope="module")
def unbroken(photos, tmp_path_factory):
    """A run with some settings that nobody killed; made once."""
    made = {}

    def run(more):
        if str(more) not in made:
            folder = tmp_path_factory.mktemp("unbroken")
            made[str(more)] = finish(photos, folder / "whole", folder / "cache", more)
        return made[str(more)]

    return run


def finish(photos, out, cache, more):
    fit(photos, out, FitConfig(cache=cache, **SETTINGS | more), Stages(quiet=True))
    return out


def kill_when(ready, photos, out, cache, more):
    """Start a run and kill it as soon as `ready(cache)`; it must not have ended by then."""
    words = [photos, out, cache, json.dumps(SETTINGS | more)]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *map(str, words)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    try:
        while not ready(cache):
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not out.exists()


def rows(path: Path, table: str) -> int:
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            found = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        database.close()
        return int(found)
    except sqlite3.Error:
        return 0


def some_features(cache):
    return any(0 < rows(path, "features") < 180 for path in cache.glob("tiny-*.sqlite"))


def some_views(cache):
    return any(rows(path, "rows") > 0 for path in cache.glob("views-*.rows"))


def some_epochs(cache):
    for path in cache.glob("run-*.npz"):
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            return 1 <= len(json.loads(str(file["facts"]))["epochs"]) <= 4
    return False


def weights(bundle):
    import keras

    return keras.saving.load_model(bundle / "model.keras", compile=False).get_weights()


@pytest.mark.parametrize(("ready", "more"), [
    (some_features, {}), (some_views, TUNE), (some_epochs, TUNE),
], ids=["while features are cached", "while views are cached", "in epoch 3 of 6"])  # fmt: skip
def test_a_killed_fit_ends_as_an_unbroken_one(ready, more, photos, unbroken, tmp_path):
    whole = unbroken(more)
    kill_when(ready, photos, tmp_path / "broken", tmp_path / "two", more)
    resumed = finish(photos, tmp_path / "broken", tmp_path / "two", more)
    for one, other in zip(weights(whole), weights(resumed), strict=True):
        assert np.array_equal(one, other)
    first, second = (json.loads((b / "manifest.json").read_text()) for b in (whole, resumed))
    for field in ("metrics", "calibration", "thresholds", "head"):
        assert first[field] == second[field], field
    fine = [m["training"].get("fine_tuning") for m in (first, second)]
    assert fine[0] == fine[1]
    assert not list((tmp_path / "two").glob("run-*"))  # the state of a finished run is gone

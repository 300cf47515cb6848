"""Several workers fine-tune one network: real processes that TF_CONFIG names to one another."""

import json
import os
import pickle
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest

from tests.making import write_classes
from tests.serving import ROOT
from training.features.backbone import build
from training.settings.config import FitConfig

WAIT_S = 240  # for processes that import TensorFlow on a busy machine
LOST_S = 60  # until a worker notices that another is gone, as docs/fine-tuning.md promises
# Without dropout, which each worker draws for its own rows.
TUNE = {
    "--fine-tune": "yes", "--backbone": "tiny", "--cut": "block1_relu", "--epochs": 6,
    "--batch": 8, "--views": 2, "--seed": 3, "--threads": 1, "--dropout": 0,
    "--learning-rate": 0.001,
}  # fmt: skip
FLAGS = ("--no-insight", "--no-int8", "--no-check", "--quiet")


def addresses(count):
    """Addresses that nobody listens at."""
    free = [socket.socket() for _ in range(count)]
    for one in free:
        one.bind(("127.0.0.1", 0))
    found = [f"127.0.0.1:{one.getsockname()[1]}" for one in free]
    for one in free:
        one.close()
    return found


def start(photos, out, caches, given=({}, {}), settings=TUNE):
    """Start a `fit` for each of `caches`, as the workers of one cluster."""
    at, running = addresses(len(caches)), []
    for index, (cache, other) in enumerate(zip(caches, given, strict=True)):
        task = {"cluster": {"worker": at}, "task": {"type": "worker", "index": index}}
        chosen = [str(w) for pair in (settings | other).items() for w in pair]
        environment = {"TF_CONFIG": json.dumps(task), "LAYERSCOPE_CACHE": str(cache)}
        words = ["fit", str(photos), "--out", str(out), *chosen, *FLAGS]
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "training", *words],
                cwd=ROOT,
                env={**os.environ, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return running


def end(running, within=WAIT_S):
    """Wait for all: exit code, output and errors of each."""
    found = []
    try:
        for process in running:
            output, errors = process.communicate(timeout=within)
            found.append((process.returncode, output, errors))
    finally:
        for process in running:
            process.kill()
            process.wait()
    return found


def alone(photos, out, cache, settings=TUNE):
    """The same `fit` in one process, without a cluster."""
    words = ["fit", str(photos), "--out", str(out), *[str(w) for p in settings.items() for w in p]]
    environment = {key: value for key, value in os.environ.items() if key != "TF_CONFIG"}
    subprocess.run(
        [sys.executable, "-m", "training", *words, *FLAGS],
        cwd=ROOT, check=True, env={**environment, "LAYERSCOPE_CACHE": str(cache)},
    )  # fmt: skip
    return out


def weights(bundle):
    import keras

    return keras.saving.load_model(bundle / "model.keras", compile=False).get_weights()


def assert_same_network(one, other):
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5)


def maps_in(cache):
    """Photos whose maps a cache has, with the number of the view."""
    (index,) = cache.glob("views-*.rows")
    with closing(sqlite3.connect(index)) as database:
        return set(database.execute("SELECT digest, view FROM rows").fetchall())


def epochs_in(cache):
    for path in cache.glob("run-*.npz"):
        with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
            return len(json.loads(str(file["facts"]))["epochs"])
    return 0


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("workers") / "photos", 24)


@pytest.fixture(scope="module")
def single(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    return alone(photos, folder / "out", folder / "cache")


@pytest.mark.nodes
@pytest.mark.slow
def test_two_workers_make_the_network_that_one_makes_each_from_its_share(photos, single, tmp_path):
    caches = [tmp_path / "one", tmp_path / "two"]
    chief, other = end(start(photos, tmp_path / "out", caches))
    assert chief[0] == other[0] == 0, (chief, other)
    assert other[1] == f"worker 2 of 2 has trained its share: worker 1 writes {tmp_path / 'out'}\n"
    assert "3 classes, test accuracy" in chief[1]
    assert_same_network(single, tmp_path / "out")
    found, expected = ((path / "manifest.json").read_text() for path in (tmp_path / "out", single))
    tuned = [json.loads(text)["training"]["fine_tuning"]["epochs"] for text in (found, expected)]
    for one, two in zip(*tuned, strict=True):
        assert one == pytest.approx(two, rel=1e-3, abs=1e-4)
    first, second = (maps_in(cache) for cache in caches)
    assert not first & second
    assert abs(len(first) - len(second)) <= 3  # a photo of each side more: two views, and one
    assert not list(caches[0].glob("run-*"))  # the state of a finished run is gone
    assert not list(caches[1].glob("run-*"))  # and the chief alone had one


@pytest.mark.nodes
@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1], ids=["the chief", "another"])
def test_a_worker_that_is_killed_ends_the_others_and_all_go_on_when_started_again(
    killed, photos, single, tmp_path
):
    caches = [tmp_path / "one", tmp_path / "two"]
    slowly = TUNE | {"--batch": 2}
    running = start(photos, tmp_path / "out", caches, settings=slowly)
    limit = time.monotonic() + WAIT_S
    while epochs_in(caches[0]) < 1:
        assert time.monotonic() < limit
        assert [process.poll() for process in running] == [None, None], end(running)
        time.sleep(0.002)
    running[killed].send_signal(signal.SIGKILL)
    died = time.monotonic()
    left = end(running)[1 - killed]
    assert time.monotonic() - died < LOST_S
    assert left[0] == 2, left
    assert left[2].startswith("error: a worker is gone or cannot be reached: start all workers")
    assert not (tmp_path / "out").exists()
    done = epochs_in(caches[0])
    assert 1 <= done < 6
    again = end(start(photos, tmp_path / "out", caches, settings=slowly))
    assert [code for code, *_ in again] == [0, 0], again
    tuned = json.loads((tmp_path / "out/manifest.json").read_text())["training"]["fine_tuning"]
    assert len(tuned["epochs"]) == 6


@pytest.mark.nodes
@pytest.mark.long
@pytest.mark.slow
def test_workers_with_different_settings_all_end_with_what_differs(photos, tmp_path):
    caches = [tmp_path / "one", tmp_path / "two"]
    found = end(start(photos, tmp_path / "out", caches, given=({}, {"--label-smoothing": 0.3})))
    assert [code for code, *_ in found] == [2, 2]
    for _, _, said in found:
        assert said.startswith("error: worker 2 of 2 has other photos or settings than worker 1")


SENT = """
import pickle, sys
from pathlib import Path
from training.fine_tuning.worker import tune_as_worker
from training.settings.cluster import read_cluster
from training.settings.console import Stages

frozen, weights, config, out = pickle.loads(sys.stdin.buffer.read())
tuned = tune_as_worker(frozen, weights, config, read_cluster(), Stages(quiet=True))
Path(out).write_bytes(pickle.dumps(tuned))
sys.stdout.write("done")
sys.stdout.flush()
import os

os._exit(0)
"""


def frozen_run(photos, config, folder):
    """What a run with a frozen backbone makes, before the blocks are trained."""
    from training.features.backbone import compile_backbone
    from training.fine_tuning.start import Frozen
    from training.heads.train import train_head
    from training.optimisation.tracking import Trackers
    from training.prepare import list_photos, open_cache, prepare
    from training.settings.console import Stages

    stages = Stages(quiet=True)
    listing = list_photos(photos, folder / "out", config, stages)
    compiled = compile_backbone(config, stages)
    with closing(open_cache(compiled, config)) as cache:
        data = prepare(listing, folder / "out", compiled, cache, config, stages)
    head = train_head(data.sides(config.seed), config, stages, Trackers())
    return Frozen(
        layers=compiled.layers, identity=compiled.identity, features=data.features,
        split=data.split, labels=data.labels, head=head.layers, began=time.monotonic(),
    )  # fmt: skip


@pytest.mark.nodes
@pytest.mark.long
@pytest.mark.slow
def test_workers_that_are_sent_the_features_return_the_same_network(photos, single, tmp_path):
    config = FitConfig(
        backbone="tiny", fine_tune="yes", cut="block1_relu", epochs=6, batch=8, views=2, seed=3,
        threads=1, dropout=0.0, learning_rate=0.001, insight=False, int8=False, check=False,
        cache=tmp_path / "cache",
    )  # fmt: skip
    frozen, at, running = frozen_run(photos, config, tmp_path), addresses(2), []
    pretrained = build(config).get_weights()
    for index in range(2):
        task = {"cluster": {"worker": at}, "task": {"type": "worker", "index": index}}
        process = subprocess.Popen(
            [sys.executable, "-c", SENT], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={**os.environ, "TF_CONFIG": json.dumps(task)},
        )  # fmt: skip
        process.stdin.write(pickle.dumps((frozen, pretrained, config, tmp_path / f"tuned-{index}")))
        process.stdin.close()
        process.stdin = None
        running.append(process)
    assert [output for _, output, _ in end(running)] == [b"done", b"done"]
    one, two = (pickle.loads((tmp_path / f"tuned-{index}").read_bytes()) for index in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one.weights, two.weights, strict=True))
    for found, expected in zip(one.weights, weights(single), strict=False):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-5)

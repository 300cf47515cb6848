"""Fine-tuning by a worker on each node of a real Ray cluster makes the network that one makes."""

import json
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from tests.making import write_classes
from tests.ray_cluster import run_command, running, start_command
from tests.test_tracking import points
from tests.test_workers import (
    FLAGS,
    TUNE,
    WAIT_S,
    alone,
    assert_same_network,
    epochs_in,
    maps_in,
)

pytest.importorskip("ray", reason="Ray is an extra: pip install -r requirements-scale.txt")
pytestmark = [pytest.mark.nodes, pytest.mark.slow]

SLOWLY = TUNE | {"--batch": 2}  # more than a hundred steps: time to interfere
TITLE = b"ray::NodeWorker"
TOGETHER = "2 workers train the blocks, one on each node"
AGAIN = "a worker was lost, all start again"


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory(prefix="ray") as place:  # sockets have short paths
        yield Path(place)


@pytest.fixture(scope="module")
def cluster(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERSCOPE_CACHE", str(folder / "cache"))
        with running(folder) as started:
            yield started


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("tuning") / "photos", 24)


@pytest.fixture(scope="module")
def slowly_alone(photos, tmp_path_factory):
    place = tmp_path_factory.mktemp("alone")
    return alone(photos, place / "out", place / "cache", SLOWLY)


def words(photos, out, cluster, settings=TUNE):
    chosen = [word for pair in settings.items() for word in pair]
    engine = ["--engine", "ray", "--address", cluster.address]
    return ["fit", photos, "--out", out, *chosen, *FLAGS[:-1], *engine]


def epochs_of(bundle):
    return json.loads((bundle / "manifest.json").read_text())["training"]["fine_tuning"]["epochs"]


def start_training(photos, place, cluster):
    """Start a slow `fit`, and wait until its chief has kept an epoch."""
    driver = start_command(*words(photos, place / "out", cluster, SLOWLY), "--tensorboard",
                           place / "board", place=place / "cache")  # fmt: skip
    limit = time.monotonic() + WAIT_S
    while epochs_in(place / "cache") < 1:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < limit
        time.sleep(0.01)
    assert epochs_in(place / "cache") < 6
    return driver


def assert_ends_as_one(driver, place, expected):
    """The run ends with the network of one worker; each epoch was recorded once."""
    _, said = driver.communicate()
    assert driver.returncode == 0, said
    assert_same_network(expected, place / "out")
    recorded = [step for name, step, _ in points(place / "board") if name == "blocks/loss"]
    assert recorded == [1, 2, 3, 4, 5, 6]
    assert not list((place / "cache").glob("run-*"))
    return said


def test_a_worker_on_each_node_makes_the_network_that_one_makes(cluster, folder, photos, tmp_path):
    single = alone(photos, tmp_path / "alone", tmp_path / "cache-alone")
    out, cache = tmp_path / "out", tmp_path / "cache"
    answer, said = run_command(*words(photos, out, cluster), place=cache)
    assert TOGETHER in said
    assert AGAIN not in said
    assert "3 classes, test accuracy" in answer
    assert_same_network(single, out)
    for one, two in zip(epochs_of(out), epochs_of(single), strict=True):
        assert one == pytest.approx(two, rel=1e-3, abs=1e-4)
    (other,) = (folder / "cache/nodes").iterdir()
    assert not maps_in(cache) & maps_in(other)  # each node computed its own share
    assert abs(len(maps_in(cache)) - len(maps_in(other))) <= 3
    assert not list(cache.glob("run-*"))


def test_what_measures_on_one_machine_is_done_by_it_alone(cluster, photos, tmp_path):
    settings = {key: value for key, value in TUNE.items() if key != "--learning-rate"}
    given = [*words(photos, tmp_path / "out", cluster, settings), "--find-rate"]
    _, said = run_command(*given, place=tmp_path / "cache")
    assert "this machine alone trains the blocks: --find-rate measures on one machine" in said
    assert TOGETHER not in said
    assert len(epochs_of(tmp_path / "out")) == 6


@pytest.mark.long
def test_where_a_worker_is_killed_all_start_again_and_end_as_one(
    cluster, photos, slowly_alone, tmp_path
):
    driver = start_training(photos, tmp_path, cluster)
    (worker,) = cluster.nodes[1].processes_called(TITLE)  # the chief: test_workers.py
    os.kill(worker, signal.SIGKILL)
    said = assert_ends_as_one(driver, tmp_path, slowly_alone)
    assert said.count(AGAIN) == 1
    assert said.count(TOGETHER) == 2


@pytest.mark.long
def test_ctrl_c_ends_all_workers_and_the_next_run_goes_on(cluster, photos, slowly_alone, tmp_path):
    driver = start_training(photos, tmp_path, cluster)
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate()
    assert driver.returncode == 130, said
    assert "stopped: what was computed so far is kept; run it again to go on" in said
    limit = time.monotonic() + WAIT_S
    while any(node.processes_called(TITLE) for node in cluster.nodes):
        assert time.monotonic() < limit
        time.sleep(0.1)
    assert 1 <= epochs_in(tmp_path / "cache") < 6
    given = words(photos, tmp_path / "out", cluster, SLOWLY)
    run_command(*given, place=tmp_path / "cache")
    assert_same_network(slowly_alone, tmp_path / "out")


@pytest.mark.long
def test_where_only_one_node_is_left_the_driver_goes_on_alone(
    cluster, photos, slowly_alone, tmp_path
):
    """Stands last: the cluster has one node afterwards."""
    driver = start_training(photos, tmp_path, cluster)
    cluster.nodes[1].kill()
    said = assert_ends_as_one(driver, tmp_path, slowly_alone)
    assert "one node is left: this machine goes on alone" in said

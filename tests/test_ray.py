"""On a real Ray cluster the same photos give the same numbers, whoever dies in between."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from models.errors import ClusterError
from models.images import Framing
from tests.making import colour_bundle, colour_graph, picture, write_classes, write_defects
from tests.ray_cluster import running, start_command
from tests.serving import ROOT
from training.features.cache import FeatureCache
from training.features.compute import compute_features
from training.photos.listing import Photo
from training.scale.cluster import Cluster
from training.scale.portable import PortableGraph

pytest.importorskip("ray", reason="Ray is an extra: pip install -r requirements-scale.txt")
pytestmark = [pytest.mark.nodes, pytest.mark.slow]

SHARD = 4  # photos
COUNT = 48
SHARDS = "*/*.parquet"
OPEN = 900  # a number that a file is opened under
DRIVER = """
import sys
from pathlib import Path
from tests.test_ray import compute
compute(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
"""


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory(prefix="ray") as place:  # sockets have short paths
        yield Path(place)


@pytest.fixture(scope="module")
def cluster(folder):
    with running(folder) as started:
        yield started


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos large enough that a shard takes a while."""
    place = tmp_path_factory.mktemp("photos")
    content = picture((200, 40, 40), 0, side=1500, kind="JPEG")
    for number in range(COUNT):  # bytes after the end make each another photo
        (place / f"{number:02}.jpg").write_bytes(content + number.to_bytes(2))
    return place


def compute(photos, place, address, progress=lambda done: None):
    """Compute features in a cache of this place, on the cluster or (no address) in threads."""
    cache = FeatureCache(place, "colours", "by hand", Framing(64))
    listing = [Photo(path, "red") for path in sorted(photos.iterdir())]
    workers = Cluster(address, place / "shards", SHARD) if address else 2
    try:
        return compute_features(listing, PortableGraph(colour_graph()), cache, workers, progress)
    finally:
        cache.close()


@pytest.fixture(scope="module")
def expected(photos, tmp_path_factory):
    return compute(photos, tmp_path_factory.mktemp("alone"), "")


def assert_equal(found, expected):
    assert found.vectors.tobytes() == expected.vectors.tobytes()
    assert found.digests == expected.digests
    assert found.photos == expected.photos


def test_features_are_equal_bit_for_bit_and_known_without_the_cluster(
    cluster, photos, expected, tmp_path
):
    done = []
    found = compute(photos, tmp_path, cluster.address, done.append)
    assert_equal(found, expected)
    assert found.computed == sum(done) == COUNT
    again = compute(photos, tmp_path, "")  # a later run of one machine
    assert_equal(again, expected)
    assert again.computed == 0
    assert not list((tmp_path / "shards").rglob("*"))  # nothing is left where all is merged


def test_a_bad_photo_is_skipped_and_named_as_on_one_machine(cluster, tmp_path):
    place = tmp_path / "photos"
    write_classes(place, 3)
    write_defects(place / "red")
    (place / "red" / "gone.png").symlink_to(tmp_path / "nowhere")
    alone = compute(place / "red", tmp_path / "one", "")
    found = compute(place / "red", tmp_path / "two", cluster.address)
    assert found.skipped == alone.skipped
    assert len(found.skipped) == 5
    assert_equal(found, alone)


def during(cluster, photos, place, act):
    """Compute on the cluster, and do something once the first photos are there."""
    threads = []

    def progress(done):
        if done and not threads:
            threads.append(threading.Thread(target=act))
            threads[0].start()

    found = compute(photos, place, cluster.address, progress)
    threads[0].join()
    return found


@pytest.mark.long
def test_a_killed_worker_process_changes_nothing(cluster, photos, expected, tmp_path):
    killed = []

    def kill():
        for worker in [worker for node in cluster.nodes for worker in node.workers()][:1]:
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)

    assert_equal(during(cluster, photos, tmp_path, kill), expected)
    assert len(killed) == 1


@pytest.mark.long
def test_a_killed_driver_goes_on_by_shard(cluster, photos, expected, tmp_path):
    words = [sys.executable, "-c", DRIVER, str(photos), str(tmp_path), cluster.address]
    driver = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)
    while len(list((tmp_path / "shards").glob(SHARDS))) < 2:
        assert driver.poll() is None, "it ended before it could be killed"
        time.sleep(0.002)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    time.sleep(1)  # its tasks end with it
    there = len(list((tmp_path / "shards").glob(SHARDS)))
    found = compute(photos, tmp_path, cluster.address)
    assert_equal(found, expected)
    assert there >= 2
    assert found.computed <= COUNT - SHARD * there


@pytest.mark.long
def test_ctrl_c_ends_the_command_and_its_tasks(cluster, photos, expected, tmp_path):
    bundle, place = colour_bundle(tmp_path / "colours"), tmp_path / "cache"
    words = ["predict", bundle, photos, "--out", tmp_path / "out.jsonl", "--engine", "ray"]
    driver = start_command(*words, "--address", cluster.address, place=place)
    while not list(place.glob("shards/*/.seen-*")):
        assert driver.poll() is None, "it ended before it could be stopped"
        time.sleep(0.002)
    time.sleep(0.03)  # it sends its shard, and waits
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate()
    assert driver.returncode == 130, said
    assert "stopped: what was computed so far is kept; run it again to go on" in said
    assert not (tmp_path / "out.jsonl").exists()
    assert not list(place.glob("shards/*/.seen-*"))
    assert_equal(compute(photos, tmp_path / "next", cluster.address), expected)


@pytest.mark.long
def test_a_node_that_does_not_see_the_cache_sends_its_results(cluster, photos, expected, tmp_path):
    there = tmp_path / "cache"
    there.mkdir()
    engine = Cluster(cluster.address, there / "shards", SHARD)
    cache = FeatureCache(there, "colours", "by hand", Framing(64))
    listing = [Photo(path, "red") for path in sorted(photos.iterdir())]
    hidden, written, ended = [], set(), threading.Event()

    def hide():
        """Remove the mark at once: to the nodes it is as if the folder were on another disk."""
        while not ended.is_set():
            for mark in (there / "shards").glob("*/.seen-*"):
                mark.unlink()
                hidden.append(mark)
            written.update((there / "shards").glob(SHARDS))
            time.sleep(0.001)

    hiding = threading.Thread(target=hide)
    hiding.start()
    found = compute_features(listing, PortableGraph(colour_graph()), cache, engine)
    ended.set()
    hiding.join()
    cache.close()
    assert len(hidden) == 1
    assert not written  # they came through Ray, and went into the cache
    assert_equal(found, expected)


def test_a_node_with_other_software_is_refused(cluster, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("training.scale.cluster.software", lambda: "code 1, numpy 1.0")
    with pytest.raises(
        ClusterError, match=r"this machine has code 1, numpy 1\.0: install the same"
    ):
        compute(photos, tmp_path, cluster.address)


@pytest.mark.long
def test_photos_that_only_this_machine_can_read_end_the_run(cluster, tmp_path, photos):
    with (photos / "00.jpg").open("rb") as content:
        os.dup2(content.fileno(), OPEN)
    here = tmp_path / "here"
    here.mkdir()
    (here / "a.jpg").symlink_to(f"/proc/self/fd/{OPEN}")  # which no other process has open
    try:
        with pytest.raises(ClusterError, match=r"node .* cannot read .*a\.jpg.*the same path"):
            compute(here, tmp_path / "cache", cluster.address)
    finally:
        os.close(OPEN)


def test_a_killed_node_changes_nothing(cluster, photos, expected, tmp_path):
    """Stands last but one: the cluster has one node afterwards, and the next test another."""
    assert_equal(during(cluster, photos, tmp_path, cluster.nodes[1].kill), expected)
    cluster.start(nodes=1)  # a new node takes its place
    assert_equal(compute(photos, tmp_path / "again", cluster.address), expected)


def test_no_cluster_is_said_at_once(photos, tmp_path):
    from tests.ray_cluster import free_port

    with pytest.raises(ClusterError, match=r"no Ray cluster at --address 127\.0\.0\.1:\d+"):
        compute(photos, tmp_path, f"127.0.0.1:{free_port()}")


def test_vectors_are_those_of_the_graph(expected):
    assert expected.vectors.shape == (COUNT, 3)
    assert np.abs(expected.vectors - [200, 40, 40]).max() < 5

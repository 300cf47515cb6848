"""Which nodes of a cluster fine-tune, and when workers that are lost are given up."""

import pickle
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from models.errors import (
    BundleError,
    ClusterError,
    Diverged,
    ImageTooLarge,
    PhotosError,
    UnknownLayer,
    WorkerLost,
)
from training.fine_tuning import on_nodes
from training.fine_tuning.budget import Plan
from training.fine_tuning.shares import find_readable
from training.optimisation.tracking import Trackers
from training.optimisation.workers import Alone
from training.settings.config import FitConfig
from training.settings.console import Stages

CONFIG = FitConfig(backbone="tiny", fine_tune="yes", engine="ray")


def node(name, alive=True, **resources):
    return {"NodeID": name, "Alive": alive, "Resources": resources}


def cluster_of(*nodes, mine):
    """What is asked of Ray before any worker starts."""
    return SimpleNamespace(
        nodes=lambda: list(nodes),
        put=lambda content: content,
        get_runtime_context=lambda: SimpleNamespace(get_node_id=lambda: mine),
    )


def test_every_living_node_with_cores_trains_and_this_machine_first_even_without_any():
    ray = cluster_of(
        node("c", CPU=4.0, GPU=2.0), node("a", CPU=2.0), node("b"), node("d", alive=False, CPU=1.0),
        node("e", memory=1.0), mine="b",
    )  # fmt: skip
    all_of_them = [("b", {"memory": 1}), ("a", {"CPU": 2}), ("c", {"CPU": 4, "GPU": 1})]
    assert on_nodes._list_nodes(ray, 9, CONFIG) == all_of_them
    assert on_nodes._list_nodes(ray, 2, CONFIG) == all_of_them[:2]  # two photos are for two
    without = FitConfig(backbone="tiny", fine_tune="yes", engine="ray", device="cpu")
    assert on_nodes._list_nodes(ray, 9, without)[2] == ("c", {"CPU": 4})


def begin(train, validation):
    unused = dict.fromkeys(("layers", "identity", "features", "labels", "head", "began"))
    split = SimpleNamespace(train=train, validation=validation)
    backbone = SimpleNamespace(get_weights=list)
    start: Any = SimpleNamespace(split=split, backbone=backbone, **unused)
    return start


@pytest.fixture
def lost(monkeypatch):
    """Two nodes whose workers are always lost, the second time after an epoch; each try."""
    tries = []
    ray = cluster_of(node("a", CPU=1.0), node("b", CPU=1.0), mine="a")

    def lose(run, nodes):
        tries.append(nodes)
        run.known += len(tries) == 2
        raise WorkerLost("its node burnt")

    monkeypatch.setattr(on_nodes, "connected", lambda address: nullcontext(ray))
    monkeypatch.setattr(on_nodes._Run, "train", lose)
    return tries


def test_workers_that_are_lost_again_and_again_are_given_up(lost):
    with pytest.raises(ClusterError, match="lost 4 times without an epoch in between: its node bu"):
        on_nodes.tune_on_nodes(begin([0, 1], [2, 3]), CONFIG, Stages(quiet=True), Trackers())
    assert len(lost) == 1 + 1 + on_nodes.RESTARTS  # the epoch in between counts for one


def test_a_photo_is_not_shared_by_two_workers(lost):
    start = begin([0, 1], [2])
    assert on_nodes.tune_on_nodes(start, CONFIG, Stages(quiet=True), Trackers()) is None
    assert not lost


def test_a_worker_that_can_read_none_of_its_photos_ends_all():
    class Blind(Alone):
        """The first of two workers; the second adds nothing."""

        rank, count = 0, 2

    start: Any = begin([0, 1, 2, 3], [4, 5])
    start.keys = lambda row, views: [(row, view) for view in range(views)]
    store: Any = SimpleNamespace(missing=lambda keys: [])
    with pytest.raises(PhotosError, match="worker 2 of 2 can read none of its photos: let every"):
        find_readable(start, Plan(2, 1), store, Blind())


@pytest.mark.parametrize(
    "error",
    [
        BundleError(Path("a"), "it is cut short"),
        Diverged(3, 0.1, 0.2),
        ImageTooLarge(5, 3, "pixels"),
        UnknownLayer("blok1", ["block1", "block2"]),
        WorkerLost("its process ended"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_another_process_arrives_as_it_was_raised(error):
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert (str(arrived), vars(arrived)) == (str(error), vars(error))

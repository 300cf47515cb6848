"""Which workers TF_CONFIG names, and which photos of a batch are whose."""

import json
from dataclasses import replace

import numpy as np
import pytest

from models.errors import SettingError
from training.optimisation.training_set import TrainingSet
from training.optimisation.workers import ALONE, facts_from_chief, from_chief, own
from training.settings.cluster import Cluster, read_cluster, refuse_unshared
from training.settings.config import FitConfig
from training.settings.hyperparameters import Hyperparameters


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_workers_of_tf_config_are_ranked_with_the_chief_first(index, monkeypatch):
    jobs = {"worker": ["a:1", "b:2"], "chief": ["c:3"]}
    task = {"type": "worker", "index": index - 1} if index else {"type": "chief", "index": 0}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": task}))
    assert read_cluster() == Cluster(("c:3", "a:1", "b:2"), index)
    assert str(read_cluster()) == f"worker {index + 1} of 3"


@pytest.mark.parametrize("text", ["", "{}", '{"cluster": {"worker": ["a:1"]}, "task": {}}'])
def test_without_a_second_worker_there_is_no_cluster(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    assert read_cluster() is None


@pytest.mark.parametrize(("text", "words"), [
    ("nonsense", "TF_CONFIG: .*expected such as"),
    ("[]", "TF_CONFIG: "),
    ('{"cluster": {"worker": ["a:1", "b:2"]}}', "'type' is missing"),
    ('{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 2}}',
     "its task worker 2 is none of"),
    ('{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "ps", "index": 0}}',
     "its task ps 0 is none of its cluster's chief, worker"),
])  # fmt: skip
def test_a_tf_config_that_is_none_is_refused_with_an_example(text, words, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(SettingError, match=words):
        read_cluster()


@pytest.mark.parametrize(("given", "words"), [
    ({}, "only fine-tuning is shared by the 2 workers that TF_CONFIG names: use --fine-tune yes"),
    ({"fine_tune": "yes", "minutes": 3}, "--minutes measures on one machine.*--views and --epochs"),
    ({"fine_tune": "yes", "find_rate": True}, "--find-rate measures on one machine"),
])  # fmt: skip
def test_what_several_workers_cannot_share_is_refused(given, words):
    with pytest.raises(SettingError, match=words):
        refuse_unshared(Cluster(("a:1", "b:2"), 0), FitConfig(**given))


INPUTS = np.arange(20, dtype=np.float32)[:, None]


def share(rank, count=3):
    mine = np.arange(20) % count == rank
    return TrainingSet(
        lambda rows, epoch: INPUTS[rows], np.arange(20) % 2, lambda rows: INPUTS[rows],
        np.arange(20) % 2, 2, 0, mine=mine, validation_mine=mine,
    )  # fmt: skip


@pytest.mark.parametrize("step", range(4))
def test_the_rows_of_all_workers_are_those_of_one_that_is_alone(step):
    settings = Hyperparameters(batch=6)
    whole = replace(share(0), mine=None)
    parts = [share(rank).batch(settings, 1, step) for rank in range(3)]
    rows = np.concatenate([inputs[weights > 0] for inputs, _, weights in parts])
    expected = whole.batch(settings, 1, step)
    assert sorted(rows.ravel()) == sorted(expected[0].ravel())
    assert whole.photos(6, step) == len(expected[0]) == (6 if step < 3 else 2)


def test_a_worker_without_a_row_in_a_batch_has_one_that_weighs_nothing():
    inputs, targets, weights = share(1).batch(Hyperparameters(batch=1), 0, 0)
    others = [share(rank).batch(Hyperparameters(batch=1), 0, 0)[2].tolist() for rank in range(3)]
    assert sorted(others) == [[0], [0], [1]]
    assert len(inputs) == len(targets) == len(weights) == 1


def test_validation_photos_are_dealt_out_too():
    rows = np.concatenate([share(rank).own_validation() for rank in range(3)])
    assert sorted(rows) == list(range(20))


def test_who_is_alone_has_everything_and_is_the_chief():
    assert own(ALONE, 3).all()
    assert from_chief(ALONE, [INPUTS])[0] is INPUTS
    assert facts_from_chief(ALONE, {"a": 1}) == {"a": 1}

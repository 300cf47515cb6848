"""Several broken versions at once, and more wrong folders than anybody wants to read of."""

import os
import time

import onnx

from service.versions.keeper import REFUSALS, Keeper
from service.versions.sources import UNFINISHED, ModelFolder, stamp_of
from service.versions.trials import Trial
from tests.crafting import replace
from tests.making import colour_bundle
from tests.serving import WAIT_S


def test_trials_that_fail_before_the_parent_looks_are_taken_one_after_the_other(tmp_path):
    for name in ("ants", "bees"):
        os.truncate(colour_bundle(tmp_path / name) / "predict.onnx", 9)
    colour_bundle(tmp_path / "wasps")
    keeper = Keeper(ModelFolder(tmp_path))
    keeper.begin()
    limit = time.monotonic() + WAIT_S
    while any(trial._process.poll() is None for trial in keeper._trials.values()):
        assert time.monotonic() < limit
        time.sleep(0.01)
    assert list(keeper._trials) == ["ants", "bees"]
    keeper.start()
    assert keeper.names == ["wasps"]
    assert [one.name for one in keeper.catalogue.refused] == ["ants", "bees"]


def test_of_very_many_refusals_a_hundred_are_listed_and_the_rest_counted(tmp_path):
    for number in range(REFUSALS + 30):
        (tmp_path / f"{number:03}").mkdir()
    colour_bundle(tmp_path / "last")
    keeper = Keeper(ModelFolder(tmp_path))
    began = time.monotonic()
    keeper.start()
    assert time.monotonic() - began < 20  # a trial of each would take minutes
    assert keeper.names == ["last"]
    *listed, rest = keeper.catalogue.refused
    assert [one.name for one in listed] == [f"{number:03}" for number in range(REFUSALS)]
    assert rest.reason == "30 more are refused"


def test_wrong_folders_whose_names_look_alike_do_not_end_the_start(tmp_path):
    long = "m" * 64
    for name in ("a b", "a  b", "a\nb", f"{long}.old", f"{long}.older"):
        (tmp_path / name).mkdir()
    colour_bundle(tmp_path / long)
    keeper = Keeper(ModelFolder(tmp_path))
    keeper.start()
    assert keeper.names == [long]
    assert sorted(one.name for one in keeper.catalogue.refused) == ["a b"] * 3 + [long] * 2


def test_a_reason_that_quotes_a_very_long_name_is_told_in_short(tmp_path):
    bundle = colour_bundle(tmp_path / "colours")
    model = onnx.load(bundle / "predict.onnx")
    model.graph.node[0].op_type = "Loop" * 100_000
    replace(bundle, "predict.onnx", model.SerializeToString())
    keeper = Keeper(ModelFolder(tmp_path))
    keeper.start()
    (refusal,) = keeper.catalogue.refused
    assert "predict.onnx does not load: operator 'LoopLoop" in refusal.reason
    assert len(refusal.reason) == 300


def test_folders_that_are_no_versions_are_refused_without_a_trial(tmp_path, monkeypatch):
    tried = []

    def noted(candidate, *rest):
        tried.append(candidate.version)
        return Trial(candidate, *rest)

    monkeypatch.setattr("service.versions.keeper.Trial", noted)
    colour_bundle(tmp_path / "birds" / "1")
    for number in range(2, 1000):
        (tmp_path / "birds" / str(number)).mkdir()
    (tmp_path / "processes").symlink_to("/proc")  # the numbers there never end
    keeper = Keeper(ModelFolder(tmp_path))
    keeper.start()
    assert (keeper.names, tried) == (["birds"], ["1"])
    assert {one.reason for one in keeper.catalogue.refused[:-1]} == {UNFINISHED}


def test_a_folder_in_place_of_a_file_keeps_no_descriptor(tmp_path):
    (colour_bundle(tmp_path / "birds" / "1").parent / "PIN").mkdir()
    source = ModelFolder(tmp_path)
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        assert "cannot be read" in str(source.look()["birds"].problem)
    assert len(os.listdir("/dev/fd")) == before


def test_many_large_folders_take_hardly_longer_to_look_at_than_one(tmp_path, monkeypatch):
    monkeypatch.setattr("service.versions.sources._MOST_ENTRIES", 64)
    monkeypatch.setattr("service.versions.sources._FEW_ENTRIES", 2)
    bundle = colour_bundle(tmp_path / "colours")
    for number in range(100):
        (bundle / f"more{number}").touch()
    assert [len(stamp_of(bundle, rank)) for rank in range(8)] == [65, 33, 17, 9, 5, 3, 3, 3]
    before = stamp_of(bundle, 7)
    (bundle / "manifest.json").touch()  # of all files, a change to this one is always seen
    assert stamp_of(bundle, 7) != before

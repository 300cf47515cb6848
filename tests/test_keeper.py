"""What the parent process makes of a folder of models; no worker is there to be waited for."""

import os
import re
import shutil
import sys
import time

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from models.errors import BundleError, SettingError
from models.terms import Terms
from models.trial import MEMORY
from service.versions import slot, trials
from service.versions.catalogue import Edition
from service.versions.keeper import Keeper
from service.versions.sources import Candidate, ModelFolder, NamedBundles, stamp_of
from tests.crafting import edit, replace
from tests.making import colour_bundle, colour_graph
from tests.serving import WAIT_S


def started(source):
    keeper = Keeper(source)
    keeper.start()
    return keeper


def step_until(keeper, condition):
    limit = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < limit
        keeper.step()
        time.sleep(0.01)


def served(keeper):
    return {edition.name: edition.version for edition in keeper.catalogue.editions}


def refused(keeper):
    return {one.name: one.reason for one in keeper.catalogue.refused}


def test_the_highest_version_that_passes_is_served_from_the_start(tmp_path):
    for version in ("2", "9", "10"):
        colour_bundle(tmp_path / "birds" / version)
    os.truncate(tmp_path / "birds" / "10" / "predict.onnx", 9)
    (tmp_path / "birds" / "notes").mkdir()
    (tmp_path / "birds" / ".11.part").mkdir()  # as `fit` writes aside
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "readme.txt").write_text("no folder")
    keeper = started(ModelFolder(tmp_path))
    assert served(keeper) == {"birds": "9"}
    assert "predict.onnx was altered" in refused(keeper)["birds"]


def test_the_folder_decides_what_a_model_is_called(tmp_path):
    colour_bundle(tmp_path / "flat")
    edit(tmp_path / "flat", lambda fields: fields.update(name="other", version="7"))
    colour_bundle(tmp_path / "deep" / "3")
    assert served(started(ModelFolder(tmp_path))) == {"flat": "7", "deep": "3"}


def test_a_model_that_comes_later_is_served_and_nothing_is_announced_twice(tmp_path):
    colour_bundle(tmp_path / "birds")
    said = []
    keeper = Keeper(ModelFolder(tmp_path), say=said.append)
    keeper.start()
    colour_bundle(tmp_path / "ants")  # its name comes first
    step_until(keeper, lambda: len(keeper.names) == 2)
    assert keeper.names == ["ants", "birds"]
    generation = keeper.catalogue.generation
    for _ in range(3):
        keeper._next_look = 0
        keeper.step()
    assert keeper.catalogue.generation == generation
    assert said == ["ants: version 1 serves now; precision fp32 (it has no int8)"]


def test_nothing_is_said_at_a_start_that_adds_one_model_after_the_other(tmp_path):
    for name in ("ants", "bees", "birds"):
        colour_bundle(tmp_path / name)
    said = []
    keeper = Keeper(ModelFolder(tmp_path), say=said.append)
    keeper.start()
    assert (keeper.names, said) == (["ants", "bees", "birds"], [])
    shutil.rmtree(tmp_path / "bees")
    step_until(keeper, lambda: len(keeper.names) == 2)
    assert said == ["bees: no longer served, its folder was taken away"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("a b", "cannot name a model"), ("empty", "no manifest.json"), ("pin", "cannot be read")],
)
def test_a_folder_that_is_no_model_is_named_with_the_reason(name, reason, tmp_path):
    (tmp_path / name).mkdir()
    if name == "pin":
        (tmp_path / name / "1").mkdir()
        os.mkfifo(tmp_path / name / "PIN")  # whoever opens it waits
    keeper = started(ModelFolder(tmp_path))
    assert reason in refused(keeper)[name]
    assert served(keeper) == {}


def test_a_bundle_given_by_name_is_refused_at_the_start_with_its_path(tmp_path):
    bundle = colour_bundle(tmp_path / "colours")
    os.truncate(bundle / "predict.onnx", 9)
    with pytest.raises(BundleError, match=r"colours: predict\.onnx was altered"):
        started(NamedBundles([bundle]))


def test_a_bundle_of_another_name_does_not_take_a_models_place(tmp_path):
    bundle = colour_bundle(tmp_path / "colours")
    keeper = started(NamedBundles([bundle]))
    edit(bundle, lambda fields: fields.update(name="shapes"))
    step_until(keeper, lambda: refused(keeper))
    assert refused(keeper) == {"colours": "it is called 'shapes'; expected 'colours'"}
    assert served(keeper) == {"colours": "1"}


def test_a_bundle_given_by_name_is_served_on_when_its_folder_is_gone(tmp_path):
    bundle = colour_bundle(tmp_path / "colours")
    keeper = started(NamedBundles([bundle]))
    shutil.rmtree(bundle)
    step_until(keeper, lambda: refused(keeper))
    assert "no manifest.json" in refused(keeper)["colours"]
    assert served(keeper) == {"colours": "1"}


def test_two_bundles_of_one_name_are_refused(tmp_path):
    bundles = [colour_bundle(tmp_path / place / "colours") for place in ("a", "b")]
    with pytest.raises(BundleError, match="a model called 'colours' is served already"):
        started(NamedBundles(bundles))


def test_a_trial_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "TRIAL_S", 0.01)
    colour_bundle(tmp_path / "slow")
    keeper = started(ModelFolder(tmp_path))
    assert refused(keeper) == {"slow": "to read, load and try it took more than 0.01 s"}


def test_a_verdict_that_waited_while_nobody_looked_is_not_too_late(tmp_path, monkeypatch):
    monkeypatch.setattr(trials, "TRIAL_S", 0.01)
    trial = trials.Trial(Candidate(colour_bundle(tmp_path / "colours")), (), Terms())
    trial._process.wait(WAIT_S)  # as if the parent had been busy, or stopped, meanwhile
    while not trial.done():
        pass
    assert isinstance(trial.edition(), Edition)
    trial.discard()


def doomed(tmp_path):
    """A program in Python's place that the system kills."""
    kill = tmp_path / "kill"
    kill.write_text("#!/bin/sh\nkill -KILL $$\n")
    kill.chmod(0o755)
    return str(kill)


ENDS = {
    "the process that tried it was killed": lambda path: (sys, "executable", doomed(path)),
    "took more than 0.01 s": lambda path: (trials, "TRIAL_S", 0.01),
    "No such file": lambda path: (trials, "ROOT", path / "nowhere"),  # it cannot be started
}


@pytest.mark.parametrize("reason", ENDS)
def test_a_trial_that_comes_to_no_end_ends_the_first_start_of_a_named_bundle(
    reason, tmp_path, monkeypatch
):
    bundle = colour_bundle(tmp_path / "colours")
    monkeypatch.setattr(*ENDS[reason](tmp_path))
    with pytest.raises(BundleError, match=f"colours: .*{reason}") as refusal:
        started(NamedBundles([bundle]))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("reason", ENDS)
def test_a_trial_that_comes_to_no_end_later_leaves_the_old_version_served(
    reason, tmp_path, monkeypatch
):
    monkeypatch.setattr(slot, "PAUSES_S", (0.5,) * 9)
    bundle = colour_bundle(tmp_path / "colours")
    keeper = started(NamedBundles([bundle]))
    with monkeypatch.context() as trouble:
        trouble.setattr(*ENDS[reason](tmp_path))
        colour_bundle(bundle, 0.002)
        step_until(keeper, lambda: refused(keeper) or keeper._trouble)
        assert reason in (refused(keeper).get("colours") or keeper._trouble)
        assert served(keeper) == {"colours": "1"}
    step_until(keeper, lambda: served(keeper) == {"colours": "2"})  # once the trouble is over
    assert refused(keeper) == {}


def test_a_trial_that_crashes_is_a_refusal(tmp_path, monkeypatch):
    crash = tmp_path / "crash"
    crash.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crash))
    colour_bundle(tmp_path / "models" / "odd")
    keeper = started(ModelFolder(tmp_path / "models"))
    assert refused(keeper) == {"odd": "it crashed the process that tried it"}


def test_a_trial_that_is_killed_from_outside_is_tried_again_a_few_times(tmp_path, monkeypatch):
    monkeypatch.setattr(slot, "PAUSES_S", (0.1, 0.1))
    tries, kill = tmp_path / "tries", tmp_path / "kill"
    kill.write_text(f"#!/bin/sh\necho >> {tries}\nkill -KILL $$\n")
    kill.chmod(0o755)
    healthy = sys.executable
    monkeypatch.setattr(sys, "executable", str(kill))
    bundle = colour_bundle(tmp_path / "models" / "odd")
    keeper = started(ModelFolder(tmp_path / "models"))
    reason = "the process that tried it was killed: perhaps memory is short"
    assert refused(keeper) == {"odd": reason}
    step_until(keeper, lambda: len(tries.read_text()) == 3 and not keeper.busy)
    monkeypatch.setattr(sys, "executable", healthy)
    for _ in range(30):
        keeper._next_look = 0
        keeper.step()
        time.sleep(0.01)
    assert refused(keeper) == {"odd": reason}  # each try costs what a trial costs
    assert len(tries.read_text()) == 3
    (bundle / "predict.onnx").touch()  # whoever copies it anew begins the count again
    step_until(keeper, lambda: served(keeper))
    assert refused(keeper) == {}


def test_a_trial_that_was_killed_once_is_made_up_for(tmp_path, monkeypatch):
    monkeypatch.setattr(slot, "PAUSES_S", (0.1,))
    bundle = colour_bundle(tmp_path / "colours")
    keeper = started(NamedBundles([bundle]))
    colour_bundle(bundle, 0.002)
    step_until(keeper, lambda: keeper._trials)
    next(iter(keeper._trials.values()))._process.kill()
    step_until(keeper, lambda: refused(keeper))
    assert served(keeper) == {"colours": "1"}
    step_until(keeper, lambda: served(keeper) == {"colours": "2"})
    assert refused(keeper) == {}


def test_a_folder_that_is_not_there_is_refused_with_the_option(tmp_path):
    with pytest.raises(SettingError, match=r"--models .*nowhere is not a folder"):
        ModelFolder(tmp_path / "nowhere")


def test_a_stamp_changes_with_whatever_is_below(tmp_path):
    bundle = colour_bundle(tmp_path / "colours")
    stamps = [stamp_of(bundle)]
    assert stamp_of(bundle) == stamps[0]
    (bundle / "predict.onnx").touch()
    stamps.append(stamp_of(bundle))
    (bundle / "more").mkdir()
    stamps.append(stamp_of(bundle))
    shutil.rmtree(bundle)
    stamps.append(stamp_of(bundle))
    assert len(set(stamps)) == 4


def numbers_for_a_photo(count):
    """A graph that sets aside `count` numbers for each photo when it runs."""
    model = onnx.load_from_string(colour_graph())
    for name, numbers in {"times": [1, count // 3], "across": [1]}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(numbers), name))
    model.graph.node.extend(
        [
            helper.make_node("Tile", ["features", "times"], ["many"]),
            helper.make_node("ReduceMax", ["many", "across"], ["most"]),
            helper.make_node("Sub", ["most", "most"], ["nothing"]),
            helper.make_node("Add", ["logits", "nothing"], ["sum"]),
        ]
    )
    model.graph.node[1].output[0] = model.graph.node[-1].input[0] = "inner"
    model.graph.node[-1].output[0] = "logits"
    return model.SerializeToString()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts all memory of a process")
def test_a_graph_that_takes_all_memory_is_refused_and_a_modest_one_is_not(tmp_path):
    sizes = {"modest": 100_000_000, "many": 500_000_000, "greedy": MEMORY + 100_000_000}
    for name, size in sizes.items():
        replace(colour_bundle(tmp_path / name), "predict.onnx", numbers_for_a_photo(size // 4))
    keeper = started(ModelFolder(tmp_path))
    assert served(keeper) == {"modest": "1"}
    limit, why = r"to try it takes more than 3,000,0\d\d,\d\d\d bytes", refused(keeper)
    assert re.match(f"predict.onnx does not run: {limit}", why["greedy"])
    assert re.match(f"the network does not answer 8 photos .* alone: {limit}", why["many"])

"""The study on disk: what is kept, what is refused, and what a pruner makes of it."""

import optuna
import pytest
from optuna.trial import FixedTrial

from models.errors import SettingError, StorageError
from tests.making import small_disk
from training.search.study import Study

RECIPE = {"photos": "abc", "size": 32}


def kept(study: Study, x: float, value: float | None = None, epochs=(), kind="neural") -> None:
    trial = FixedTrial({"x": x})
    trial.suggest_float("x", 0, 1)
    study.add(trial, value, epochs, {"head": kind, "seconds": 1.5, "accuracy": 0.5})


def fill(study: Study) -> None:
    for _ in range(100):
        kept(study, 0.5, 1.0, epochs=[1.0] * 50)


def drawn(study: Study, seed: int = 0, kind: str = "neural") -> float:
    return study.ask(kind, seed).suggest_float("x", 0, 1)


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "of {x} 20%?#é"  # a journal takes any path
    folder.mkdir()
    return folder / "flowers.study.jsonl"


@pytest.fixture
def study(path):
    opened = Study(path, RECIPE)
    yield opened
    opened.close()


def test_trials_are_there_when_the_study_is_opened_again(study, path):
    kept(study, 0.25, 0.1 + 0.2, epochs=[2.0, 1.0])
    kept(study, 0.5)
    study.close()
    again = Study(path, RECIPE)
    first, second = again.trials
    again.close()
    assert (first.params, first.value) == ({"x": 0.25}, 0.1 + 0.2)  # to the last bit
    assert first.intermediate_values == {0: 2.0, 1: 1.0}
    assert (again.done, again.best.number, again.seconds) == ([first], 0, 3.0)
    assert second.state == optuna.trial.TrialState.PRUNED


def test_parameters_depend_on_the_seed_and_the_trials_before_and_on_nothing_else(study, path):
    for number in range(12):  # enough for the estimator to take over
        kept(study, number / 12, abs(number / 12 - 0.3))
    first = drawn(study)
    assert drawn(study) == first  # what was asked and never finished left nothing behind
    assert drawn(study, seed=1) != first
    kept(study, 0.9, 0.0, kind="svm")
    assert drawn(study) != first  # another number, another draw
    study.close()
    again = Study(path, RECIPE)
    assert drawn(again) == drawn(study)
    again.close()


def test_a_trial_worse_than_the_median_at_its_epoch_is_stopped_once_four_came_so_far(study):
    for number in range(4):
        trial = study.ask("neural", 0)
        trial.report(1.0 + number, 5)
        assert not trial.should_prune()
        kept(study, 0.1 * number, 1.0, epochs=[1.0 + number] * 6)
    for loss, stopped in ((2.0, False), (3.0, True)):  # the median of 1, 2, 3, 4 is 2.5
        trial = study.ask("neural", 0)
        trial.report(loss, 5)
        assert trial.should_prune() == stopped
    early = study.ask("neural", 0)
    early.report(99.0, 2)  # the learning rate still rises
    assert not early.should_prune()


def test_a_line_cut_short_is_dropped_and_the_rest_kept(study, path):
    kept(study, 0.25, 1.0)
    whole = path.read_bytes()
    kept(study, 0.5, 2.0)
    study.close()
    path.write_bytes(path.read_bytes()[:-40])  # as a kill or a full disk leaves it
    again = Study(path, RECIPE)
    assert [trial.value for trial in again.trials] == [1.0]
    assert path.read_bytes() == whole
    kept(again, 0.5, 2.0)
    assert [trial.value for trial in again.trials] == [1.0, 2.0]
    again.close()


def test_a_study_in_use_is_refused(study, path):
    with pytest.raises(StorageError, match=r"another search is writing .*flowers\.study\.jsonl"):
        Study(path, RECIPE)


def test_a_study_of_something_else_is_refused_by_name(study, path):
    study.close()
    with pytest.raises(SettingError, match=r"size was 32, is 64\): choose another --out"):
        Study(path, RECIPE | {"size": 64})
    Study(path, RECIPE).close()  # the refusal left it as it was


@pytest.mark.parametrize("content", [b"hello\n", b"[1]\n", b'{"op_code": 99}\n'])
def test_a_file_that_is_no_study_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(StorageError, match="not the study of a search, or damaged"):
        Study(path, RECIPE)


def test_a_full_disk_is_named_and_what_was_kept_stays(tmp_path):
    with small_disk(tmp_path / "disk", 12) as disk:
        study = Study(disk / "a.study.jsonl", RECIPE)
        with pytest.raises(StorageError, match="no space left to write"):
            fill(study)
        count = len(study.trials)
        study.close()
        again = Study(disk / "a.study.jsonl", RECIPE)
        assert len(again.trials) in (count, count - 1)
        assert again.trials
        again.close()


def test_a_thousand_trials_stay_below_five_megabytes(study, path):
    epochs = [0.123456789012345] * 60  # as many as a trial may have
    params = {f"parameter_{number:02}": 0.123456789 for number in range(17)}
    trial = FixedTrial(params)
    for name in params:
        trial.suggest_float(name, 1e-6, 0.3, log=True)
    before = path.stat().st_size
    study.add(trial, 0.5, epochs, {"head": "neural", "seconds": 1.5, "accuracy": 0.5})
    assert path.stat().st_size - before < 5000


def test_the_parameter_that_decides_is_named_first(study):
    for number in range(40):
        trial = FixedTrial({"x": number / 40, "y": (number * 7 % 40) / 40})
        value = trial.suggest_float("x", 0, 1)
        trial.suggest_float("y", 0, 1)
        study.add(trial, value, [], {"head": "neural", "seconds": 1.0})
    shares = study.importances("neural")
    assert list(shares) == ["x", "y"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["x"] > 0.6

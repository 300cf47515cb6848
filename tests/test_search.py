"""A whole search, on the backbone `tiny`: what is tried, saved, said, and taken up again."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
from click.testing import CliRunner

from models.bundle import Bundle, Manifest
from models.errors import PhotosError, SettingError, StorageError
from tests.making import write_sides
from tests.test_rooms import loaded_by
from training.__main__ import training
from training.fit import fit
from training.heads.fitted_head import FittedHead, HeadRecord
from training.heads.held_out import Sides
from training.search.outcome import (
    ENOUGH_TRIALS,
    Finalist,
    compare_finalists,
    draw_importances,
    verdict,
    what_mattered,
)
from training.search.run import OutOfTime, Trials, search, study_path
from training.search.space import LinearCandidate, NeuralCandidate, parameters, recall
from training.search.study import Study
from training.settings.config import FitConfig, SearchBudget
from training.settings.console import Stages
from training.settings.hyperparameters import HEAD, HiddenLayers

ROOT = Path(__file__).parents[1]
COUNTS = {"train": 6, "validation": 10, "test": 4}  # of each colour: 30 to choose by
KINDS = ["logistic", "svm", "lda", "centroid", "prototypes", "neural"]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Photos on three sides, and a cache."""
    folder = tmp_path_factory.mktemp("search")
    write_sides(folder / "photos", COUNTS)
    return folder


def run(place: Path, name: str, trials: int, minutes: float = 10, **settings: Any) -> Manifest:
    config = FitConfig(backbone="tiny", cache=place / "cache", insight=False, **settings)
    stages = Stages(quiet=True)
    return search(place / "photos", place / name, config, SearchBudget(minutes, trials), stages)


def command(place: Path, name: str, trials: int) -> list[str]:
    words = ["search", str(place / "photos"), "--out", str(place / name), "--backbone", "tiny"]
    return [*words, "--trials", str(trials), "--no-insight", "--quiet"]


def lines(place: Path, name: str) -> int:
    """How many trials are kept; before them stand the study and its recipe."""
    path = study_path(place / name)
    return max(0, path.read_bytes().count(b"\n") - 2) if path.exists() else 0


def table(place: Path, name: str) -> list[dict[str, Any]]:
    """The trials as the bundle has them, but for their times."""
    rows = json.loads(Bundle(place / name).read("search/trials.json"))["table"]
    return [{key: row[key] for key in row if key != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def unbroken(place: Path) -> Manifest:
    """The defaults of all six kinds, and six more trials: three of them neural."""
    return run(place, "unbroken", 12)


def test_a_search_of_one_trial_saves_what_fit_would_and_says_that_nothing_beat_it(place):
    config = FitConfig(backbone="tiny", cache=place / "cache", insight=False)
    usual = fit(place / "photos", place / "usual", config, Stages(quiet=True))
    found = run(place, "one", 1)
    outcome = found.training["search"]
    assert outcome["verdict"].startswith("nothing beat the default of fit on validation photos")
    assert outcome["winner"] == outcome["default"]
    assert outcome["difference"]["log_loss"] == outcome["difference"]["accuracy"] == 0
    assert (found.head["kind"], found.head["C"]) == (usual.head["kind"], usual.head["C"])
    assert found.metrics["test"]["accuracy"] == usual.metrics["test"]["accuracy"]
    assert outcome["winner"]["parameters"] == {"C": usual.head["C"], "class_weights": "none"}


def test_every_kind_is_tried_as_it_is_then_the_kinds_take_turns(place, unbroken):
    heads = [row["head"] for row in table(place, "unbroken")]
    assert heads == [*KINDS, "neural", "logistic", "neural", "svm", "neural", "lda"]


def test_the_best_on_validation_photos_is_saved_if_it_is_clearly_ahead_else_the_default(
    place, unbroken
):
    rows, outcome = table(place, "unbroken"), unbroken.training["search"]
    losses = [row["log_loss"] for row in rows if row["log_loss"] is not None]
    assert outcome["winner"]["validation"]["log_loss"] == pytest.approx(min(losses), rel=1e-6)
    assert outcome["trials"] == 12
    ahead = outcome["difference"]["log_loss"] > outcome["difference"]["standard_error"]
    saved = outcome["winner"] if ahead else outcome["default"]
    assert outcome["saved"] == saved["trial"]
    assert unbroken.head["kind"] == saved["head"] == unbroken.training["head"]
    assert unbroken.metrics["test"]["accuracy"] == saved["test"]["accuracy"]


def test_the_bundle_holds_the_trials_and_their_course_and_the_report_shows_them(place, unbroken):
    bundle = Bundle(place / "unbroken")
    bundle.verify()
    assert bundle.read("search/course.png").startswith(b"\x89PNG")
    assert "search/importances.png" not in unbroken.files  # too few neural heads to say
    assert unbroken.training["search"]["importances"] == {}
    page = (place / "unbroken" / "report.html").read_text()
    assert "The search" in page
    assert "Too few neural heads were trained to the end" in page


def test_a_search_killed_within_a_trial_goes_on_and_ends_as_one_that_was_not(place, unbroken):
    environment = os.environ | {"LAYERSCOPE_CACHE": str(place / "cache")}
    words = [sys.executable, "-m", "training", *command(place, "killed", 12)]
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE)
    while lines(place, "killed") < 7:  # the seventh was neural, and so is the ninth
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 7 <= lines(place, "killed") < 12
    assert not (place / "killed").exists()
    again = run(place, "killed", 12)
    assert lines(place, "killed") == 12
    assert table(place, "killed") == table(place, "unbroken")
    for name in ("head.onnx", "predict.onnx", "model.keras"):
        assert again.files[name].sha256 == unbroken.files[name].sha256


def test_ctrl_c_keeps_the_study_and_leaves_no_bundle(place):
    environment = os.environ | {"LAYERSCOPE_CACHE": str(place / "cache")}
    words = [sys.executable, "-m", "training", *command(place, "stopped", 500)]
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while lines(place, "stopped") < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 130, shown
    assert shown.splitlines()[-1].startswith("stopped: what was computed so far is kept")
    assert lines(place, "stopped") >= 2
    assert not (place / "stopped").exists()


def test_a_spent_budget_ends_at_once_and_a_larger_one_goes_on(place, monkeypatch):
    run(place, "grown", 2)
    first = table(place, "grown")
    assert run(place, "grown", 2).training["search"]["trials"] == 2
    assert run(place, "grown", 4).training["search"]["trials"] == 4
    assert table(place, "grown")[:2] == first
    monkeypatch.setattr(Study, "seconds", 61.0)  # that the four took
    assert run(place, "grown", 9, minutes=1).training["search"]["trials"] == 4
    assert run(place, "grown", 5, minutes=2).training["search"]["trials"] == 5


def test_a_trial_that_the_time_cuts_off_is_not_kept(place):
    study = Study(place / "late.study.jsonl", {})
    side = np.eye(4, dtype=np.float32).repeat(8, 0), np.arange(4).repeat(8)
    prepared: Any = SimpleNamespace(sides=lambda seed: Sides(*side, *side, classes=4, seed=seed))
    late = Trials(study, prepared, seed=0)
    late.ends = 0
    for _ in range(5):
        late.run_next()  # not neural: they take no epochs to be cut off at
    with pytest.raises(OutOfTime):
        late.run_next()
    assert [trial.user_attrs["head"] for trial in study.trials] == KINDS[:5]
    study.close()


def test_two_searches_on_one_study_are_refused(place):
    path = study_path(place / "taken")
    study = Study(path, {})
    with pytest.raises(StorageError, match=r"another search is writing .*taken\.study\.jsonl"):
        run(place, "taken", 1)
    study.close()


def test_a_study_of_other_photos_or_settings_is_refused(place):
    run(place, "keyed", 1)
    with pytest.raises(SettingError, match="seed was 0, is 1"):
        run(place, "keyed", 1, seed=1)
    with pytest.raises(SettingError, match=r"fraction was 0\.875, is 0\.5"):
        run(place, "keyed", 1, fraction=0.5)
    other = write_sides(place / "more", COUNTS | {"train": 7})
    config = FitConfig(backbone="tiny", cache=place / "cache", insight=False)
    with pytest.raises(SettingError, match=r"photos was \w{16}, is \w{16}"):
        search(other, place / "keyed", config, SearchBudget(trials=1), Stages(quiet=True))


def test_too_few_validation_photos_are_refused_before_any_trial(tmp_path, place):
    photos = write_sides(tmp_path / "photos", COUNTS | {"validation": 9})
    config = FitConfig(backbone="tiny", cache=place / "cache")
    with pytest.raises(PhotosError, match=r"27 validation photos .* 30 or more"):
        search(photos, tmp_path / "b", config, SearchBudget(), Stages(quiet=True))
    assert not study_path(tmp_path / "b").exists()


@pytest.mark.parametrize("words", [("--trials", "0"), ("--trials", "1001"), ("--minutes", "0")])
def test_a_budget_out_of_range_is_refused(place, words):
    line = [*command(place, "budget", 1), *words]
    result = CliRunner().invoke(training, line, catch_exceptions=False)
    assert result.exit_code == 2
    assert f"{words[0]} is {float(words[1]):g}" in result.output.replace(".0;", ";")


def finalist(
    number: int, losses: np.ndarray, right: np.ndarray, accuracy: float, copies: int = 1
) -> Finalist:
    trial = optuna.trial.create_trial(value=0.0)
    trial.number = number
    head, test = FittedHead([], HeadRecord("logistic", "")), {"accuracy": accuracy}
    units = np.arange(len(losses)) // copies
    return Finalist(trial, LinearCandidate("logistic"), head, losses, right, units, test)


def test_the_difference_is_that_of_each_photo_with_itself():
    losses, right = np.linspace(0.1, 3, 40), np.arange(40) % 4 > 0
    default = finalist(0, losses, right, 0.8)
    better = finalist(7, losses - 0.05, right | (np.arange(40) < 4), 0.9)
    compared = compare_finalists(default, better)
    assert compared["log_loss"] == pytest.approx(0.05)
    assert compared["log_loss_interval"] == pytest.approx(
        [0.05, 0.05]
    )  # every photo gains the same
    assert compared["accuracy"] == 1 / 40  # photo 0 alone
    assert compared["p_value"] == 1.0
    words = verdict(default, better, compared)
    assert words.startswith("the winner beats the default of fit: 0.0500 less log loss on 40")
    assert words.endswith("test accuracy 0.900, the default's 0.800")
    noisy = finalist(7, losses[::-1] - 0.05, right, 0.9)  # the same mean, every photo another
    words = verdict(default, noisy, compare_finalists(default, noisy))
    assert words.startswith(
        "nothing clearly beat the default of fit: it is saved, test accuracy 0.8"
    )
    assert "ahead by 0.0500 log loss on 40 validation photos, within one standard error" in words


def test_copies_of_a_validation_photo_make_no_winner():
    losses, right = np.linspace(0.1, 3, 40), np.arange(40) % 4 > 0
    pair = finalist(0, losses, right, 0.8), finalist(7, losses[::-1] - 0.05, ~right, 0.9)
    default, winner = (
        finalist(n, np.repeat(one.losses, 4), np.repeat(one.right, 4), 0.8, copies=4)
        for n, one in enumerate(pair)
    )
    assert compare_finalists(default, winner) == compare_finalists(*pair)


def test_a_search_loads_no_keras_until_a_neural_head_comes():
    assert not {"tensorflow", "keras"} & loaded_by("training.search.run")


def test_importances_are_given_from_twenty_finished_neural_heads_on(place):
    study = Study(place / "many.study.jsonl", {})
    space = NeuralCandidate(HiddenLayers(), HEAD)
    for number in range(ENOUGH_TRIALS):
        assert what_mattered(study) == {}
        candidate = replace(space, hyperparameters=replace(HEAD, dropout=0.03 * number))
        _, trial = recall(parameters(candidate, {}), "neural")
        study.add(trial, 0.1 * number, [], {"head": "neural", "seconds": 1.0, "accuracy": 0.5})
    shares = what_mattered(study)
    study.close()
    assert next(iter(shares)) == "dropout"  # the only one that differs
    assert sum(shares.values()) == pytest.approx(1)
    assert draw_importances(shares).startswith(b"\x89PNG")

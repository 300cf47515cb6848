"""Recipes are judged on several photo sets: rows that outlive a stop, ranks, paired differences."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress

import pytest

from benchmarks.low_data import choose_photos, read_sets
from benchmarks.ranking import cells_of, difference, mean_ranks, pack_bits, right_bits, tables
from benchmarks.recipes import Recipe, read_recipes
from benchmarks.transfer import FitFailed, list_jobs, read_rows, row_key, run_jobs
from models.bundle import Bundle
from models.errors import SettingError, StorageError
from tests.making import COLOURS, write_classes, write_sides
from training.__main__ import training

RECIPES = ("plain=--backbone tiny", "tuned=--backbone tiny --fine-tune yes --epochs 2 --views 1")
NEAR = {  # so near to one another that some photos are taken for others
    label: (110 + red // 64, 110 + green // 64, 110 + blue // 64)
    for label, (red, green, blue) in COLOURS.items()
}


class InThisProcess:
    """Runs the real command here, where Keras is loaded; notes what it measured itself."""

    def __init__(self, stop_at=0):
        self.accuracies, self.stop_at = [], stop_at

    def __call__(self, arguments):
        if len(self.accuracies) + 1 == self.stop_at:
            raise KeyboardInterrupt
        training.main(["fit", *arguments], standalone_mode=False)
        out = arguments[arguments.index("--out") + 1]
        self.accuracies.append(Bundle(out).manifest.metrics["test"]["accuracy"])


def row(recipe, right, seed=0, name="set", side="a", **test):
    """A row whose test photos were right or wrong as the letters say: `x` and `.`."""
    bits = [letter == "x" for letter in right]
    numbers = {"photos": len(bits), "accuracy": sum(bits) / len(bits), "log_loss": 0.5, "ece": 0.1}
    return {
        "set": name, "few": 0, "seed": seed, "recipe": recipe, "test": numbers | test,
        "right": pack_bits(bits), "test_side": side, "training_s": 1.0, "seconds": 2.0,
    }  # fmt: skip


@pytest.fixture
def sets(tmp_path):
    flat = write_classes(tmp_path / "flat", 12)
    sided = tmp_path / "sided"
    for number, (side, count) in enumerate({"train": 8, "validation": 4, "test": 6}.items()):
        write_classes(sided / side, count, NEAR, first=1000 * number)
    return read_sets([flat, sided])


def test_a_run_that_is_stopped_goes_on_with_the_rows_that_are_missing(sets, tmp_path, capsys):
    file, recipes = tmp_path / "rows.jsonl", read_recipes(RECIPES)
    jobs = list_jobs(sets, [0], [0], recipes)
    first, second, third = InThisProcess(stop_at=3), InThisProcess(), InThisProcess()
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, file, first)
    assert len(read_rows(file)) == 2
    assert run_jobs(jobs, file, second) == 0
    assert run_jobs(jobs, file, third) == 0
    accuracies = first.accuracies + second.accuracies
    assert (len(accuracies), len(third.accuracies)) == (4, 0)
    rows = read_rows(file)
    assert [row_key(one) for one in rows] == [
        (name, 0, 0, recipe) for name in ("flat", "sided") for recipe in ("plain", "tuned")
    ]
    # what a bundle answers when it is served is what `fit` has measured
    assert [one["test"]["accuracy"] for one in rows] == pytest.approx(accuracies)
    assert [right_bits(one).mean() for one in rows] == pytest.approx(accuracies)
    assert [one["epochs"] for one in rows] == [0, 2, 0, 2]
    assert [one["blocks_kept"] for one in rows] == [False, True, False, True]
    assert rows[1]["settings"]["hyperparameters"]["epochs"] == 2
    assert rows[2]["photos"] == {"train": 24, "validation": 12, "test": 18}
    shown = capsys.readouterr().out.splitlines()[-1].split()  # the last line: tuned, all sets
    assert shown[:2] == ["tuned", f"{(accuracies[1] + accuracies[3]) / 2:.3f}"]
    gained = (accuracies[1] - accuracies[0] + accuracies[3] - accuracies[2]) / 2
    assert shown[7] == f"{gained:+.4f};"


def test_a_row_that_was_half_written_is_made_again(sets, tmp_path, capsys):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row("one", "x.")) + "\n" + '{"set": "fl')
    assert [one["recipe"] for one in read_rows(file)] == ["one"]
    assert file.read_text().endswith("}\n")  # the next row begins a line of its own


def test_a_row_that_fails_is_named_and_the_others_are_run(sets, tmp_path, capsys):
    run, recipes = InThisProcess(), read_recipes(RECIPES[:1])

    def fit(arguments):
        if arguments[arguments.index("--seed") + 1] == "1":
            raise FitFailed("the loss is no number")
        run(arguments)

    assert run_jobs(list_jobs(sets[:1], [4], [1, 2], recipes), tmp_path / "rows.jsonl", fit) == 1
    (kept,) = read_rows(tmp_path / "rows.jsonl")
    assert (kept["seed"], kept["few"], kept["photos"]["train"]) == (2, 4, 12)
    assert "('flat', 4, 1, 'plain') failed: the loss is no number" in capsys.readouterr().err


def test_a_name_that_stood_for_other_options_is_refused(sets, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row("best", "x.", name="flat") | {"options": "--views 3"}) + "\n")
    jobs = list_jobs(sets[:1], [0], [0], [Recipe("best", ("--views", "4"))])
    with pytest.raises(SettingError, match="'best' with the options '--views 3', now '--views 4'"):
        run_jobs(jobs, file, InThisProcess())
    with pytest.raises(StorageError, match="nowhere"):  # before anything is trained
        run_jobs(jobs, tmp_path / "nowhere" / "rows.jsonl", InThisProcess())


def test_few_photos_are_chosen_by_seed_and_the_test_side_stays(tmp_path):
    (photo_set,) = read_sets(
        [write_sides(tmp_path / "photos", {"train": 30, "validation": 9, "test": 5})]
    )
    whole = choose_photos(photo_set, 0, seed=0)
    assert {side: len(photos) for side, photos in whole.items()} == {
        "train": 90, "validation": 27, "test": 15,
    }  # fmt: skip
    chosen = {
        (few, seed): choose_photos(photo_set, few, seed) for few in (4, 12) for seed in (0, 1)
    }
    for (few, _), sides in chosen.items():
        assert Counter(photo.label for photo in sides["train"]) == dict.fromkeys(COLOURS, few)
        assert len(sides["validation"]) == 3 * max(2, few // 4)
        assert sides["test"] == whole["test"]
        assert {photo.side for photo in sides["train"]} == {"train"}
    assert chosen[4, 0]["train"] != chosen[4, 1]["train"]
    assert set(chosen[4, 0]["train"]) < set(chosen[12, 0]["train"])  # more photos, not others
    assert chosen[4, 0] == choose_photos(photo_set, 4, seed=0)
    assert len(choose_photos(photo_set, 1000, seed=0)["train"]) == 90  # all that there are


def test_two_sets_of_one_name_are_refused(tmp_path):
    sources = [write_classes(tmp_path / place / "photos", 5) for place in ("one", "other")]
    with pytest.raises(SettingError, match="two sets are called 'photos'"):
        read_sets(sources)


def test_the_error_of_a_difference_is_that_of_mcnemar():
    one, other = row("new", "xxxxxx.x.."), row("default", "xxxx...x.x")
    # 2 photos only the new one has right, 1 only the other: (2 - 1) / 10
    found = difference([(one, other)])
    assert found.value == pytest.approx(0.1)
    assert found.error == pytest.approx(math.sqrt(2 + 1 - (2 - 1) ** 2 / 10) / 10)


def test_seeds_with_the_same_test_photos_add_no_photos():
    one, other = row("new", "xx..x"), row("default", "x...x")
    once = difference([(one, other)])
    assert difference([(one, other)] * 2) == pytest.approx(once)
    # other photos with each seed: half the variance
    apart = [(row("new", "xx..x", side=side), row("default", "x...x", side=side)) for side in "ab"]
    assert difference(apart).error == pytest.approx(once.error / math.sqrt(2))
    # the two recipes saw different photos: nothing can be paired
    unpaired = difference([(one, row("default", "x...x", side="b"))])
    assert unpaired.value == pytest.approx(0.2)
    assert unpaired.error == pytest.approx(math.sqrt((0.6 * 0.4 + 0.4 * 0.6) / 5))


def test_ranks_are_shared_by_equals_and_averaged_over_sets():
    rows = [
        row("a", "xx."), row("b", "xx."), row("c", "x.."),
        row("a", "x..", name="other"), row("b", "xx.", name="other"), row("c", "xxx", name="other"),
        row("a", "xxx", seed=1),  # the others have no such row: not compared
    ]  # fmt: skip
    cells = cells_of(rows, "abc")
    assert {name: list(seeds) for name, seeds in cells.items()} == {"set": [0], "other": [0]}
    assert mean_ranks(cells, "abc") == {"a": (1.5 + 3) / 2, "b": (1.5 + 2) / 2, "c": (3 + 1) / 2}


def test_the_table_names_the_worst_set_of_each_recipe():
    rows = [
        row("default", "xx.."), row("new", "xxx."),
        row("default", "xx..", name="other"), row("new", "x...", name="other"),
    ]  # fmt: skip
    last = tables(rows, ["default", "new"])[-1].split()
    error = math.sqrt(1 - 1 / 4) / 4
    assert last[-6:] == ["1.50", "+0.0000;", "-0.2500", "+-", f"{error:.4f}", "(other)"]
    assert last[:2] == ["new", "0.500"]


def test_recipes_are_what_fit_takes(tmp_path):
    file = tmp_path / "more.json"
    file.write_text('{"slow": "--fine-tune yes --learning-rate 3e-4 --epochs 12"}')
    recipes = read_recipes(["frozen", "auto", "last=--fine-tune yes --keep last", str(file)])
    assert [(one.name, one.text) for one in recipes] == [
        ("frozen", ""),
        ("auto", "--fine-tune auto"),
        ("last", "--fine-tune yes --keep last"),
        ("slow", "--fine-tune yes --learning-rate 3e-4 --epochs 12"),
    ]


@pytest.mark.parametrize(("given", "words"), [
    (["x=--keep best"], "recipe 'x': --keep contradicts --head logistic"),
    (["x=--fine-tune maybe"], "recipe 'x': .*'maybe' is not one of"),
    (["x=--fine-tune yes --epochs 0"], "recipe 'x': --epochs is 0"),
    (["x=--nothing"], "recipe 'x': No such option"),
    (["x=--seed 3"], "recipe 'x': --seed, --json and --quiet are the benchmark's own"),
    (["x=--head 'lda"], "recipe 'x': No closing quotation"),
    (["frozen", "frozen=--head lda"], "given twice: frozen"),
    (["fast"], "expected frozen, default, auto, NAME=OPTIONS or a JSON file"),
])  # fmt: skip
def test_recipes_that_fit_would_refuse_are_refused_before_anything_is_run(given, words):
    with pytest.raises(SettingError, match=words):
        read_recipes(given)


@contextmanager
def started(tmp_path, *options):
    """The command on eight photos a class, in a process of its own, as a shell's `&` starts it."""
    photos = write_classes(tmp_path / "photos", 8)
    command = [sys.executable, "-m", "benchmarks.transfer", photos, *options]
    with subprocess.Popen(
        [*command, "--rows", tmp_path / "rows.jsonl"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
def test_the_command_trains_each_row_in_a_process_of_its_own(tmp_path):
    options = ("--recipes", "plain=--backbone tiny", "--few", "5", "--seeds", "3")
    with started(tmp_path, *options) as command:
        shown, errors = command.communicate()
    assert command.returncode == 0, errors
    (kept,) = read_rows(tmp_path / "rows.jsonl")
    assert row_key(kept) == ("photos", 5, 3, "plain")
    assert kept["machine"].endswith("cores")
    assert "photos, 5 a class" in shown


@pytest.mark.slow
@pytest.mark.pairs
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_and_the_training_of_a_row(tmp_path, monkeypatch, ending):
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path / "cache"))
    endless = "endless=--backbone tiny --fine-tune yes --epochs 10000"
    with started(tmp_path, "--recipes", endless) as command:
        while not list(tmp_path.glob("cache/views-*")):  # it has begun
            assert command.poll() is None, command.communicate()[1]
            time.sleep(0.2)
        command.send_signal(ending)
        _, errors = command.communicate(timeout=60)
    assert errors.startswith("stopped: ")
    assert read_rows(tmp_path / "rows.jsonl") == []

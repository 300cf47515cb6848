"""Every command treats a folder alike, and says by kind what it left out."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from models.bundle import Bundle
from tests.making import COLOURS, colour_bundle, picture, write_classes, write_table
from training.__main__ import training

TINY = ("--backbone", "tiny")
MESSY = {
    "system": 3, "document": 1, "no-class": 8, "image_empty": 1, "broken-link": 1, "bundle": 1,
    "special": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    """Three classes of five photos, and among them what people have there: `MESSY` counts it."""
    folder = write_classes(tmp_path / "photos", 5)
    for place in ("@eaDir", "red/@eaDir"):
        (folder / place).mkdir()
        (folder / place / "thumb.png").write_bytes(picture(COLOURS["red"], 99))
    (folder / "red" / "Thumbs.db").touch()
    (folder / "README.md").write_text("what these are")
    for number in range(8):
        (folder / f"loose{number}.png").write_bytes(picture(COLOURS["blue"], 50 + number))
    (folder / "red" / "empty.png").touch()
    (folder / "red" / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(folder / "red" / "pipe.png")
    colour_bundle(folder / "model")
    return folder


def run(*arguments: str | Path) -> Result:
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(training, words, catch_exceptions=False)


def counts(rows: Any) -> dict[str, int]:
    return {row["kind"]: row["count"] for row in rows}


def test_fit_says_by_kind_what_it_left_out_and_keeps_the_list_in_the_bundle(messy, tmp_path):
    result = run("fit", messy, "--out", "made", *TINY, "--no-insight", "--json", "fit.json")
    lines = result.stderr.splitlines()
    assert [line for line in lines if "the image is empty" in line and "red/empty.png" in line]
    assert lines[lines.index("left out: 16") + 1 :][:7] == [
        "       1  empty: red/empty.png",
        "       8  in no class folder: ./ (8)",
        "       1  links to what is not there: red/gone.png",
        "       1  pipes, sockets and devices: red/pipe.png",
        "       1  saved models and caches: model",
        "       1  documents beside the class folders: README.md",
        "       3  kept by a system or a program: @eaDir (2), Thumbs.db (1)",
    ]
    assert f"each of them: {Path('made/left_out.csv')}" in lines
    assert not [line for line in lines if "loose3.png" in line]
    bundle = Bundle(Path("made"))
    assert bundle.manifest.class_names == sorted(COLOURS)
    assert counts(bundle.manifest.data["left_out"]) == MESSY
    listed = bundle.read("left_out.csv").decode()
    assert "loose3.png,no-class,not in a class folder\r\n" in listed
    assert str(tmp_path) not in listed  # a bundle is shown to others
    looked = run("insight", "made", messy, "--json", "insight.json")
    assert counts(json.loads(Path("insight.json").read_text())["left_out"]) == MESSY
    assert "       3  kept by a system or a program: @eaDir (2), Thumbs.db (1)" in looked.stderr
    told = json.loads(Path("fit.json").read_text())
    assert counts(told["left_out"]) == MESSY
    assert sum(told["photos"].values()) == 15
    assert told["bundle"] == "made"
    assert told["metrics"]["test"]["photos"] == told["photos"]["test"]


def test_check_evaluate_and_predict_leave_out_the_same(messy):
    colour_bundle(Path("colours"))
    checked = run("check", messy, *TINY, "--json", "check.json")
    assert checked.exit_code == 0
    assert counts(json.loads(Path("check.json").read_text())["left_out"]) == MESSY
    evaluated = run("evaluate", "colours", messy, "--json", "evaluate.json")
    assert Path("evaluate.json").read_text() == evaluated.stdout
    assert counts(json.loads(evaluated.stdout)["left_out"]) == MESSY
    assert json.loads(evaluated.stdout)["photos"] == 15
    predicted = run("predict", "colours", messy, "--out", "answers.jsonl", "--json", "-")
    found = json.loads(predicted.stdout)
    # Nobody needs labels to predict: loose files and documents are tried like all others.
    tried = {"image_unsupported": 1} | {
        k: MESSY[k] for k in MESSY if k not in ("document", "no-class")
    }
    assert counts(found["left_out"]) == tried
    assert found["predicted"] == 15 + 8
    assert "saved answers.jsonl" in predicted.stderr
    for result in (checked, evaluated, predicted):
        assert "       3  kept by a system or a program: @eaDir (2), Thumbs.db (1)" in result.stderr


def test_what_the_doctor_lists_are_photos_not_what_a_system_keeps(messy):
    run("check", messy, *TINY, "--out", "c.html")
    listed = Path("c.csv").read_text()
    assert "loose3.png,unused" in listed
    assert "Thumbs.db" not in listed
    assert "README.md" not in listed


@pytest.mark.parametrize("out", ["photos/model", "photos/red/model", "photos/new/model"])
@pytest.mark.parametrize("command", ["fit", "search"])
def test_a_bundle_among_the_photos_is_refused_before_any_work(tmp_path, out, command):
    write_classes(tmp_path / "photos", 3)
    result = run(command, "photos", "--out", out, *TINY)
    assert result.exit_code == 2
    assert f"--out {out} lies among the photos of photos" in result.stderr
    assert "choose a place outside" in result.stderr
    assert not list((tmp_path / "photos").glob("*/model*"))


def test_a_bundle_in_the_current_folder_of_classes_is_refused_too(tmp_path, monkeypatch):
    write_classes(tmp_path / "photos", 3)
    monkeypatch.chdir(tmp_path / "photos")
    assert "lies among the photos" in run("fit", ".", "--out", "model", *TINY).stderr


@pytest.mark.parametrize("option", ["--tensorboard", "--mlflow"])
def test_a_log_among_the_photos_is_refused(tmp_path, option):
    write_classes(tmp_path / "photos", 3)
    result = run("fit", "photos", "--out", "m", option, "photos/logs", *TINY)
    assert f"{option} photos/logs lies among the photos" in result.stderr


@pytest.mark.parametrize("command", ["fit", "check"])
def test_a_cache_among_the_photos_is_refused(tmp_path, monkeypatch, command):
    write_classes(tmp_path / "photos", 3)
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path / "photos" / "cache"))
    out = ("--out", "m") if command == "fit" else ()
    assert "lies among the photos" in run(command, "photos", *out, *TINY).stderr


@pytest.mark.parametrize("place", [".", "nowhere/fit.json"])
def test_a_summary_that_could_not_be_written_is_refused_before_any_work(tmp_path, place):
    write_classes(tmp_path / "photos", 3)
    result = run("fit", "photos", "--out", "m", "--json", place)
    assert result.exit_code == 2
    assert "is a folder, or lies in none: name a file" in result.output
    assert not Path("m").exists()


def test_predictions_written_among_the_photos_are_not_predicted_next_time(tmp_path):
    write_classes(tmp_path / "photos", 1)
    colour_bundle(Path("colours"))
    for _ in range(2):
        result = run("predict", "colours", "photos", "--out", "photos/a.jsonl")
        assert result.stdout == "saved photos/a.jsonl: 3 predictions, 0 files with an error\n"


def test_all_classes_that_are_too_small_are_in_one_message(tmp_path):
    photos = write_classes(tmp_path / "photos", 5)
    write_classes(photos, 2, {"mauve": (200, 150, 250)})
    write_classes(photos, 1, {"grey": (99, 99, 99)})
    (photos / "void").mkdir()
    (photos / "void" / "a.jpg").write_text("<html>")
    result = run("fit", photos, "--out", "m", *TINY, "--quiet")
    assert result.exit_code == 2
    assert (
        "3 classes have fewer than 3 usable distinct photos: 'grey' (1), 'mauve' (2), 'void' (0)"
        in result.stderr
    )
    assert "of 'void' none can be read: " in result.stderr  # and why
    assert "pass --leave-out-small to go on without them" in result.stderr
    options = ("--leave-out-small", "--no-insight", "--no-check")
    made = run("fit", photos, "--out", "m", *TINY, *options)
    assert made.exit_code == 0
    assert (
        "left out 3 classes that are too small: 'grey' (1), 'mauve' (2), 'void' (0)" in made.stderr
    )
    manifest = Bundle(Path("m")).manifest
    assert manifest.class_names == sorted(COLOURS)
    assert counts(manifest.data["left_out"])["small-class"] == 3
    looked = run("insight", "m", photos)
    assert looked.exit_code == 0
    assert "these are not the photos" not in looked.stderr


def test_merged_names_make_one_class_in_fit_and_evaluate(tmp_path):
    photos = write_classes(tmp_path / "photos", 4)
    write_classes(photos, 3, {"Red ": COLOURS["red"]}, first=100)
    result = run("fit", photos, "--out", "m", *TINY, "--merge-names", "--no-insight")
    assert "joined classes that look alike to 'red': 'Red ' (3) and 'red' (4)" in result.stderr
    assert Bundle(Path("m")).manifest.class_names == sorted(COLOURS)
    refused = run("evaluate", "m", photos)
    assert refused.exit_code == 2
    assert "'Red ' looks like 'red': pass --merge-names to join them" in refused.stderr
    assert json.loads(run("evaluate", "m", photos, "--merge-names").stdout)["photos"] == 15
    both = run("evaluate", "m", photos, "--merge-names", "--against", "m")
    assert json.loads(both.stdout)["against"]["photos"] == 15
    looked = run("insight", "m", photos)  # the bundle remembers how its photos were understood
    assert looked.exit_code == 0
    assert "these are not the photos" not in looked.stderr


def test_a_test_side_that_spells_a_class_otherwise_is_refused_with_the_option(tmp_path):
    write_classes(tmp_path / "photos" / "train", 4)
    write_classes(tmp_path / "photos" / "test", 1, {"RED": COLOURS["red"]}, first=50)
    result = run("fit", "photos", "--out", "m", *TINY)
    assert "'RED' looks like 'red': pass --merge-names to join them" in result.stderr
    assert "compute features" not in result.stderr  # it is known before the long work


def test_photos_that_only_test_are_refused_with_what_is_missing(tmp_path):
    write_classes(tmp_path / "photos" / "test", 3)
    assert "all photos stand on sides that test" in run("fit", "photos", "--out", "m").stderr


def test_many_missing_files_are_one_line_and_a_list(tmp_path):
    photos = write_classes(tmp_path / "photos", 5)
    rows = [
        f"photos/{path.parent.name}/{path.name},{path.parent.name}"
        for path in photos.rglob("*.png")
    ]
    gone = [f"photos/gone/{number}.png,red" for number in range(400)]
    table = write_table(tmp_path / "t.csv", "image,label", *rows, *gone)
    result = run("fit", table, "--out", "m", *TINY, "--no-insight", "--no-check")
    assert [line for line in result.stderr.splitlines() if "gone" in line] == [
        "     400  named by the list, or found before, but not there: photos/gone/ (400)"
    ]
    assert Bundle(Path("m")).read("left_out.csv").count(b"photos/gone/") == 800  # and where tried


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_no_name_reaches_the_terminal_or_a_list_raw(tmp_path):
    photos = write_classes(tmp_path / "photos", 5)
    odd = ["a\x1b[31m.png", "a\nb.png", "a\x9b.png", "\u202egnp.png", os.fsdecode(b"a\xe9.png")]
    for name in odd:
        (photos / "red" / name).touch()
    for command in (("check",), ("fit", "--out", "m", "--no-insight")):
        result = run(command[0], photos, *command[1:], *TINY)
        assert result.exit_code == 0
        assert all(line.isprintable() for line in result.output.splitlines())
        assert rf"skipped {photos}/red/a\x1b[31m.png: the image is empty" in result.stderr
    for path in ("photos-check.csv", "photos-check.html", "m/report.html", "m/model_card.md"):
        text = Path(path).read_text(encoding="utf-8")
        assert not set("\x1b\x9b\u202e") & set(text), path
    again = run("check", photos, *TINY, "--exclude", "photos-check.csv")
    assert "photos left out by your list: 5" in again.stdout  # known again by their escapes


def test_a_class_with_an_escape_code_in_its_name_is_refused_without_it(tmp_path):
    write_classes(tmp_path / "photos", 3, {"a\x1b[2J": (9, 9, 9), "b": (99, 99, 99)})
    result = run("fit", "photos", "--out", "m", *TINY)
    assert result.exit_code == 2
    assert r"class 'a\x1b[2J' has a name with characters that cannot be shown" in result.stderr

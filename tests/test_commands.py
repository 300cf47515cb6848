"""The commands as a person types them: what they print, and how they fail."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from models.building.backbones import BACKBONES
from models.bundle import Bundle
from tests.making import (
    COLOURS,
    DEFECTS,
    colour_bundle,
    picture,
    small_disk,
    write_classes,
    write_defects,
    write_table,
)
from training.__main__ import training

TINY = ("--backbone", "tiny", "--quiet")


@pytest.fixture(autouse=True)
def _environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)  # the commands see to it themselves


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes of five photos: enough for every side."""
    return write_classes(tmp_path / "photos", 5)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The mean-colour classifier: `evaluate` and `predict` need no TensorFlow."""
    return colour_bundle(tmp_path / "bundles" / "colours")


def run(*arguments: str | Path) -> Result:
    """A command in this process; a bug's traceback goes on to the test."""
    words = [str(argument) for argument in arguments]
    return CliRunner().invoke(training, words, catch_exceptions=False)


def start(*arguments: str | Path) -> subprocess.Popen:
    """A command in a process of its own, as from a shell."""
    command = [sys.executable, "-m", "training", *map(str, arguments)]
    root, pipe = Path(__file__).parents[1], subprocess.PIPE
    return subprocess.Popen(
        command,
        cwd=root,
        stdout=pipe,
        stderr=pipe,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's `&` ignores it
    )


def refused(result: Result) -> str:
    """The one line of a command that was refused."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.strip()


def test_backbones_lists_every_network_and_where_its_weights_come_from():
    result = run("backbones")
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()[1:]}
    assert rows["efficientnet-lite0"] == ["224", "embedded,", "offline"]
    assert rows["resnet50"] == ["224", "downloaded", "by", "Keras"]
    assert set(rows) == set(BACKBONES)
    assert result.exit_code == 0


def test_fit_ends_with_a_line_that_says_what_was_made_and_where(tmp_path):
    photos = write_classes(tmp_path / "photos", 14)
    write_defects(photos / "red")
    out = tmp_path / "made" / "colours"
    process = start("fit", photos, "--out", out, "--backbone", "tiny")
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert stdout.startswith(f"saved {out}: 3 classes, test accuracy 1.000 on 6 photos, in ")
    assert stdout.count("\n") == 1
    assert stdout.endswith(f" s; read {out / 'report.html'}\n")
    for name, (_, words) in DEFECTS.items():
        line = next(line for line in stderr.splitlines() if name in line)
        assert line.startswith(f"skipped {photos / 'red' / name}: ")
        assert words in line
    for noise in ("oneDNN", "cuda", "WARNING", "Warning"):  # TensorFlow's, silenced by the command
        assert noise not in stderr
    assert stderr.splitlines()[0] == f"46 files in {photos}"
    Bundle(out).verify()


def test_quiet_prints_the_last_line_only(photos, tmp_path):
    result = run("fit", photos, "--out", tmp_path / "b", *TINY)
    assert result.stderr == ""
    assert result.stdout.startswith(f"saved {tmp_path / 'b'}: 3 classes")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--backbone", "efficientnet-lite9"), "nearest names: efficientnet-lite2"),
        (("--validation-share", "0.9"), "--validation-share is 0.9; expected 0.05 to 0.4"),
        (("--test-share", "nan"), "--test-share is nan"),
        (("--seed", "-1"), "--seed is -1; expected 0 to"),
        (("--size", "4"), "--size is 4; expected 0, or 8 to 2,048"),
        (("--fraction", "2"), "fraction is 2.0; expected 0.1 to 1"),
        (("--weights", "gone.h5"), "weights gone.h5: no such file"),
        (("--weights", "embedded"), "tiny takes none or a file"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(photos, tmp_path, options, words):
    line = refused(run("fit", photos, "--out", tmp_path / "b", *TINY, *options))
    assert words in line
    assert not (tmp_path / "b").exists()


def test_photos_nothing_can_be_learnt_from_are_refused_with_what_to_change(tmp_path):
    (tmp_path / "empty").mkdir()
    one = write_classes(tmp_path / "one", 5, {"red": COLOURS["red"]})
    few = write_classes(tmp_path / "few", 5)
    write_classes(few, 1, {"mauve": (200, 150, 250)})
    table = write_table(tmp_path / "t.csv", "id,breed", "a.png,cat")
    for place, words in {
        tmp_path / "empty": "holds no photos in class folders: make one folder for each class",
        tmp_path / "gone": "gone does not exist: give a folder of class folders, or a CSV",
        one: "found one class or fewer (red)",
        few: "class 'mauve' has 1 usable distinct photo(s); 3 or more are needed",
        table: "expected the columns image,label; found breed, id",
    }.items():
        assert words in refused(run("fit", place, "--out", tmp_path / "b", *TINY))
    assert not (tmp_path / "b").exists()


def test_an_out_that_cannot_be_written_is_refused_by_name(photos, tmp_path):
    (tmp_path / "file").write_text("mine")
    for out, words in {
        tmp_path / "file": "exists and is not a bundle: choose another --out",
        tmp_path / "file" / "b": "choose another place",
        tmp_path / "file" / "below" / "b": "Not a directory; choose another place",
        photos: "exists and is not a bundle: choose another --out",
        tmp_path / "a name": "cannot name a bundle: use letters",
    }.items():
        line = refused(run("fit", photos, "--out", out, *TINY))
        assert str(out.name) in line
        assert words in line
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc there")
def test_an_out_where_no_file_can_ever_be_made_is_refused_by_name(photos):
    assert "/proc/b" in refused(run("fit", photos, "--out", "/proc/b", *TINY))


def test_imagenet_needs_a_backbone_with_a_head_of_its_own(tmp_path):
    assert "tiny" in refused(run("imagenet", "--out", tmp_path / "b", *TINY))


def test_evaluate_prints_json_and_nothing_else(bundle, photos):
    write_defects(photos / "red")
    result = run("evaluate", bundle, photos, "--quiet")
    numbers = json.loads(result.stdout)
    assert (numbers["model"], numbers["photos"], numbers["accuracy"]) == ("colours", 15, 1)
    assert {Path(item["photo"]).name for item in numbers["skipped"]} == set(DEFECTS)
    assert result.stderr == ""


def test_evaluate_refuses_a_bundle_that_was_altered_and_a_label_it_does_not_know(bundle, tmp_path):
    place = write_classes(tmp_path / "photos", 1, {"mauve": (200, 150, 250)})
    assert "no class mauve" in refused(run("evaluate", bundle, place, "--quiet"))
    assert "is this a bundle?" in refused(run("evaluate", place, place))
    (bundle / "predict.onnx").write_bytes(b"!")
    assert "predict.onnx was altered" in refused(run("evaluate", bundle, place, "--quiet"))


def test_predict_writes_a_line_for_every_file_whether_it_can_be_read_or_not(bundle, tmp_path):
    place = tmp_path / "any" / "below"
    place.mkdir(parents=True)
    (place / "b.png").write_bytes(picture(COLOURS["green"]))
    (place / "a.jpg").write_bytes(picture(COLOURS["red"], kind="JPEG"))
    (place / "c.jpg").write_text("<html>")
    out = tmp_path / "new" / "answers.jsonl"
    result = run("predict", bundle, place.parent, "--out", out, "--top", "2", "--quiet")
    assert result.stdout == f"saved {out}: 2 predictions, 1 files with an error\n"
    red, green, page = map(json.loads, out.read_text().splitlines())
    best, _ = red.pop("predictions")
    assert red == {"photo": str(place / "a.jpg"), "model": "colours", "version": "1"}
    assert best == {"label": "red", "probability": pytest.approx(1, abs=1e-4)}
    assert green["predictions"][0]["label"] == "green"
    assert page["error"]["code"] == "image_unsupported"
    assert "predictions" not in page
    assert [path.name for path in out.parent.iterdir()] == ["answers.jsonl"]


def test_predict_refuses_a_place_it_cannot_read_or_write(bundle, photos, tmp_path):
    (tmp_path / "file").touch()
    for source, out, words in [
        (tmp_path / "gone", tmp_path / "a.jsonl", "holds no files"),
        (photos, tmp_path / "file" / "a.jsonl", "choose another place"),
        (photos, photos, "photos"),  # a folder where a file should be
    ]:
        assert words in refused(run("predict", bundle, source, "--out", out, "--quiet"))
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.alone
@pytest.mark.parametrize("room_kib", [4, 40, 72])  # of the 100 that a bundle takes
def test_a_full_disk_leaves_one_line_and_nothing_on_it(photos, tmp_path, room_kib):
    with small_disk(tmp_path / "disk", room_kib) as disk:
        line = refused(run("fit", photos, "--out", disk / "b", *TINY))
        assert f"no space left to write {disk / 'b'}" in line
        assert list(disk.iterdir()) == []
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert "Read-only" in refused(run("fit", photos, "--out", disk / "b", *TINY))


def test_ctrl_c_ends_with_one_line_keeps_the_features_and_leaves_no_half_bundle(tmp_path):
    photos = write_classes(tmp_path / "photos", 30)  # 90: over one commit of 64
    large = picture(COLOURS["red"], side=4900)  # 24 Mpx: each takes long enough to press Ctrl-C
    for number in range(40):
        (photos / "red" / f"z{number:02}.png").write_bytes(large + bytes([number]))
    out, cache = tmp_path / "made" / "b", tmp_path / "cache"
    process = start("fit", photos, "--out", out, "--threads", "1", "--backbone", "tiny")

    def kept() -> int:
        try:
            with closing(sqlite3.connect(next(cache.glob("*.sqlite")))) as db:
                return db.execute("SELECT count(*) FROM features").fetchone()[0]
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):  # else its tables are being made
                raise
            return 0

    while process.poll() is None and (not list(cache.glob("*-wal")) or kept() < 64):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, ""), stderr
    assert stderr.splitlines()[-1].startswith("stopped: what was computed so far is kept")
    assert "Traceback" not in stderr
    assert 64 <= kept() < 130
    assert list(out.parent.iterdir()) == []


def test_a_model_trained_on_more_formats_is_measured_and_asked_about_them(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path / "cache"))
    photos = write_classes(tmp_path / "photos", 8)
    for path in sorted(photos.rglob("*.png")):
        Image.open(path).save(path.with_suffix(".tif"))
        path.unlink()
    fit = ["fit", photos, "--out", tmp_path / "m", "--backbone", "tiny", "--no-insight"]
    asked = (
        [*fit, "--more-formats"],
        ["evaluate", tmp_path / "m", photos],
        ["predict", tmp_path / "m", photos, "--out", tmp_path / "p.jsonl"],
    )
    done = [CliRunner().invoke(training, list(map(str, words))) for words in asked]
    assert [each.exit_code for each in done] == [0, 0, 0]
    assert json.loads(done[1].stdout)["photos"] == 24
    assert "24 predictions, 0 files with an error" in done[2].stdout

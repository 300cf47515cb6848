"""The command `check`: what it prints and writes, and that hostile names do not break it."""

import csv
import os
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from models.images import Limits
from tests.making import COLOURS, picture, write_classes, write_defects, write_table
from training.__main__ import training
from training.doctor.examine import Checkup, Finding
from training.doctor.page import render_section

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(autouse=True)
def _environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes of ten photos, with a copy and files that are none."""
    folder = write_classes(tmp_path / "photos", 10)
    write_defects(folder / "red")
    (folder / "red" / "again.png").write_bytes((folder / "red" / "000.png").read_bytes())
    return folder


def check(*arguments: object) -> Result:
    words = ["check", *map(str, arguments), "--backbone", "tiny", "--quiet"]
    return CliRunner().invoke(training, words, catch_exceptions=False)


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def test_it_says_in_words_what_it_found_and_last_what_it_wrote(photos):
    lines = check(photos).stdout.splitlines()
    assert lines[0] == "35 photos in 3 classes"
    assert "files that cannot be read: 4" in lines
    assert "exact copies: 1" in lines
    assert re.fullmatch(r"saved photos-check.html and photos-check.csv: \d+ findings", lines[-1])
    found = {(row["problem"], row["photo"], row["exclude"]) for row in rows("photos-check.csv")}
    assert ("copy", "red/again.png", "yes") in found
    assert ("unreadable", "red/empty.jpg", "yes") in found


def test_nothing_is_changed_among_the_photos(photos):
    def state() -> dict[Path, tuple[int, int]]:
        return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(photos.rglob("*"))}

    before = state()
    check(photos)
    assert state() == before


def test_the_list_given_back_leaves_its_photos_out_and_is_never_overwritten(photos):
    check(photos)
    first = Path("photos-check.csv").read_bytes()
    lines = check(photos, "--exclude", "photos-check.csv").stdout.splitlines()
    assert "exact copies: 1" not in lines
    assert lines[-1].startswith("saved photos-check-2.html")
    assert Path("photos-check.csv").read_bytes() == first
    again = {row["photo"] for row in rows("photos-check-2.csv") if row["problem"] == "excluded"}
    assert again == {row["photo"] for row in rows("photos-check.csv") if row["exclude"] == "yes"}
    refused = check(photos, "--exclude", "photos-check.csv", "--out", "photos-check.html")
    assert refused.exit_code == 2
    assert "would overwrite photos-check.csv" in refused.stderr


@pytest.mark.parametrize("out", ["page.txt", "nowhere/page.html"])
def test_a_place_that_cannot_be_written_is_refused_before_any_work(photos, out):
    result = check(photos, "--out", out)
    assert result.exit_code == 2
    assert f"--out {'is ' if 'txt' in out else ''}{out}" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_page_opens_with_the_network_off(photos):
    check(photos, "--out", "page.html")
    page = Path("page.html").read_text(encoding="utf-8")
    assert "red/again.png" in page
    assert "data:image/jpeg;base64," in page
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", page)
    assert links
    assert all(link.startswith("data:") for link in links)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_hostile_names_are_shown_as_text(tmp_path):
    folder = write_classes(tmp_path / "photos", 6)
    odd = [f"{EVIL.replace('/', '')}.png", "line\nbreak.png", os.fsdecode(b"caf\xe9.png")]
    for name in odd:
        (folder / "red" / name).write_bytes(picture(COLOURS["red"], 0))
    assert check(folder, "--out", "page.html").exit_code == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
    assert sum(row["problem"] == "copy" for row in rows("page.csv")) == 3


def test_a_csv_of_photos_is_checked_like_a_folder(photos, tmp_path):
    lines = [f"photos/{label}/{n:03}.png,{label}" for label in COLOURS for n in range(6)]
    table = write_table(tmp_path / "table.csv", "image,label", *lines, "photos/gone.png,red")
    result = check(table)
    assert "files that are not used: 1" in result.stdout
    assert "saved table-check.html" in result.stdout


def test_a_photo_that_vanished_is_listed_without_its_picture(tmp_path):
    gone = tmp_path / "red" / "gone.png"
    found = Checkup(1, 1, [Finding("one-colour", gone, "red", EVIL)])
    section = render_section(found, tmp_path, Limits())
    assert "red/gone.png" in section
    assert "<img" not in section
    assert "&lt;img src=x onerror=alert(1)&gt;" in section

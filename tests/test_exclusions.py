"""The list of findings: there and back, and lists that people write themselves."""

import csv
import os
import sys
from pathlib import Path

import pytest

from models.errors import PhotosError
from training.doctor.examine import Finding
from training.doctor.exclusions import leave_out, write_list
from training.photos.find import find_photos
from training.photos.listing import Listing

NAMES = ("cat/a.png", "cat/b, c.png", "dog/=1+1.png", "dog/two\nlines.png", "=evil/x.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    return tmp_path / "photos"


def left(listing: Listing, photos: Path) -> set[str]:
    return {each.path.relative_to(photos).as_posix() for each in listing.photos}


def without(photos: Path, text: str | bytes, name: str = "list.csv") -> Listing:
    wanted = photos.parent / name
    wanted.write_bytes(text.encode() if isinstance(text, str) else text)
    return leave_out(find_photos(photos), photos, wanted)


def test_what_was_written_leaves_out_the_same_photos_whatever_their_names(photos, tmp_path):
    findings = [Finding("unreadable", photos / name, "", "x") for name in NAMES[1:]]
    write_list(tmp_path / "out.csv", findings, photos)
    listing = leave_out(find_photos(photos), photos, tmp_path / "out.csv")
    assert left(listing, photos) == {"cat/a.png"}
    assert [item.reason for item in listing.skipped] == ["left out by out.csv"] * 4
    assert all(item.asked for item in listing.skipped)


def test_no_cell_of_the_list_is_a_formula(photos, tmp_path):
    findings = [Finding("label", photos / name, "", "labelled a") for name in NAMES]
    write_list(tmp_path / "out.csv", findings, photos)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row if cell]
    assert not [cell for cell in cells if cell[0] in "=+-@"]
    assert "./=evil/x.png" in cells


def test_a_row_that_says_no_keeps_its_photo(photos):
    text = "photo,problem,exclude\ncat/a.png,label,No\ndog/=1+1.png,label,yes\n=evil/x.png,label,\n"
    listing = without(photos, text)
    assert left(listing, photos) == set(NAMES) - {"dog/=1+1.png", "=evil/x.png"}


def test_a_photo_with_a_no_and_a_yes_is_left_out(photos):
    text = "photo,exclude\ncat/a.png,no\ncat/a.png,yes\n"
    assert "cat/a.png" not in left(without(photos, text), photos)


def test_a_plain_list_has_a_path_on_each_line(photos):
    text = f"cat/b, c.png\r\n\n{photos / 'cat/a.png'}\n"  # with a comma, and absolute
    listing = without(photos, text, "list.txt")
    assert left(listing, photos) == set(NAMES) - {"cat/a.png", "cat/b, c.png"}


def test_a_name_that_is_not_there_is_said(photos):
    listing = without(photos, "cat/gone.png\n", "list.txt")
    assert [(str(item.path), item.reason) for item in listing.skipped] == [
        ("cat/gone.png", "list.txt names it, but no photo is there")
    ]
    assert left(listing, photos) == set(NAMES)


def test_paths_may_be_relative_to_the_csv_of_photos(photos, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("image,label\nphotos/cat/a.png,cat\nphotos/=evil/x.png,dog\n")
    wanted = tmp_path / "list.txt"
    wanted.write_text("photos/cat/a.png\n")
    listing = leave_out(find_photos(table), table, wanted)
    assert [photo.label for photo in listing.photos] == ["dog"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_list_saved_by_a_spreadsheet_is_read(photos, encoding, delimiter):
    (photos / "cat" / "käse.png").touch()
    rows = (("Photo", "exclude"), ("cat\\käse.png", "yes"), ("cat/a.png", "no"))
    text = "\r\n".join(delimiter.join(row) for row in rows)
    assert left(without(photos, text.encode(encoding)), photos) == set(NAMES)


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes there")
def test_a_pipe_in_the_place_of_the_list_is_refused_at_once(photos, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PhotosError, match="cannot be read: it is a folder, a pipe or a device"):
        leave_out(find_photos(photos), photos, tmp_path / "pipe")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_the_list_holds_no_escape_code_and_knows_its_photos_by_their_escapes(photos, tmp_path):
    names = ["\x1b[31m.png", "\x9b.png", "\u202egnp.png", "a\nb.png"]
    for name in names:
        (photos / "cat" / name).touch()
    write_list(
        tmp_path / "l.csv", [Finding("copy", photos / "cat" / n, "", n) for n in names], photos
    )
    text = (tmp_path / "l.csv").read_text(encoding="utf-8")
    assert all(line.isprintable() for line in text.splitlines())
    assert r"cat/\x1b[31m.png" in text
    assert left(leave_out(find_photos(photos), photos, tmp_path / "l.csv"), photos) == set(NAMES)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_unicode_goes_there_and_back(photos, tmp_path):
    odd = photos / "cat" / os.fsdecode(b"caf\xe9.png")
    odd.touch()
    write_list(tmp_path / "out.csv", [Finding("copy", odd, "", "x")], photos)
    listing = leave_out(find_photos(photos), photos, tmp_path / "out.csv")
    assert left(listing, photos) == set(NAMES)


def test_a_list_that_is_not_there_is_refused_by_name(photos, tmp_path):
    with pytest.raises(PhotosError, match=r"--exclude .*gone.csv cannot be read"):
        leave_out(find_photos(photos), photos, tmp_path / "gone.csv")

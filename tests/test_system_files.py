"""What systems and programs leave among photos: at any depth, named once, never a class."""

import pytest

from tests.folders import fill, kinds_of, labels_of, touch
from tests.making import colour_bundle
from training.photos.find import find_photos
from training.photos.listing import count_left_out, left_out_lines
from training.photos.system_files import system_name

FOLDERS = [
    "@eaDir", "@EADIR", "#recycle", "$RECYCLE.BIN", "__MACOSX", ".ipynb_checkpoints",
    "System Volume Information", "lost+found", "@Recently-Snapshot", "@Recycle", ".Trash-1000",
    ".thumbnails", ".git", "__pycache__", ".dtrash", ".picasaoriginals", ".sync", ".stfolder",
    "#snapshot", "~snapshot", ".AppleDouble", "LOST.DIR", "CaptureOne", "trip.lrdata",
    "All.photoslibrary", "@SynoResource", "_vti_cnf", "venv",
    "node_modules", "mlruns", ".@__thumb", "Network Trash Folder",
]  # fmt: skip
FILES = [
    "Thumbs.db", "thumbs.db", "ehthumbs.db", "desktop.ini", ".DS_Store", "._a.jpg", "Icon\r",
    "SYNOPHOTO_THUMB_XL.jpg", "a.jpg.crdownload", "a.xmp", "a.AAE", "ZbThumbnail.info", 
    "Picasa.ini", "~$list.xlsx", "a.jpg~", ".a.jpg.swp", ".nomedia", "events.out.tfevents.1.host",
]  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_a_system_is_no_class_and_holds_no_photos(tmp_path, name):
    fill(tmp_path, "cat", "dog", name, f"cat/{name}", f"dog/may/{name}/1.jpg")
    assert labels_of(tmp_path) == {"cat": 2, "dog": 2}
    assert kinds_of(tmp_path) == {"system": sorted([name, f"cat/{name}", f"dog/may/{name}"])}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_a_system_is_no_photo(tmp_path, name):
    touch(fill(tmp_path, "cat", "dog"), name, f"cat/{name}", f"cat/may/{name}")
    assert labels_of(tmp_path) == {"cat": 2, "dog": 2}
    assert len(kinds_of(tmp_path)["system"]) == 3


@pytest.mark.parametrize(
    "name",
    ["Recycled", "recycle", "Originals", "Backup", "temp", "snapshot", "trash", "thumbs", "dump",
     "@home", "#1", "$100", "lost", "sync", "a part", "Lightroom", "cats.v2"],
)  # fmt: skip
def test_what_people_call_their_classes_is_no_system_folder(tmp_path, name):
    fill(tmp_path, "cat", name)
    assert labels_of(tmp_path) == {"cat": 2, name: 2}


def test_a_system_folder_in_the_root_and_in_a_side_is_left_out(tmp_path):
    fill(tmp_path, "train/cat", "train/@eaDir", "test/cat", "test/cat/@eaDir/1.jpg", "@eaDir")
    assert labels_of(tmp_path) == {"cat": 4}
    assert kinds_of(tmp_path) == {"system": ["@eaDir", "test/cat/@eaDir", "train/@eaDir"]}


def test_each_kind_is_named_once_with_its_count(tmp_path):
    touch(fill(tmp_path, "cat/@eaDir", "dog/@eaDir", "cat", "dog"), "cat/Thumbs.db")
    touch(tmp_path, *(f"cat/._{number}.jpg" for number in range(40)))
    (row,) = count_left_out(find_photos(tmp_path).skipped, tmp_path)
    assert (row.kind, row.count) == ("system", 43)
    assert row.where == "._* (40), @eaDir (2), Thumbs.db (1)"


def test_a_hidden_name_that_nobody_knows_is_named_by_itself():
    assert system_name(".weird") == ".weird"
    assert system_name("." + "x" * 200) == ".*"
    assert system_name("photo.jpg") is None


@pytest.mark.parametrize("place", ["model", "cat/model", "models/colours"])
def test_a_saved_model_is_no_class_and_named(tmp_path, place):
    fill(tmp_path, "cat", "dog")
    (tmp_path / place).parent.mkdir(exist_ok=True)
    colour_bundle(tmp_path / place)
    assert labels_of(tmp_path) == {"cat": 2, "dog": 2}
    assert kinds_of(tmp_path)["bundle"] == [place]


def test_a_class_may_hold_a_file_called_manifest(tmp_path):
    touch(fill(tmp_path, "cat", "dog"), "cat/manifest.json")
    assert labels_of(tmp_path) == {"cat": 3, "dog": 2}


def test_a_model_exported_among_the_photos_is_no_class(tmp_path):
    touch(fill(tmp_path, "cat", "dog"), "out/saved_model.pb", "out/variables/variables.index")
    assert labels_of(tmp_path) == {"cat": 2, "dog": 2}
    assert kinds_of(tmp_path) == {"bundle": ["out"]}


def test_a_folder_that_says_it_is_a_cache_is_left_out(tmp_path):
    touch(fill(tmp_path, "cat", "dog", "thumbs"), "thumbs/CACHEDIR.TAG")
    assert kinds_of(tmp_path) == {"bundle": ["thumbs"]}


def test_what_the_commands_write_beside_class_folders_is_a_document(tmp_path):
    names = ["p-check.html", "p-check.csv", "answers.jsonl", "m.study.jsonl", "x.sqlite", "p.zip"]
    touch(fill(tmp_path, "cat", "dog"), *names)
    assert kinds_of(tmp_path) == {"document": sorted(names)}


def test_what_nobody_takes_for_a_photo_is_never_listed_one_by_one(tmp_path):
    touch(fill(tmp_path, "cat", "dog"), "README.md", "cat/.DS_Store")
    assert left_out_lines(find_photos(tmp_path).skipped, tmp_path, None) == [
        "left out: 2",
        "       1  documents beside the class folders: README.md",
        "       1  kept by a system or a program: .DS_Store (1)",
    ]

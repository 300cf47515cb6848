"""Finding photos: the three layouts, what is left out, and what is said about it."""

import os
import sys
from pathlib import Path

import pytest

from models.errors import PhotosError
from tests.folders import kinds_of, touch
from training.photos.find import find_photos
from training.photos.listing import Photo


def test_a_class_folder_labels_every_file_below_it(tmp_path):
    touch(tmp_path, "dog/a.png", "cat/b.png", "cat/2024/may/c.png")
    listing = find_photos(tmp_path)
    assert listing.photos == [
        Photo(tmp_path / "cat/2024/may/c.png", "cat"),
        Photo(tmp_path / "cat/b.png", "cat"),
        Photo(tmp_path / "dog/a.png", "dog"),
    ]
    assert listing.skipped == []


@pytest.mark.parametrize(
    ("folder", "side"),
    [
        ("validation", "validation"),
        ("val", "validation"),
        ("valid", "validation"),
        ("Valid", "validation"),
        ("test", "test"),
        ("training", "train"),
    ],
)
def test_a_folder_beside_train_is_the_side_its_name_says(tmp_path, folder, side):
    touch(tmp_path, "train/cat/a.png", f"{folder}/cat/b.png")
    sides = {photo.path.name: (photo.label, photo.side) for photo in find_photos(tmp_path).photos}
    assert sides == {"a.png": ("cat", "train"), "b.png": ("cat", side)}


def test_a_folder_beside_train_that_is_no_side_is_named(tmp_path):
    touch(tmp_path, "train/cat/a.png", "extra/cat/b.png")
    listing = find_photos(tmp_path)
    assert [photo.path.name for photo in listing.photos] == ["a.png"]
    assert [item.path for item in listing.skipped] == [tmp_path / "extra"]


def test_val_and_test_are_classes_where_there_is_no_train(tmp_path):
    touch(tmp_path, "test/a.png", "val/b.png")  # a class may be called test
    found = [(photo.label, photo.side) for photo in find_photos(tmp_path).photos]
    assert found == [("test", None), ("val", None)]


def test_hidden_files_and_folders_hold_no_photos(tmp_path):
    touch(tmp_path, ".git/config", "cat/.DS_Store", "cat/a.png", ".thumbs/b.png")
    assert [photo.path for photo in find_photos(tmp_path).photos] == [tmp_path / "cat/a.png"]
    assert kinds_of(tmp_path) == {"system": [".git", ".thumbs", "cat/.DS_Store"]}


def test_a_hidden_folder_inside_a_class_holds_no_photos(tmp_path):
    touch(tmp_path, "cat/a.png", "cat/.ipynb_checkpoints/a-checkpoint.png")  # an older a.png
    assert [photo.path.name for photo in find_photos(tmp_path).photos] == ["a.png"]


def test_a_hidden_place_above_the_photos_hides_nothing(tmp_path):
    touch(tmp_path, ".cache/photos/cat/a.png")
    found = find_photos(tmp_path / ".cache/photos").photos
    assert [photo.path.name for photo in found] == ["a.png"]


def test_an_empty_class_folder_and_a_loose_file_are_named(tmp_path):
    touch(tmp_path, "cat/a.png", "loose.png", "README.md")  # a README is no photo gone astray
    (tmp_path / "dog").mkdir()
    assert kinds_of(tmp_path) == {
        "document": ["README.md"],
        "empty-class": ["dog"],
        "no-class": ["loose.png"],
    }


def test_the_order_does_not_depend_on_which_file_was_made_first(tmp_path):
    names = ["cat/b.png", "cat/a.png", "dog/a.png", "ape/z.png"]
    touch(tmp_path / "one", *names)
    touch(tmp_path / "two", *reversed(names))
    one, two = (
        [photo.path.relative_to(tmp_path / place) for photo in find_photos(tmp_path / place).photos]
        for place in ("one", "two")
    )
    assert one == two == [Path(name) for name in sorted(names)]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_class_folder_whose_name_is_no_unicode_is_refused_before_the_long_work(tmp_path):
    odd = os.fsdecode(b"caf\xe9")  # Latin-1: it could not be written into manifest.json
    touch(tmp_path, "tea/a.png", f"{odd}/b.png")
    with pytest.raises(PhotosError, match="rename"):
        find_photos(tmp_path)


def test_a_place_that_does_not_exist_is_refused_with_what_to_give(tmp_path):
    with pytest.raises(PhotosError, match="nowhere does not exist: give a folder"):
        find_photos(tmp_path / "nowhere")


@pytest.mark.parametrize("files", [(), (".DS_Store",), ("cat/.hidden",)])
def test_a_folder_without_photos_is_refused_with_what_to_make(tmp_path, files):
    place = tmp_path / "pets"
    place.mkdir()
    touch(place, *files)
    with pytest.raises(PhotosError, match=r"no photos in class folders: make .* pets/cat/"):
        find_photos(place)


def test_an_archive_that_nobody_unpacked_is_named(tmp_path):
    touch(tmp_path, "photos.zip")
    with pytest.raises(PhotosError, match=r"no photos in class folders: .*; unpack photos\.zip"):
        find_photos(tmp_path)


def test_a_list_beside_loose_photos_is_named(tmp_path):
    touch(tmp_path, "a.png", "labels.csv")
    with pytest.raises(PhotosError, match=r"; or give the list of labels, such as labels\.csv"):
        find_photos(tmp_path)


def test_photos_in_no_folder_are_counted_where_nothing_else_is_there(tmp_path):
    touch(tmp_path, "a.png", "b.png")
    with pytest.raises(PhotosError, match=r"no photos in class folders \(2 files lie in none\)"):
        find_photos(tmp_path)

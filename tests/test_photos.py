"""Finding photos: the three layouts, what is left out, and what is said about it."""

import os
import sys
from pathlib import Path

import pytest

from models.errors import PhotosError
from tests.making import write_table
from training.photos.find import Photo, Skipped, find_photos


def touch(folder: Path, *names: str) -> None:
    """Empty files, in the order given: nothing here is decoded."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


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
    listing = find_photos(tmp_path)
    assert [photo.path for photo in listing.photos] == [tmp_path / "cat/a.png"]
    assert listing.skipped == []


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
    assert find_photos(tmp_path).skipped == [
        Skipped(tmp_path / "dog", "a class folder without files"),
        Skipped(tmp_path / "loose.png", "not in a class folder"),
    ]


def test_the_order_does_not_depend_on_which_file_was_made_first(tmp_path):
    names = ["cat/b.png", "cat/a.png", "dog/a.png", "ape/z.png"]
    touch(tmp_path / "one", *names)
    touch(tmp_path / "two", *reversed(names))
    one, two = (
        [photo.path.relative_to(tmp_path / place) for photo in find_photos(tmp_path / place).photos]
        for place in ("one", "two")
    )
    assert one == two == [Path(name) for name in sorted(names)]


def test_a_csv_names_photos_relative_to_itself(tmp_path):
    touch(tmp_path, "shots/a.png", "shots/b.png")
    table = write_table(tmp_path / "t.csv", "label,image", "cat,shots/a.png", " dog , shots/b.png ")
    assert find_photos(table).photos == [
        Photo(tmp_path / "shots/a.png", "cat"),
        Photo(tmp_path / "shots/b.png", "dog"),
    ]


def test_a_csv_may_say_the_side_of_each_photo(tmp_path):
    touch(tmp_path, "a.png", "b.png", "c.png", "d.png")
    lines = ("a.png,cat,train", "b.png,cat,VAL", "c.png,cat,test", "d.png,cat,")
    table = write_table(tmp_path / "t.csv", "image,label,split", *lines)
    sides = [photo.side for photo in find_photos(table).photos]
    assert sides == ["train", "validation", "test", None]  # left empty: for us to choose


def test_a_csv_may_say_the_group_of_each_photo(tmp_path):
    touch(tmp_path, "a.png", "b.png", "c.png")
    lines = ("a.png,cat,shoot 1", "b.png,cat, shoot 1 ", "c.png,cat,")
    table = write_table(tmp_path / "t.csv", "image,label,group", *lines)
    assert [photo.group for photo in find_photos(table).photos] == ["shoot 1", "shoot 1", ""]


def test_a_csv_saved_by_excel_begins_with_a_mark_that_is_no_column_name(tmp_path):
    touch(tmp_path, "a.png")
    table = write_table(tmp_path / "t.csv", "image,label", "a.png,Käse", encoding="utf-8-sig")
    assert find_photos(table).photos == [Photo(tmp_path / "a.png", "Käse")]


def test_rows_without_a_file_an_image_or_a_label_are_skipped_with_their_line(tmp_path):
    touch(tmp_path, "a.png")
    lines = ("a.png,cat", "gone.png,cat", ",cat", "a.png")  # the last row is cut short
    listing = find_photos(write_table(tmp_path / "t.csv", "image,label", *lines))
    assert [photo.path.name for photo in listing.photos] == ["a.png"]
    assert [(item.path.name, item.reason) for item in listing.skipped] == [
        ("gone.png", "line 3: no such file"),
        (tmp_path.name, "line 4 has no image or no label"),
        ("a.png", "line 5 has no image or no label"),
    ]


def test_a_name_too_long_for_the_file_system_is_skipped_like_any_missing_file(tmp_path):
    touch(tmp_path, "a.png")
    long = "x" * 300  # Linux allows 255 bytes
    listing = find_photos(
        write_table(tmp_path / "t.csv", "image,label", "a.png,cat", f"{long},cat")
    )
    assert [item.path.name for item in listing.skipped] == [long]


def test_an_unknown_split_is_refused_with_its_line(tmp_path):
    touch(tmp_path, "a.png")
    lines = ("a.png,cat,train", "a.png,cat,holdout")
    table = write_table(tmp_path / "t.csv", "image,label,split", *lines)
    with pytest.raises(PhotosError, match=r"t\.csv, line 3: split is 'holdout'; expected train"):
        find_photos(table)


def test_the_line_is_the_one_an_editor_shows_even_after_an_empty_one(tmp_path):
    touch(tmp_path, "a.png")
    lines = ("a.png,cat,train", "", "a.png,cat,holdout")
    table = write_table(tmp_path / "t.csv", "image,label,split", *lines)
    with pytest.raises(PhotosError, match="line 4"):
        find_photos(table)


@pytest.mark.parametrize(
    ("header", "found"), [("photo,class", "found class, photo"), ("image", "found image")]
)
def test_a_csv_without_its_columns_is_refused_with_those_it_has(tmp_path, header, found):
    table = write_table(tmp_path / "t.csv", header, "a.png,cat")
    with pytest.raises(PhotosError, match="expected the columns image,label; found"):
        find_photos(table)
    with pytest.raises(PhotosError, match=found):
        find_photos(table)


def test_a_csv_whose_files_are_all_missing_is_refused_in_words_that_fit_a_csv(tmp_path):
    table = write_table(tmp_path / "t.csv", "image,label", "gone.png,cat")
    with pytest.raises(PhotosError) as caught:
        find_photos(table)
    assert "no such file" in str(caught.value)  # why, not "make the folder t.csv/cat/"


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\xff\xfe", b"image,label\n"])
def test_a_file_that_is_no_csv_with_rows_is_refused_by_name(tmp_path, content):
    file = tmp_path / "photo.png"
    file.write_bytes(content)
    with pytest.raises(PhotosError, match=r"photo\.png"):
        find_photos(file)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_class_folder_whose_name_is_no_unicode_is_refused_before_the_long_work(tmp_path):
    odd = os.fsdecode(b"caf\xe9")  # Latin-1: it could not be written into manifest.json
    touch(tmp_path, "tea/a.png", f"{odd}/b.png")
    with pytest.raises(PhotosError, match="rename"):
        find_photos(tmp_path)


def test_a_place_that_does_not_exist_is_refused_with_what_to_give(tmp_path):
    with pytest.raises(PhotosError, match="nowhere does not exist: give a folder"):
        find_photos(tmp_path / "nowhere")


@pytest.mark.parametrize("files", [(), (".DS_Store",), ("loose.png",), ("cat/.hidden",)])
def test_a_folder_without_photos_is_refused_with_what_to_make(tmp_path, files):
    place = tmp_path / "pets"
    place.mkdir()
    touch(place, *files)
    with pytest.raises(PhotosError, match=r"no photos in class folders: make .* pets/cat/"):
        find_photos(place)

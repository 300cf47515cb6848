"""Layouts: sides by any usual name, folders around the classes, and what is refused as unclear."""

import re
from pathlib import Path

import pytest

from models.errors import PhotosError
from tests.folders import fill, kinds_of, labels_of, touch
from training.photos.find import find_photos
from training.photos.side_names import side_of, sides_of
from training.prepare import list_photos
from training.settings.config import FitConfig
from training.settings.console import Stages


def sides(source: Path) -> dict[tuple[str, str | None], int]:
    """How many photos of each label stand on each side."""
    found: dict[tuple[str, str | None], int] = {}
    for photo in find_photos(source).photos:
        key = photo.label, photo.side
        found[key] = found.get(key, 0) + 1
    return found


@pytest.mark.parametrize(
    ("name", "side"),
    [(name, "train") for name in (
        "train", "Training", "TRAIN", "train_set", "training-data", "images_train", "TrainSet",
        "training set", "train2017", "trainval", "train_val", "trainingset", "trains",
        "Train images")]
    + [(name, "validation") for name in (
        "val", "valid", "Validation", "dev", "validation_set", "val2017", "ValidSet",
        "valid-images", "development", "validations")]
    + [(name, "test") for name in (
        "test", "Testing", "eval", "evaluation", "holdout", "hold-out", "held_out", "test_set",
        "tests", "TestImages", "test1", "testdata", "test.split")]
    + [(name, None) for name in (
        "cat", "contest", "latest", "devil", "trainer", "valley", "evil", "values", "tested",
        "train cats", "attest", "set", "images", "2017", "", "fold1")],
)  # fmt: skip
def test_a_name_says_a_side_or_none(name, side):
    assert side_of(name) == side


def test_of_names_that_say_more_the_rest_must_be_the_same():
    assert sides_of(["seg_train", "seg_test", "seg_pred"]) == {
        "seg_train": "train",
        "seg_test": "test",
    }
    assert sides_of(["train cats", "test dogs"]) == {}
    assert sides_of(["red test", "blue test"]) == {}  # none of them is train


def test_eval_is_validation_where_a_test_side_stands_beside_it():
    assert sides_of(["train", "eval"]) == {"train": "train", "eval": "test"}
    assert sides_of(["train", "eval", "test"])["eval"] == "validation"
    assert sides_of(["train", "val", "eval", "test"])["eval"] == "test"


@pytest.mark.parametrize(
    ("train", "other", "side"),
    [
        ("training_set", "test_set", "test"),
        ("Training", "Testing", "test"),
        ("train", "dev", "validation"),
        ("train", "eval", "test"),
        ("TRAIN", "Holdout", "test"),
        ("images_train", "images_val", "validation"),
        ("seg_train", "seg_test", "test"),
        ("flowers-train", "flowers-test", "test"),
    ],
)
def test_folders_called_like_sides_are_sides_and_said(tmp_path, train, other, side):
    fill(tmp_path, f"{train}/cat", f"{train}/dog", f"{other}/cat", f"{other}/dog")
    found = {("cat", "train"): 2, ("dog", "train"): 2, ("cat", side): 2, ("dog", side): 2}
    assert sides(tmp_path) == found
    (note,) = find_photos(tmp_path).notes
    assert f"{train}/ is train" in note
    assert f"{other}/ is {side}" in note


def test_two_folders_of_one_side_are_both_used(tmp_path):
    fill(tmp_path, "train/cat", "train/dog", "train_2/cat", "val/dog", "valid/cat")
    assert sides(tmp_path) == {
        ("cat", "train"): 4, ("dog", "train"): 2,
        ("cat", "validation"): 2, ("dog", "validation"): 2,
    }  # fmt: skip


def test_a_class_called_train_among_other_vehicles_is_a_class(tmp_path):
    fill(tmp_path, "car", "bus", "train")
    assert sides(tmp_path) == {("bus", None): 2, ("car", None): 2, ("train", None): 2}


def test_sides_without_train_are_sides_where_they_hold_classes(tmp_path):
    fill(tmp_path, "test/cat", "test/dog")  # for evaluate
    assert sides(tmp_path) == {("cat", "test"): 2, ("dog", "test"): 2}


def test_photos_in_train_and_no_class_folders_are_refused_with_what_to_make(tmp_path):
    fill(tmp_path, "train", "test1")
    with pytest.raises(PhotosError, match="train holds photos, but no class folders"):
        find_photos(tmp_path)


def test_sides_inside_each_class_are_used_and_said(tmp_path):
    fill(tmp_path, "cat/train", "cat/test", "dog/train", "dog/test")
    assert sides(tmp_path) == {
        ("cat", "test"): 2, ("cat", "train"): 2, ("dog", "test"): 2, ("dog", "train"): 2,
    }  # fmt: skip
    assert "has them inside" in find_photos(tmp_path).notes[0]


@pytest.mark.parametrize(
    "places",
    [
        ("fold1/cat", "fold1/dog", "fold2/cat", "fold2/dog"),
        ("part_a/cat", "part_b/cat"),
        ("2019/cat", "2020/cat"),
        ("fold1/Cat", "fold1/caf\u00e9", "fold2/cat", "fold2/cafe\u0301"),
        ("2019/cat", "2019/dog", "2020/cat", "2020/dog", "2020/ape"),  # not all are the same
        ("fold1/cat/2019", "fold1/dog/2019", "fold2/cat/2019", "fold2/dog/2019"),
        ("images/train", "images/val", "labels/other", "labels/train", "labels/val"),
        ("train/fold1/cat", "train/fold1/dog", "train/fold2/cat", "train/fold2/dog", "test/cat"),
    ],
)
def test_parts_of_one_set_are_not_taken_for_classes(tmp_path, places):
    with pytest.raises(PhotosError, match="looks like sides or parts of one set, not like classes"):
        find_photos(fill(tmp_path, *places))


def test_the_refusal_says_which_folders_and_what_to_do(tmp_path):
    fill(tmp_path, "fold1/cat", "fold1/dog", "fold2/cat", "fold2/dog")
    words = f"{tmp_path} holds fold1/, fold2/ and each of them holds cat/, dog/: "
    with pytest.raises(PhotosError, match=re.escape(words)) as caught:
        find_photos(tmp_path)
    assert "call the outer folders train/, validation/ and test/" in str(caught.value)
    assert "write a CSV" in str(caught.value)


@pytest.mark.parametrize(
    "places",
    [
        ("cat/images", "dog/images"),  # says nothing of a class
        ("cat/2019", "cat/2020", "dog/2019", "dog/2020"),  # when they were taken
        ("cat/2019-05-01", "dog/2019-05-01"),
        ("cat/100CANON", "dog/100CANON"),
        ("cat/indoor", "dog"),  # one of them only
        ("cat", "cat/crop", "dog", "dog/crop"),  # photos lie beside it
        ("cat/tabby", "cat/siamese", "dog/poodle", "dog/terrier"),
    ],
)
def test_folders_inside_classes_are_searched_where_they_say_nothing_else(tmp_path, places):
    assert set(labels_of(fill(tmp_path, *places))) == {"cat", "dog"}


def test_a_second_copy_of_the_set_inside_it_is_refused(tmp_path):
    fill(tmp_path, "cat", "dog", "cells/cat", "cells/dog")
    with pytest.raises(PhotosError, match="it looks like a second copy of the photos"):
        find_photos(tmp_path)


@pytest.mark.parametrize("around", ["PetImages", "a/b/c", "data/cats and dogs", "training_data"])
@pytest.mark.parametrize("beside", [(), ("README.md", ".DS_Store", "labels.csv", "photos.zip")])
def test_a_folder_that_holds_nothing_but_one_is_gone_through_and_said(tmp_path, around, beside):
    touch(fill(tmp_path, f"{around}/Cat", f"{around}/Dog"), *beside)
    if around == "training_data":  # a side, if it stood beside another
        assert sides(tmp_path) == {("Cat", "train"): 2, ("Dog", "train"): 2}
        return
    assert sides(tmp_path) == {("Cat", None): 2, ("Dog", None): 2}
    said = find_photos(tmp_path).notes
    assert [note.rpartition(" holds nothing but ")[2] for note in said] == [
        f"{name}/: its folders are read" for name in around.split("/")
    ]


def test_sides_are_found_inside_a_folder_around_them(tmp_path):
    fill(tmp_path, "set/train/cat", "set/train/dog", "set/test/cat", "__MACOSX/set/train/cat")
    assert sides(tmp_path) == {("cat", "train"): 2, ("dog", "train"): 2, ("cat", "test"): 2}


def test_a_side_inside_a_folder_of_its_own_name_is_gone_through(tmp_path):
    places = ("seg_train/seg_train/a", "seg_train/seg_train/b", "seg_test/seg_test/a")
    assert sides(fill(tmp_path, *places)) == {
        ("a", "train"): 2, ("b", "train"): 2, ("a", "test"): 2,
    }  # fmt: skip


def test_a_side_with_one_class_keeps_it(tmp_path):
    fill(tmp_path, "train/cat/2019", "train/dog/2019", "test/cat/2019")
    assert sides(tmp_path)[("cat", "test")] == 2


def test_a_folder_around_photos_that_lie_loose_is_not_gone_through(tmp_path):
    touch(fill(tmp_path, "pets/cat", "pets/dog"), "loose.jpg")
    assert labels_of(tmp_path) == {"pets": 4}


@pytest.mark.parametrize("place", ["test", "test/test", "test/images", "test/unlabeled"])
def test_a_testing_side_without_classes_is_unlabelled_and_no_class(tmp_path, place):
    fill(tmp_path, "train/cat", "train/dog")
    fill(tmp_path, place, count=3)
    assert sides(tmp_path) == {("cat", "train"): 2, ("dog", "train"): 2}
    assert kinds_of(tmp_path) == {"no-class": [f"{place}/{number}.jpg" for number in range(3)]}
    said = f"{tmp_path / 'test'} has no photos in class folders: test photos are taken out of train"
    assert find_photos(tmp_path).notes == [said]


def test_class_folders_without_photos_are_named(tmp_path):
    fill(tmp_path, "cat", "dog")
    touch(tmp_path, "notes/a.xml", "notes/b.txt")
    (tmp_path / "ape/below").mkdir(parents=True)
    assert labels_of(tmp_path) == {"cat": 2, "dog": 2}
    assert kinds_of(tmp_path) == {"empty-class": ["ape"], "no-photos": ["notes"]}


def test_a_folder_of_annotations_beside_the_classes_gets_advice(tmp_path):
    touch(fill(tmp_path, "images/cat", "images/dog"), "annotations/0.xml")
    words = (
        r"found one class or fewer \(images\): two are needed to tell apart; without photos: "
        r"annotations; if the folders in .*/images are the classes, give that folder"
    )
    with pytest.raises(PhotosError, match=words):
        list_photos(tmp_path, tmp_path.parent / "m", FitConfig(), Stages(quiet=True))

"""Labels that look alike: one form of Unicode everywhere, the rest named and joined if asked."""

from pathlib import Path

import pytest

from models.errors import PhotosError
from tests.folders import fill, labels_of
from tests.making import write_table
from training.photos.find import find_photos
from training.photos.labels import join_labels, look_alike_key, match_labels
from training.photos.listing import Photo

COMPOSED, APART = "caf\u00e9", "cafe\u0301"  # one word


def merged(source: Path) -> dict[str, int]:
    photos = find_photos(source, merge_names=True).photos
    return {label: sum(p.label == label for p in photos) for label in {p.label for p in photos}}


def test_an_accent_written_in_two_ways_is_one_label_and_the_path_stays_as_on_disk(tmp_path):
    fill(tmp_path, f"train/{COMPOSED}", "train/tea", f"test/{APART}", "test/tea")
    photos = find_photos(tmp_path).photos
    assert {photo.label for photo in photos} == {COMPOSED, "tea"}
    assert {photo.path.parent.name for photo in photos} == {COMPOSED, APART, "tea"}
    assert all(photo.path.is_file() for photo in photos)


def test_two_folders_of_one_label_side_by_side_are_one_class(tmp_path):
    assert labels_of(fill(tmp_path, COMPOSED, APART, "tea")) == {COMPOSED: 4, "tea": 2}


def test_a_label_of_a_list_is_composed_too(tmp_path):
    fill(tmp_path, "x")
    lines = (f"x/0.jpg,{COMPOSED}", f"x/1.jpg,{APART}")
    table = write_table(tmp_path / "t.csv", "image,label", *lines)
    assert labels_of(table) == {COMPOSED: 2}


@pytest.mark.parametrize(
    "other",
    ["Shoes", "SHOES", "shoes ", " shoes", "sho\u200bes", "shoes\u00ad", "\ufeffshoes", 
     "\uff53hoes",
     "shoes\ufe0f"],
)  # fmt: skip
def test_names_that_look_alike_are_named_and_joined_if_asked(tmp_path, other):
    fill(tmp_path, "shoes", "hat", count=3)
    fill(tmp_path, other, count=1)
    assert merged(tmp_path) == {"shoes": 4, "hat": 3}
    said = find_photos(tmp_path, merge_names=True).notes[0]
    assert said.startswith("joined classes that look alike to 'shoes': ")
    if other.isprintable():
        assert set(labels_of(tmp_path)) == {"shoes", "hat", other}
        (note,) = find_photos(tmp_path).notes
        assert note.startswith("classes look alike: ")
        assert f"'{other}' (1)" in note
        assert "'shoes' (3)" in note
        assert note.endswith("rename one, or pass --merge-names to join them")
    else:
        with pytest.raises(
            PhotosError, match="cannot be shown: rename its folder, or pass --merge"
        ):
            find_photos(tmp_path)


@pytest.mark.parametrize(
    "other", ["red dress", "red  dress", "red-dress", "Red_Dress", "red\u00a0dress"]
)
def test_spaces_hyphens_and_underscores_are_alike(other):
    assert look_alike_key(other) == look_alike_key("red_dress")


@pytest.mark.parametrize("other", ["reddress", "red dress 2", "rêd dress", "red.dress"])
def test_other_letters_are_another_name(other):
    assert look_alike_key(other) != look_alike_key("red_dress")


def test_the_spelling_that_most_photos_have_wins_and_spaces_at_its_ends_go(tmp_path):
    fill(tmp_path, "shoes ", "hat", count=5)
    fill(tmp_path, "Shoes", count=2)
    assert merged(tmp_path) == {"shoes": 7, "hat": 5}


def test_a_name_that_looks_like_no_other_stays_as_it_is(tmp_path):
    assert merged(fill(tmp_path, "T-Shirt_1", "hat ")) == {"T-Shirt_1": 2, "hat": 2}
    assert labels_of(tmp_path) == {"T-Shirt_1": 2, "hat ": 2}


def test_many_groups_are_counted_after_the_first(tmp_path):
    names = [f"c{number}" for number in range(8)]
    fill(tmp_path, *names, *(name.upper() for name in names))
    (note,) = find_photos(tmp_path).notes
    assert note.count("(2)") == 10
    assert " and 3 more: rename one" in note


def test_labels_meet_the_names_of_a_model():
    names = [APART, "Shoes", "hat"]  # a model made elsewhere may have the other form
    assert match_labels([COMPOSED, "hat"], names, merge=False) == {COMPOSED: APART, "hat": "hat"}
    assert match_labels(["shoes", "HAT ", "sock"], names, merge=False) == {}
    joined = match_labels(["shoes", "HAT ", "sock"], names, merge=True)
    assert joined == {"shoes": "Shoes", "HAT ": "hat"}


def test_a_label_that_looks_like_two_names_of_a_model_is_neither():
    assert match_labels(["SHOES"], ["Shoes", "shoes"], merge=True) == {}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["shoes", "a" * 1_001],
            "names of classes: 'a{20}'... of 1,001 letters; the limit is 1,000",
        ),
        ([f"{n:03}" + "\U0001f600" * 900 for n in range(100)], "1,000,000 letters together"),
    ],
)
def test_names_that_no_bundle_may_have_are_refused_before_anything_is_computed(names, said):
    photos = [Photo(Path("photo.jpg"), name) for name in names]
    with pytest.raises(PhotosError, match=f"{said}.*: shorten them"):
        join_labels(photos, merge=False)

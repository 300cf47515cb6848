"""Sides that share no file, whatever names the files have."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.errors import PhotosError
from training.photos.listing import Photo
from training.sides.split import Shares, Split, split_photos


def photos_of(*groups: tuple[str, int, str | None]) -> tuple[list[Photo], list[bytes]]:
    """`count` different photos for each (label, count, side), and their digests."""
    photos = [
        Photo(Path(f"{label}/{side}{number}.png"), label, side)
        for label, count, side in groups
        for number in range(count)
    ]
    return photos, [digest(str(photo.path)) for photo in photos]


def digest(content: str) -> bytes:
    return hashlib.sha256(content.encode()).digest()


def split(photos: list[Photo], digests: list[bytes], seed: int = 0, **more: Any) -> Split:
    return split_photos(photos, digests, Shares(seed, 0.15, 0.15), **more)


def sides_of(found: Split) -> tuple[list[int], list[int], list[int]]:
    return found.train, found.validation, found.test


def recorded(found: Split, digests: list[bytes]) -> dict[bytes, str]:
    """Content -> side."""
    names = ("train", "validation", "test")
    return {digests[i]: name for name in names for i in getattr(found, name)}


def counts(found: Split) -> tuple[int, int, int]:
    return len(found.train), len(found.validation), len(found.test)


def test_every_class_is_dealt_out_by_the_same_shares_on_average():
    photos, digests = photos_of(("cat", 2000, None), ("dog", 1000, None))
    found = split(photos, digests)
    for label, count in (("cat", 2000), ("dog", 1000)):
        for side in (found.validation, found.test):
            share = sum(photos[index].label == label for index in side) / count
            assert share == pytest.approx(0.15, abs=0.03)  # 3 standard deviations of 1,000 draws


def test_no_class_misses_a_side_however_few_its_photos():
    for seed in range(30):
        photos, digests = photos_of(("cat", 3, None), ("dog", 4, None), ("ape", 9, None))
        found = split(photos, digests, seed)
        for side in (found.train, found.validation, found.test):
            assert {photos[index].label for index in side} == {"cat", "dog", "ape"}


def test_photos_that_are_added_move_none_that_is_there():
    photos, digests = photos_of(("cat", 200, None), ("dog", 100, None))
    more, more_digests = photos_of(("cat", 240, None), ("dog", 120, None))  # a fifth on top
    before, after = split(photos, digests), split(more, more_digests)
    for side in ("train", "validation", "test"):
        one = {digests[index] for index in getattr(before, side)}
        assert one <= {more_digests[index] for index in getattr(after, side)}


def test_near_copies_go_to_one_side_together():
    photos, digests = photos_of(("cat", 60, None), ("dog", 60, None))
    near = [(index, index + 1) for index in range(0, 120, 3)]  # 0-1, 3-4, ...
    for seed in range(5):
        found = split(photos, digests, seed, near=near)
        for one, other in near:
            assert any({one, other} <= set(side) for side in sides_of(found))
        assert sum(counts(found)) == 120


def test_photos_of_one_group_stand_on_one_side():
    photos, digests = photos_of(("cat", 40, None), ("dog", 40, None))
    photos = [replace(photo, group=f"shoot {i // 4}") for i, photo in enumerate(photos)]
    found = split(photos, digests)
    for first in range(0, 80, 4):
        assert any(set(range(first, first + 4)) <= set(side) for side in sides_of(found))


def test_a_near_copy_of_a_test_photo_among_given_training_photos_is_left_out_and_named():
    photos, digests = photos_of(
        ("cat", 3, "train"), ("dog", 3, "train"), ("cat", 1, "validation"), ("dog", 1, "test")
    )
    found = split(photos, digests, near=[(3, 7), (0, 1)])
    assert found == Split([0, 1, 2, 4, 5], [6], [7], found.skipped)
    reason = "a near copy of dog/test0.png, which is on the side test"
    assert [(str(item.path), item.reason) for item in found.skipped] == [("dog/train0.png", reason)]


def test_a_known_side_is_kept_when_a_new_near_copy_joins():
    photos, digests = photos_of(("cat", 40, None), ("dog", 40, None))
    found = split(photos[:-1], digests[:-1])
    known = recorded(found, digests)
    for partner in (found.test[0], found.validation[0], found.train[0]):
        again = split(photos, digests, near=[(partner, 79)], known=known)
        side = known[digests[partner]]
        assert {partner, 79} <= set(getattr(again, side))
        assert recorded(again, digests) == known | {digests[79]: side}


def test_a_tiny_class_that_grows_keeps_its_known_sides():
    more, more_digests = photos_of(("cat", 30, None), ("dog", 30, None))
    few = [0, 1, 2, *range(30, 60)]  # three cats, one on each side by necessity
    digests = [more_digests[i] for i in few]
    known = recorded(split([more[i] for i in few], digests), digests)
    again = recorded(split(more, more_digests, known=known), more_digests)
    assert {digest: again[digest] for digest in known} == known


def test_known_photos_that_turn_out_near_copies_on_two_sides_do_not_leak():
    photos, digests = photos_of(("cat", 40, None), ("dog", 40, None))
    known = {digests[0]: "train", digests[1]: "test"}
    found = split(photos, digests, near=[(0, 1), (1, 2)], known=known)
    assert {1, 2} <= set(found.test)  # what is new joins
    reason = "a near copy of cat/None1.png, which is on the side test"
    assert [(str(item.path), item.reason) for item in found.skipped] == [("cat/None0.png", reason)]


def test_a_given_side_wins_over_a_known_one():
    photos, digests = photos_of(("cat", 9, "train"), ("dog", 9, "train"), ("dog", 1, "test"))
    known = {digests[0]: "test", digests[1]: "validation", digests[18]: "train"}
    found = split(photos, digests, known=known)
    assert found.test == [18]
    assert 1 in found.validation  # nobody gave that side: what was known of it holds
    assert 0 not in found.test


def test_a_class_of_nothing_but_near_copies_is_dealt_out_all_the_same_and_named():
    photos, digests = photos_of(("cat", 20, None), ("dog", 20, None))
    found = split(photos, digests, near=[(index, index + 1) for index in range(19)])
    assert sum(counts(found)) == 40
    assert ["'cat'" in note for note in found.notes] == [True]


def test_every_photo_is_on_exactly_one_side():
    photos, digests = photos_of(("cat", 13, None), ("dog", 17, None))
    found = split(photos, digests)
    assert sorted(found.train + found.validation + found.test) == list(range(30))
    assert found.skipped == []


def test_the_same_seed_gives_the_same_sides_and_another_seed_others():
    photos, digests = photos_of(("cat", 20, None), ("dog", 20, None))
    assert split(photos, digests, seed=1) == split(photos, digests, seed=1)
    assert split(photos, digests, seed=1).test != split(photos, digests, seed=2).test


def test_renaming_and_reordering_files_changes_nothing():
    photos, digests = photos_of(("cat", 20, None), ("dog", 20, None))
    renamed = [Photo(Path(f"{photo.label}/{i}.jpg"), photo.label) for i, photo in enumerate(photos)]
    before, after = split(photos, digests), split(renamed[::-1], digests[::-1])
    for side in ("train", "validation", "test"):
        one = {digests[index] for index in getattr(before, side)}
        other = {digests[::-1][index] for index in getattr(after, side)}
        assert one == other


def test_identical_files_go_to_one_side_together():
    photos, digests = photos_of(("cat", 20, None), ("dog", 20, None))
    digests[10:20] = digests[:10]  # every cat is there twice
    for seed in range(5):
        found = split(photos, digests, seed)
        sides = [{digests[i] for i in side} for side in (found.train, found.validation, found.test)]
        assert not sides[0] & sides[1]
        assert not sides[0] & sides[2]
        assert not sides[1] & sides[2]
        assert sum(counts(found)) == 40  # a copy is no reason to leave a photo out


def test_of_copies_on_given_sides_the_one_that_tests_stays_and_the_rest_is_named():
    photos, digests = photos_of(
        ("cat", 2, "train"), ("dog", 2, "train"), ("cat", 2, "validation"), ("cat", 1, "test")
    )
    digests[0] = digests[4] = digests[6]  # one cat on all three sides
    found = split(photos, digests)
    assert found == Split([1, 2, 3], [5], [6], found.skipped)
    reason = "the same file as cat/test0.png, which is on the side test"
    assert {(str(item.path), item.reason) for item in found.skipped} == {
        ("cat/train0.png", reason),
        ("cat/validation0.png", reason),
    }


def test_the_same_file_under_two_labels_is_left_out_and_named():
    photos, digests = photos_of(("cat", 10, None), ("dog", 10, None))
    digests[0] = digests[10]
    found = split(photos, digests)
    assert sum(counts(found)) == 18
    reason = "the same file stands in the classes cat, dog"
    named = {(str(item.path), item.reason) for item in found.skipped}
    assert named == {("cat/None0.png", reason), ("dog/None0.png", reason)}


@pytest.mark.parametrize("order", [1, -1])
def test_a_copy_without_a_side_joins_the_training_photo_it_equals(order):
    photos, digests = photos_of(("cat", 6, "train"), ("dog", 6, "train"), ("cat", 1, None))
    digests[12] = digests[0]
    found = split(photos[::order], digests[::order])
    assert found.skipped == []  # both train, or both are dealt out: nothing leaks
    assert sum(counts(found)) == 13


def test_photos_keep_the_side_they_came_with():
    photos, digests = photos_of(
        ("cat", 9, "train"), ("dog", 9, "train"), ("cat", 1, "validation"), ("dog", 1, "test")
    )
    found = split(photos, digests)
    assert counts(found) == (18, 1, 1)
    assert found.validation == [18]
    assert found.test == [19]


def test_a_side_nobody_gave_is_taken_out_of_train():
    photos, digests = photos_of(("cat", 10, "train"), ("dog", 10, "train"), ("dog", 3, "test"))
    found = split(photos, digests)
    assert sum(counts(found)) == 23
    assert {photos[index].label for index in found.validation} == {"cat", "dog"}
    assert set(found.validation) < set(range(20))
    assert found.test == [20, 21, 22]


@pytest.mark.parametrize("side", ["validation", "test"])
def test_a_side_whose_photos_were_all_left_out_is_taken_out_of_train(side):
    photos, digests = photos_of(
        ("cat", 10, "train"), ("dog", 10, "train"), ("cat", 1, side), ("dog", 1, side)
    )
    digests[20] = digests[21]  # the only two photos of that side contradict each other
    found = split(photos, digests)
    assert found.validation  # an empty side would stop the run with a traceback
    assert found.test


def test_a_class_with_too_few_different_photos_is_refused_with_what_to_do():
    photos, digests = photos_of(("cat", 5, None), ("dog", 3, None))
    assert counts(split(photos, digests)) == (4, 2, 2)  # three: one for each side
    digests[6] = digests[5]  # two of the dogs are one photo
    with pytest.raises(PhotosError, match=r"class 'dog' has 2 usable .* 3 or more .*add photos"):
        split(photos, digests)


def test_two_photos_are_enough_where_only_one_side_is_to_be_made():
    photos, digests = photos_of(("cat", 2, "train"), ("dog", 2, "train"), ("dog", 1, "test"))
    assert counts(split(photos, digests)) == (2, 2, 1)


def test_one_class_only_is_refused_by_name():
    photos, digests = photos_of(("cat", 9, None))
    with pytest.raises(PhotosError, match=r"one class or fewer \(cat\)"):
        split(photos, digests)


@pytest.mark.parametrize("side", ["validation", "test"])
def test_a_label_that_training_never_saw_is_refused_by_name(side):
    photos, digests = photos_of(("cat", 5, "train"), ("dog", 5, "train"), ("ape", 1, side))
    with pytest.raises(PhotosError, match=f"{side} has classes without training photos: ape"):
        split(photos, digests)

"""Findings: what each kind says, on features made by hand and photos of 40 px."""

from pathlib import Path

import numpy as np

from training.doctor.examine import PROBLEMS, Checkup, Finding, examine
from training.doctor.near_copies import NearCopy
from training.features.compute import Features
from training.features.thumbnails import Appearance
from training.photos.listing import Listing, Photo, Skipped
from training.sides.class_sizes import is_uneven

FINE = Appearance(400, 300, "PNG", 40.0)


def photo(name: str, label: str = "cat", side: str | None = None) -> Photo:
    return Photo(Path(name), label, side)


def checkup(
    photos: list[Photo],
    digests: list[bytes] | None = None,
    appearances: dict[bytes, Appearance] | None = None,
    near: tuple[NearCopy, ...] = (),
    skipped: tuple[Skipped, ...] = (),
) -> Checkup:
    """A checkup without the labels; photos look fine and differ unless it is said."""
    digests = digests or [bytes([number]) for number in range(len(photos))]
    vectors = np.zeros((len(photos), 2), np.float32)
    features = Features(photos, vectors, digests, list(skipped), 0)
    listing = Listing(photos + [photo(str(item.path)) for item in skipped])
    known = {digest: (appearances or {}).get(digest, FINE) for digest in digests}
    return examine(listing, features, known, near, size=224)


def told(found: Checkup) -> list[tuple[str, str, str]]:
    return [(each.code, str(each.photo), str(each.other)) for each in found.findings]


def test_a_file_that_could_not_be_read_is_named_with_its_reason():
    found = checkup([photo("a.png")], skipped=(Skipped(Path("b.jpg"), "the image is damaged"),))
    assert found.findings == [Finding("unreadable", Path("b.jpg"), "cat", "the image is damaged")]
    assert found.photos == 2


def test_of_exact_copies_all_but_the_first_are_named():
    found = checkup([photo("a.png"), photo("b.png"), photo("c.png")], [b"1", b"1", b"1"])
    assert told(found) == [("copy", "b.png", "a.png"), ("copy", "c.png", "a.png")]


def test_of_copies_on_two_sides_the_one_that_tests_is_kept():
    photos = [photo("a.png", side="train"), photo("b.png", side="test")]
    found = checkup(photos, [b"1", b"1"])
    assert told(found) == [("copy-sides", "a.png", "b.png")]
    assert found.findings[0].detail == "on the side train, and on test"


def test_copies_in_two_classes_are_all_named_because_nobody_knows_which_is_right():
    found = checkup([photo("a.png", "cat"), photo("b.png", "dog")], [b"1", b"1"])
    assert told(found) == [("copy-classes", "a.png", "b.png"), ("copy-classes", "b.png", "a.png")]


def test_of_near_copies_the_smaller_is_named():
    small = Appearance(200, 150, "JPEG", 40.0)
    near = (NearCopy(0, 1, 3.0, True),)
    found = checkup([photo("a.jpg"), photo("b.png")], appearances={b"\0": small}, near=near)
    assert told(found) == [("near", "a.jpg", "b.png")]
    assert found.findings[0].detail == "200 x 150 and 400 x 300 px, mirrored"


def test_near_copies_on_two_sides_and_in_two_classes_are_told_apart():
    photos = [photo("a.png", side="test"), photo("b.png", side="train"), photo("c.png", "dog")]
    near = (NearCopy(0, 1, 3.0, False), NearCopy(1, 2, 3.0, False))
    found = checkup(photos, near=near)
    assert told(found) == [("near-classes", "c.png", "b.png"), ("near-sides", "b.png", "a.png")]


def test_one_colour_tiny_and_mistyped_photos_are_named():
    appearances = {
        b"\0": Appearance(400, 300, "PNG", 0.4),
        b"\1": Appearance(100, 111, "PNG", 40.0),  # less than half of 224
        b"\2": Appearance(100, 112, "PNG", 40.0),
        b"\3": Appearance(400, 300, "JPEG", 40.0),
    }
    found = checkup([photo(f"{name}.PNG") for name in "abcd"], appearances=appearances)
    assert told(found) == [
        ("one-colour", "a.PNG", "None"),
        ("tiny", "b.PNG", "None"),
        ("type", "d.PNG", "None"),
    ]
    assert found.findings[-1].detail == "named .png, but it is JPEG"


def test_photos_whose_alpha_hides_them_are_named_and_stay():
    appearances = {b"\0": Appearance(400, 300, "PNG", 40.0, alpha_ignored=True), b"\1": FINE}
    found = checkup([photo("a.png"), photo("b.png")], appearances=appearances)
    assert told(found) == [("alpha", "a.png", "None")]
    assert found.findings[0].detail == (
        "alpha hides nearly the whole photo: colours are used as they are"
    )
    assert not PROBLEMS["alpha"].exclude


def test_where_most_photos_are_tiny_it_is_said_once():
    small = Appearance(64, 64, "PNG", 40.0)
    found = checkup([photo(f"{n}.png") for n in "abc"], appearances={b"\0": small, b"\1": small})
    assert found.findings == []
    assert found.notes[-1].startswith("2 photos have less than half the 224 px")


def test_a_name_without_a_known_ending_claims_nothing():
    assert checkup([photo("a"), photo("b.photo")]).findings == []


def test_tiny_classes_and_imbalance_are_said_in_words():
    photos = [photo(f"{n}.png", "cat") for n in range(50)] + [
        photo(f"d{n}.png", "dog") for n in "ab"
    ]
    found = checkup(photos)
    assert found.notes == [
        "class 'dog' has 2 photo(s): too few for reliable numbers",
        "class 'cat' has 50 photos and 'dog' 2: accuracy depends mostly on the large class; "
        "balanced accuracy counts both the same",
    ]
    assert found.in_words() == ["52 photos in 2 classes", *found.notes]


def test_uneven_begins_where_the_report_and_the_model_card_begin():
    for most in (99, 100):
        photos = [photo(f"c{n}.png", "cat") for n in range(most)]
        notes = checkup(photos + [photo(f"d{n}.png", "dog") for n in range(10)]).notes
        assert bool(notes) is is_uneven([most, 10]) is (most == 100)


def test_numbers_as_classes_are_noted_in_their_own_order():
    notes = checkup([photo(f"{n}.png", str(n)) for n in range(12)]).notes
    assert [note.split("'")[1] for note in notes] == [str(n) for n in range(12)]


def test_photos_without_a_fault_are_said_to_have_none():
    found = checkup([photo(f"{n}.png") for n in range(10)])
    assert found.in_words() == ["10 photos in 1 classes", "nothing found"]


def test_every_problem_says_what_it_means():
    for code, problem in PROBLEMS.items():
        assert code == problem.code
        assert problem.meaning.endswith(".")

"""The confusion matrix and the photos behind its cells."""

import numpy as np
import pytest

from models.images import Limits
from tests.making import COLOURS, picture
from training.photos.find import Photo
from training.report import gallery as room
from training.report.confusion import confused_pairs, matrix, most_confused
from training.report.gallery import ClassifiedPhotos, Gallery, build_gallery

METRICS = {
    "confusion": [[5, 2, 0], [1, 9, 0], [0, 4, 6]],
    "confusion_labels": ["a", "b", "c"],
}


@pytest.fixture
def tested(tmp_path):
    """30 photos of `a`: 20 taken for `b` with falling confidence, 10 recognised."""
    photos = []
    for number in range(30):
        path = tmp_path / f"{number:02}.png"
        path.write_bytes(picture(COLOURS["red"], number))
        photos.append(Photo(path, "a"))
    sure = np.linspace(0.95, 0.6, 20)
    wrong = np.stack([1 - sure, sure], axis=1)
    probabilities = np.concatenate([wrong, np.tile([0.8, 0.2], (10, 1))])
    return ClassifiedPhotos(photos, np.zeros(30, int), probabilities, ["a", "b"])


def test_the_pairs_confused_most_come_first():
    assert most_confused(METRICS, count=2) == [("c", "b", 4), ("a", "b", 2)]
    assert len(most_confused(METRICS)) == 3  # pairs never confused are left out
    assert METRICS["confusion"][0] == [5, 2, 0]  # and the diagonal kept


def test_shades_are_shares_of_the_row_and_of_the_worst_mistake():
    rows = matrix(METRICS, Gallery())
    assert rows[0][0].shade == pytest.approx(5 / 7, abs=1e-3)
    assert rows[2][1].shade == 1  # 4 of 10: the largest share of any row
    assert rows[0][1].shade == pytest.approx((2 / 7) / 0.4, abs=1e-3)
    assert [cell.right for cell in rows[1]] == [False, True, False]


def test_a_class_without_test_photos_has_an_empty_row():
    rows = matrix({"confusion": [[0, 0], [1, 1]], "confusion_labels": ["a", "b"]}, Gallery())
    assert [cell.shade for cell in rows[0]] == [0, 0]  # no division by zero


def test_a_matrix_of_very_many_classes_is_not_drawn():
    many = {
        "confusion": np.eye(41, dtype=int).tolist(),
        "confusion_labels": [f"{n}" for n in range(41)],
    }
    assert matrix(many, Gallery()) is None
    assert confused_pairs(many, Gallery()) == []


def test_a_cell_holds_a_dozen_photos_the_most_confident_first(tested):
    found = build_gallery(tested, Limits())
    wrong, right = found.cells["a", "b"], found.cells["a", "a"]
    assert [item.name for item in wrong] == [f"{number:02}.png" for number in range(12)]
    assert wrong[0].probability == pytest.approx(0.95)
    assert len(right) == 4
    assert found.left_out == {("a", "b"): 8, ("a", "a"): 6}
    cell = matrix({"confusion": [[10, 20], [0, 0]], "confusion_labels": ["a", "b"]}, found)[0][1]
    assert (len(cell.photos), cell.left_out) == (12, 8)


def test_where_room_is_short_every_cell_gets_a_photo_before_any_gets_two(tested, monkeypatch):
    monkeypatch.setattr(room, "MOST", 3)
    found = build_gallery(tested, Limits())
    assert {cell: len(items) for cell, items in found.cells.items()} == {
        ("a", "b"): 2,
        ("a", "a"): 1,
    }


def test_the_bytes_of_all_photos_are_bounded(tested, monkeypatch):
    whole = build_gallery(tested, Limits())
    size = sum(len(item.picture) for cell in whole.cells.values() for item in cell)
    monkeypatch.setattr(room, "LIMIT_BYTES", size // 2)
    half = build_gallery(tested, Limits(), workers=2)
    kept = [item for cell in half.cells.values() for item in cell]
    assert 0 < sum(len(item.picture) for item in kept) <= size // 2
    assert sum(half.left_out.values()) == 30 - len(kept)


def test_a_photo_that_vanished_is_counted_and_not_shown(tested):
    tested.photos[0].path.unlink()
    found = build_gallery(tested, Limits())
    assert found.cells["a", "b"][0].name == "01.png"
    assert found.left_out["a", "b"] == 9

"""The record of sides: what comes back, for whom, and what a damaged one says."""

import hashlib
import re
from pathlib import Path

import pytest

from models.errors import BundleError
from training.sides.remembered import read_sides, write_sides
from training.sides.split import Split

SETTINGS = {"seed": 0, "validation_share": 0.15, "test_share": 0.15}
DIGESTS = [hashlib.sha256(bytes([number])).digest() for number in range(5)]


def write(folder: Path, known: dict[bytes, str] | None = None) -> None:
    write_sides(folder, Split([0, 1], [2], [3], []), DIGESTS, known or {}, SETTINGS)


def test_sides_come_back_by_content(tmp_path):
    write(tmp_path)
    sides = ("train", "train", "validation", "test")
    assert read_sides(tmp_path, SETTINGS) == dict(zip(DIGESTS, sides, strict=False))


def test_a_photo_that_is_gone_keeps_its_side_for_when_it_returns(tmp_path):
    write(tmp_path, known={DIGESTS[4]: "test"})
    assert read_sides(tmp_path, SETTINGS)[DIGESTS[4]] == "test"


def test_another_seed_or_share_begins_anew(tmp_path):
    write(tmp_path)
    assert read_sides(tmp_path, SETTINGS | {"seed": 1}) == {}
    assert read_sides(tmp_path, SETTINGS | {"test_share": 0.2}) == {}


def test_where_no_bundle_is_nothing_is_known(tmp_path):
    assert read_sides(tmp_path / "new", SETTINGS) == {}


@pytest.mark.parametrize("content", ["", "[]", '{"settings": 1}', '{"sides": 3'])
def test_a_damaged_record_is_refused_with_the_file_to_delete(tmp_path, content):
    (tmp_path / "split.json").write_text(content, encoding="latin-1")
    if content == '{"settings": 1}':  # of other settings: nobody asks for the rest
        assert read_sides(tmp_path, SETTINGS) == {}
        return
    with pytest.raises(BundleError, match=re.escape("split.json cannot be read") + ".*delete it"):
        read_sides(tmp_path, SETTINGS)

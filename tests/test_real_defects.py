"""The doctor's bars, on real photos with seeded defects; and that training on them ends well.

Needs the folder `clothing` (train/ validation/ test/ with class folders) in $LAYERSCOPE_DATASETS.
"""

import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest

from tests.real import command, dataset
from tests.seeding import Seeded, seed_defects

pytestmark = [pytest.mark.photos, pytest.mark.slow, pytest.mark.nodes]
NEAR = ("near", "near-sides", "near-classes")


@pytest.fixture(scope="module")
def seeded(clothing: Path, tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    """`clothing` has left the features of the untouched photos in the cache."""
    return seed_defects(dataset("clothing"), tmp_path_factory.mktemp("seeded") / "photos")


@pytest.fixture(scope="module")
def found(seeded: Seeded) -> dict[str, list[Path]]:
    """Code -> photos, in the order of the list that `check` wrote."""
    page = seeded.folder.with_name("check.html")
    print(command("check", seeded.folder, "--out", page))
    rows = defaultdict(list)
    with page.with_suffix(".csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows[row["problem"]].append(seeded.folder / row["photo"])
            if row["problem"] in NEAR:  # either of two may be called the copy
                rows[row["problem"]].append(seeded.folder / row["other"])
    return rows


def test_every_corrupt_file_is_found_and_nothing_else(seeded, found):
    assert set(found["unreadable"]) == set(seeded.corrupt)


def test_every_exact_copy_is_found(seeded, found):
    named = {*found["copy"], *found["copy-sides"], *found["copy-classes"]}
    missed = [
        copy
        for copy in seeded.copies
        if copy not in named
        and not any(p.read_bytes() == copy.read_bytes() for p in named)  # the other one is named
    ]
    assert missed == []


@pytest.mark.parametrize("change", ["saved again", "resized", "cropped", "mirrored"])
def test_nine_in_ten_near_copies_are_found(seeded, found, change):
    named = {path for code in NEAR for path in found[code]}
    share = sum(path in named for path in seeded.near[change]) / len(seeded.near[change])
    print(change, share)
    assert share >= 0.9


def test_near_copies_are_hardly_ever_mere_lookalikes(seeded, found):
    """The untouched photos hold two true pairs (one of them in two classes)."""
    changed = {path for paths in seeded.near.values() for path in paths}
    changed |= {*seeded.tiny, *seeded.mistyped, *seeded.copies}
    pairs = [
        pair
        for code in NEAR
        for pair in zip(found[code][::2], found[code][1::2], strict=True)
        if not changed & set(pair)
    ]
    assert len(pairs) <= 4


def test_most_flipped_labels_are_among_the_first_tenth(seeded, found):
    files = sum(path.is_file() for path in seeded.folder.rglob("*"))
    first = set(found["label"][: files // 10])
    share = sum(path in first for path in seeded.flipped) / len(seeded.flipped)
    print("flipped labels found", share, "suspects", len(found["label"]))
    assert share >= 0.7


def test_photos_of_one_colour_tiny_ones_and_false_names_are_found(seeded, found):
    assert set(found["one-colour"]) == set(seeded.plain)
    assert set(found["tiny"]) >= set(seeded.tiny)
    assert set(found["type"]) == set(seeded.mistyped)


def test_training_on_all_that_ends_well(seeded):
    out = seeded.folder.with_name("bundle")
    command("fit", seeded.folder, "--out", out, "--quiet", "--no-insight")
    measured = json.loads(command("evaluate", out, dataset("clothing")))
    assert measured["accuracy"] >= 0.84  # 0.89 without defects; the true test photos

"""Independent photos: copies and near copies of a test photo make no number more certain."""

import shutil

import numpy as np
import pytest

from tests.making import write_sides
from training.evaluation.intervals import share_interval, wilson
from training.fit import fit
from training.photos.listing import Photo
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.sides.units import number_units


def test_copies_near_copies_and_groups_share_a_number(tmp_path):
    photos = [Photo(tmp_path / str(n), "a", group="film" if n in (4, 5) else "")
              for n in range(9)]  # fmt: skip
    digests = [b"same", b"same", *(bytes([n]) for n in range(2, 9))]
    units = number_units(photos, digests, near=[(2, 3)])
    assert len(set(units.tolist())) == 6
    for one, other in ((0, 1), (2, 3), (4, 5)):
        assert units[one] == units[other]


def test_an_interval_holds_its_share_and_is_as_wide_as_the_independent_photos_make_it():
    hits = np.array([True] * 30 + [False] * 10)
    units = np.arange(40) // 4  # each photo four times
    assert share_interval(hits, np.arange(40)) == pytest.approx(wilson(30, 40))
    low, high = share_interval(hits, units)
    assert [low, high] == pytest.approx(wilson(7.5, 10))
    assert low < 0.75 < high
    assert share_interval(hits[:30], units[:30])[1] == 1.0
    assert share_interval(hits[30:], units[30:])[0] == 0.0


def test_fit_counts_the_copies_of_its_test_photos_once(tmp_path):
    photos = write_sides(tmp_path / "photos", {"train": 6, "validation": 2, "test": 3})
    for label in ("red", "green", "blue"):
        first = next((photos / "test" / label).iterdir())
        for number in range(4):
            shutil.copyfile(first, first.with_name(f"copy{number}.png"))
    config = FitConfig(backbone="tiny", insight=False, check=False, cache=tmp_path / "cache")
    manifest = fit(photos, tmp_path / "model", config, Stages(quiet=True))
    test = manifest.metrics["test"]
    assert test["photos"] == 3 * (3 + 4)
    assert test["independent_photos"] == 3 * 3
    share = test["accuracy"] * 9
    assert test["accuracy_interval"] == pytest.approx(wilson(share, 9))
    report = (tmp_path / "model" / "report.html").read_text(encoding="utf-8")
    assert "(9 independent)" in report

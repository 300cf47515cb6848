"""What is kept of photos elsewhere: exclusions, what is left out, levels of deep pixels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import encode_photo
from tests.folders import fill
from tests.making import write_classes
from tests.packing import packed
from tests.stores import put, serving_s3, upload
from training.doctor.exclusions import below, leave_out
from training.photos.find import find_photos
from training.photos.levels import settle_levels
from training.photos.listing import left_out_lines
from training.places.address import as_place
from training.settings.config import FitConfig
from training.settings.console import Stages


def test_a_list_leaves_photos_out_by_what_lies_below_the_address_or_by_all_of_it(tmp_path, memory):
    fill(tmp_path / "set", "cat", "dog", count=3)
    source = upload(tmp_path / "set", f"{memory}/set")
    wanted = tmp_path / "out.txt"
    wanted.write_text(f"cat/0.jpg\n{memory}/set/dog/2.jpg\ndog/9.jpg\n", encoding="utf-8")
    found = leave_out(find_photos(source), source, wanted)
    kept = [below(photo.path, source) for photo in found.photos]
    assert kept == ["cat/1.jpg", "cat/2.jpg", "dog/0.jpg", "dog/1.jpg"]
    assert [item.kind for item in found.skipped] == ["asked", "asked", "unknown"]
    assert left_out_lines(found.skipped, source, None)[-2:] == [
        "       2  left out as asked: cat/ (1), dog/ (1)",
        "       1  to be left out, but not there: dog/9.jpg",
    ]


def test_a_list_leaves_photos_of_a_shard_out(tmp_path, monkeypatch):
    shard = packed(write_classes(tmp_path / "photos", 2), "tar", tmp_path)
    monkeypatch.chdir(tmp_path)
    for source in (shard, Path("000.tar")):
        listing = find_photos(source)
        names = [below(photo.path, source) for photo in listing.photos]
        assert names[0] == "000.tar!/blue/000.png"
        Path("out.txt").write_text("\n".join(names[:2]), encoding="utf-8")
        assert len(leave_out(listing, source, Path("out.txt")).photos) == 4


@pytest.mark.parametrize("deep", [True, False])
def test_levels_are_those_of_the_folder_and_asked_for_once(deep, tmp_path, monkeypatch):
    top = tmp_path / "set"
    for label, brightest in (("dark", 1_000), ("light", 4_095)):
        (top / label).mkdir(parents=True)
        ramp = np.linspace(0, brightest, 64 * 64).reshape(64, 64).astype(np.uint16)
        pixels = ramp if deep else (ramp // 16).astype(np.uint8)
        (top / label / "0.png").write_bytes(encode_photo(Image.fromarray(pixels)))
        (top / label / "1.jpg").write_bytes(encode_photo(np.zeros((8, 8, 3), np.uint8), "JPEG"))
    config, stages = FitConfig(backbone="tiny", cache=tmp_path / "cache"), Stages(quiet=True)
    plain = settle_levels(find_photos(top), config, stages)
    with serving_s3(monkeypatch) as server:
        source = upload(top, "s3://photos/set")
        server.asked.clear()
        assert settle_levels(find_photos(source), config, stages) == plain
        assert (plain.levels is not None) == deep
        assert server.count("GET", ".jpg") == 0
        assert server.count("GET", ".png") == (4 if deep else 2)  # a look, and the whole
        server.asked.clear()
        again = find_photos(as_place("s3://photos/set"))
        assert settle_levels(again, config, stages) == plain
        assert server.count("GET", ".png") == 0
        put("s3://photos/set/dark/0.png", encode_photo(np.zeros((8, 8, 3), np.uint8)))
        again = find_photos(as_place("s3://photos/set"))
        settle_levels(again, config, stages)
        assert server.count("GET", ".png") >= 2  # another listing

"""What grows with the photos stays bounded: neighbours, sides, refusals; and docs/scale.md."""

import hashlib
import re
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scale.arithmetic import tables
from models.errors import PhotosError
from tests.making import filed
from tests.test_near_copies import scene, shrunk
from training import prepare
from training.doctor.near_copies import NearCopy, find_near_copies
from training.doctor.neighbours import require_index
from training.features.rows import Rows
from training.features.thumbnails import Appearance
from training.photos.listing import Photo
from training.settings.config import FitConfig
from training.sides.split import Shares, split_photos

COUNT, ORIGINALS = 600, 550


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, list[bytes], np.ndarray]:
    """Features of which the last 50 are near those of the first 50, digests and thumbnails."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(COUNT, 40)).astype(np.float32)
    noise = rng.normal(size=(COUNT - ORIGINALS, 40)) * np.linspace(0.05, 0.5, 50)[:, None]
    vectors[ORIGINALS:] = vectors[: COUNT - ORIGINALS] + noise
    pictures = [shrunk(scene(seed)) for seed in range(ORIGINALS)]
    pictures += pictures[: COUNT - ORIGINALS]
    return vectors, [number.to_bytes(4) for number in range(COUNT)], np.stack(pictures)


def find(planted, vectors: np.ndarray | Rows, exact_up_to: int) -> list[NearCopy]:
    _, digests, pictures = planted
    appearances = {digest: Appearance(9, 9, "PNG", 50.0) for digest in digests}
    return find_near_copies(
        vectors,
        digests,
        appearances,
        lambda some: pictures[[int.from_bytes(digest) for digest in some]],
        exact_up_to,
    )


def test_features_in_a_file_have_the_same_near_copies(planted, tmp_path):
    exact = find(planted, planted[0], COUNT)
    assert {(pair.one, pair.other) for pair in exact} >= {(i, ORIGINALS + i) for i in range(45)}
    found = find(planted, filed(planted[0], tmp_path), COUNT)
    assert [pair[:2] for pair in found] == [pair[:2] for pair in exact]
    for pair, other in zip(found, exact, strict=True):
        assert pair.likeness == pytest.approx(other.likeness, rel=1e-4)


def test_the_index_finds_the_near_copies_that_comparing_all_finds(planted, tmp_path):
    pytest.importorskip("faiss", reason="near copies of very many photos need faiss-cpu")
    exact = find(planted, planted[0], COUNT)
    for vectors in (planted[0], filed(planted[0], tmp_path)):
        found = find(planted, vectors, exact_up_to=100)
        assert [pair[:2] for pair in found] == [pair[:2] for pair in exact]


def test_without_the_index_so_many_photos_are_refused_at_once(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)  # as if it were not installed
    require_index(100_000)
    expected = "near copies among 100,001 photos need the package faiss-cpu, beyond 100,000: pip"
    with pytest.raises(PhotosError, match=expected):
        require_index(100_001)


def test_more_photos_than_memory_are_refused_with_how_many_are_not(monkeypatch):
    monkeypatch.setattr("training.features.rows.memory_bytes", lambda: 2**30)
    with pytest.raises(PhotosError, match=r"5,000,000 photos take .* GB .* has 1\.1 GB: .* up to"):
        prepare.refuse_too_many(5_000_000, 1280, FitConfig())


def test_a_photo_takes_a_bounded_part_of_memory_while_sides_are_dealt_out():
    photos = [Photo(Path(f"{i % 5}/{i}.jpg"), "abcde"[i % 5]) for i in range(20_000)]
    digests = [hashlib.sha256(str(i).encode()).digest() for i in range(len(photos))]
    tracemalloc.start()
    try:
        split = split_photos(photos, digests, Shares(0, 0.15, 0.15))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(split.train) + len(split.validation) + len(split.test) == len(photos)
    assert peak / len(photos) < 400  # bytes, of which the photo itself and its digest are none


def test_a_group_on_two_sides_is_left_out_in_one_pass():
    count = 20_000  # comparing each with each would take minutes
    photos = [
        Photo(Path(f"{i}.jpg"), "ab"[i % 2], "test" if i < 100 else "validation", f"film{i % 2}")
        for i in range(count)
    ]
    photos += [Photo(Path(f"t{i}.jpg"), "ab"[i % 2], "train") for i in range(20)]
    photos += [Photo(Path(f"v{i}.jpg"), "ab"[i % 2], "validation") for i in range(4)]
    digests = [hashlib.sha256(str(photo.path).encode()).digest() for photo in photos]
    split = split_photos(photos, digests, Shares(0, 0.15, 0.15))
    assert split.test == list(range(100))
    assert len(split.skipped) == count - 100
    assert split.skipped[0].reason == "of one group with 0.jpg, which is on the side test"


def test_the_tables_of_the_documentation_are_what_the_command_computes():
    text = (Path(__file__).parent.parent / "docs" / "scale.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"<!-- arithmetic -->\n(.*?)\n<!-- end -->", text, re.DOTALL)
    assert shown.strip() == tables()

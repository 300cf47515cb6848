"""The cache: what it gives back, which file it is, and what becomes of a damaged one."""

from pathlib import Path

import numpy as np
import pytest

from models.errors import StorageError
from models.images import Framing
from tests.making import small_disk
from training.features.cache import FeatureCache
from training.features.rows import Rows
from training.features.thumbnails import Appearance
from training.settings.config import FitConfig, default_cache

FRAMING = Framing(32)


def opened(folder: Path, weights: str = "w1", framing: Framing = FRAMING) -> FeatureCache:
    return FeatureCache(folder, "tiny", weights, framing)


def fill(folder: Path, count: int) -> Path:
    """A closed cache of `count` vectors of 1,280 numbers: 5 kB each; returns its file."""
    cache = opened(folder)
    rng = np.random.default_rng(0)
    cache.add([(bytes([i]) * 32, rng.normal(size=1280)) for i in range(count)], [])
    cache.close()
    return cache.path


def test_features_come_back_bit_for_bit(tmp_path):
    vector = np.array([0.1, -3e38, 1e-45, 0.0], np.float32)  # the largest, and one subnormal
    cache = opened(tmp_path)
    cache.add([(b"d", vector)], [(b"/a.png", 3, 2**62, b"d")])
    cache.close()
    again = opened(tmp_path)
    assert again.vectors([b"d"])[:].tobytes() == vector.tobytes()
    assert again.vectors([b"d"])[:].dtype == np.float32
    assert again.known_files() == {b"/a.png": (3, 2**62, b"d")}  # times are in ns: large
    again.close()


def test_features_beyond_a_limit_are_the_same_in_a_file(tmp_path):
    rng = np.random.default_rng(0)
    vectors = {bytes([i]): rng.normal(size=7).astype(np.float32) for i in range(20)}
    cache = opened(tmp_path)
    cache.add(vectors.items(), [])
    order = [bytes([i]) for i in rng.integers(0, 20, 30)]  # some of them twice
    kept, filed = cache.vectors(order, limit=30), cache.vectors(order, limit=29)
    cache.close()
    assert isinstance(kept, np.ndarray)
    assert isinstance(filed, Rows)
    assert kept.tobytes() == filed[:].tobytes() == b"".join(vectors[d].tobytes() for d in order)
    assert not list(tmp_path.glob("features-*"))  # the file has no name: nothing is left behind


def test_looks_and_thumbnails_come_back_in_the_order_asked_for(tmp_path):
    cache = opened(tmp_path)
    black, white = bytes(32 * 32 * 3), b"\xff" * (32 * 32 * 3)
    one, other = Appearance(40, 30, "JPEG", 12.5, True), Appearance(8, 8, "PNG", 0.0)
    cache.add([], [], appearances=[(b"a", one, black), (b"b", other, white)])
    cache.close()
    again = opened(tmp_path)
    assert again.appearances() == {b"a": one, b"b": other}
    assert again.thumbnails([b"b", b"a", b"b"])[:, 0, 0, 0].tolist() == [255, 0, 255]
    again.close()


def test_a_photo_that_changed_replaces_what_was_known_of_its_file(tmp_path):
    cache = opened(tmp_path)
    cache.add([], [(b"/a.png", 1, 1, b"old")])
    cache.add([], [(b"/a.png", 2, 2, b"new")])
    assert cache.known_files() == {b"/a.png": (2, 2, b"new")}
    cache.close()


@pytest.mark.parametrize(
    ("backbone", "weights", "framing"),
    [
        ("other", "w1", FRAMING),
        ("tiny", "w2", FRAMING),
        ("tiny", "w1", Framing(33)),
        ("tiny", "w1", Framing(32, "squash")),
        ("tiny", "w1", Framing(32, fraction=0.9)),
    ],
)
def test_whatever_changes_the_features_has_a_file_of_its_own(tmp_path, backbone, weights, framing):
    one, other = opened(tmp_path), FeatureCache(tmp_path, backbone, weights, framing)
    assert one.path != other.path
    one.close()
    other.close()


def test_two_runs_at_once_share_one_cache(tmp_path):
    one, other = opened(tmp_path), opened(tmp_path)
    one.add([(b"a", np.zeros(2))], [])
    other.add([(b"b", np.ones(2))], [])
    one.close()
    assert other.digests() == {b"a", b"b"}
    other.close()


def test_a_good_cache_is_not_renewed(tmp_path):
    fill(tmp_path, 1)
    cache = opened(tmp_path)
    assert not cache.renewed
    assert len(cache.digests()) == 1
    cache.close()


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (0, None),  # all of it: not a database
        (100, 4096),  # the first page: its table of contents
        (-4096 * 40, None),  # the last 40 pages of about 120: found only when rows are read
    ],
    ids=["no database", "first page", "rows"],
)
def test_a_damaged_cache_is_made_anew(tmp_path, begin, end):
    file = fill(tmp_path, 50)
    content = bytearray(file.read_bytes())
    content[begin:end] = b"\xa5" * len(content[begin:end])
    file.write_bytes(content)
    cache = opened(tmp_path)
    assert cache.digests() == set()
    assert cache.known_files() == {}
    assert cache.renewed
    cache.add([(b"a", np.ones(2, np.float32))], [])
    assert cache.vectors([b"a"])[:].tolist() == [[1, 1]]
    cache.close()


def test_a_cache_cut_short_is_made_anew(tmp_path):
    file = fill(tmp_path, 50)
    file.write_bytes(file.read_bytes()[:30_000])  # as a full disk leaves it
    cache = opened(tmp_path)
    assert cache.renewed
    assert cache.digests() == set()
    cache.close()


def test_a_cache_in_a_place_that_is_a_file_is_refused_with_the_setting_to_change(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match="set LAYERSCOPE_CACHE to another folder"):
            opened(place)


@pytest.mark.alone
@pytest.mark.parametrize("room_kib", [8, 150])  # full when it is opened, and while adding
def test_a_full_disk_is_refused_with_the_setting_to_change(tmp_path, room_kib):
    with small_disk(tmp_path / "disk", room_kib) as disk:

        def use() -> None:
            cache = opened(disk)
            try:
                cache.add([(bytes([i]) * 32, np.zeros(1280)) for i in range(40)], [])  # 200 kB
            finally:
                cache.close()

        with pytest.raises(StorageError, match="free space, or set LAYERSCOPE_CACHE"):
            use()


@pytest.mark.alone
def test_a_disk_too_full_to_tidy_up_on_loses_nothing(tmp_path):
    with small_disk(tmp_path / "disk", 340) as disk:  # room for the log, not for a second copy
        cache = opened(disk)
        cache.add([(bytes([i]) * 32, np.zeros(1280)) for i in range(40)], [])  # 200 kB
        cache.close()
        again = opened(disk)
        assert len(again.digests()) == 40
        again.close()


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path / "mine"))
    assert FitConfig().cache == tmp_path / "mine"
    monkeypatch.delenv("LAYERSCOPE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "layerscope"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "layerscope"


def test_what_was_found_among_photos_is_found_once(tmp_path):
    found = []

    def find():
        found.append(1)
        return [(0, 3, 2.5, True), (1, 2, 2.25, False)]

    for digests in ([b"a", b"b"], [b"a", b"b"], [b"b", b"a"]):  # the order tells indices apart
        cache = FeatureCache(tmp_path, "tiny", "w", FRAMING)
        assert cache.kept_rows("near copies", digests, find) == find()
        cache.close()
    assert len(found) == 3 + 2

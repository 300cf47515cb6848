"""Feature maps come back as they were kept, and never half written."""

import os
import sqlite3
from contextlib import ExitStack, closing

import numpy as np
import pytest

from models.errors import StorageError
from tests.making import small_disk
from training.fine_tuning import map_store
from training.fine_tuning.map_store import MapStore, forget_old

SHAPE = (2, 3, 4)
KEYS = [(b"a", 0), (b"a", 1), (b"b", 0)]


def maps(number):
    return np.full(SHAPE, number, np.float32) + np.arange(24).reshape(SHAPE) / 32


@pytest.fixture
def opened():
    """Opens stores that are closed when the test ends."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(closing(MapStore(*arguments)))


@pytest.fixture
def filled(tmp_path, opened):
    store = opened(tmp_path, "maps", SHAPE)
    store.add([(key, maps(number)) for number, key in enumerate(KEYS)])
    return store


def test_two_runs_at_once_write_into_one_store_and_read_what_is_theirs(tmp_path):
    one, other = (MapStore(tmp_path, "maps", SHAPE) for _ in range(2))
    with closing(one), closing(other):
        one.add([(KEYS[0], maps(0))])
        other.add([(KEYS[2], maps(2)), (KEYS[0], maps(0))])  # the second is there already
        one.add([(KEYS[1], maps(1))])
        for store, keys in ((one, KEYS), (other, [KEYS[0], KEYS[2]])):
            expected = np.stack([maps(KEYS.index(key)) for key in keys])
            np.testing.assert_array_equal(store.read(keys), expected)


def test_maps_are_read_back_in_the_order_asked_for(filled):
    found = filled.read([KEYS[2], KEYS[0]])
    assert found.dtype == np.float32
    assert np.array_equal(found, [maps(2), maps(0)])  # 1/32 is exact in float16
    assert filled.missing([*KEYS, (b"c", 0), (b"c", 0)]) == [(b"c", 0)]


def test_another_process_finds_what_was_kept_and_adds_to_it(tmp_path, filled, opened):
    filled.close()
    store = opened(tmp_path, "maps", SHAPE)
    store.add([((b"c", 0), maps(7))])
    assert np.array_equal(store.read([*KEYS, (b"c", 0)]), [maps(0), maps(1), maps(2), maps(7)])
    assert not store.renewed


def test_rows_that_were_written_but_not_entered_are_overwritten(tmp_path, filled, opened):
    filled.close()
    with (tmp_path / "maps.maps").open("ab") as file:
        file.write(b"\xff" * 30)  # a kill between writing and entering
    store = opened(tmp_path, "maps", SHAPE)
    store.add([((b"c", 0), maps(7))])
    assert np.array_equal(store.read([(b"c", 0)]), [maps(7)])


@pytest.mark.parametrize("damage", ["maps are cut short", "no index", "no database"])
def test_a_store_that_is_not_whole_is_made_anew(tmp_path, filled, opened, damage):
    filled.close()
    if damage == "maps are cut short":
        (tmp_path / "maps.maps").write_bytes(b"short")
    elif damage == "no index":
        (tmp_path / "maps.rows").unlink()
    else:
        (tmp_path / "maps.rows").write_bytes(b"no database at all" * 100)
    store = opened(tmp_path, "maps", SHAPE)
    assert store.renewed == (damage != "no index")  # without one, nothing is known of it
    assert store.missing(KEYS) == KEYS
    store.add([(KEYS[0], maps(5))])
    assert np.array_equal(store.read([KEYS[0]]), [maps(5)])


def test_what_does_not_fit_is_refused_before_work_with_what_is_needed(tmp_path, opened):
    store = opened(tmp_path, "maps", (512, 512, 512))
    with pytest.raises(StorageError, match=r"need [\d,]+ MB in .* [\d,]+ MB are free.*--views"):
        store.check_space(10**9)
    assert "MB" in store.check_space(1)


def test_a_full_disk_while_writing_says_so_and_keeps_what_was_there(tmp_path, opened):
    with small_disk(tmp_path / "disk", size_kib=64) as place:
        store = opened(place, "maps", (16, 16, 16))  # 8 kB each
        store.add([(KEYS[0], np.zeros((16, 16, 16)))])
        with pytest.raises(StorageError, match=r"No space left.* free some space and run it again"):
            store.add([((b"c", n), np.zeros((16, 16, 16))) for n in range(20)])
        assert set(store.rows) == {KEYS[0]}


def test_a_folder_that_cannot_be_written_is_named(tmp_path, opened):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        opened(tmp_path / "file", "maps", SHAPE)


def test_an_index_that_is_locked_is_reported(tmp_path, filled, opened, monkeypatch):
    filled.close()
    monkeypatch.setattr(map_store, "LOCKED_S", 0.0)
    store = opened(tmp_path, "maps", SHAPE)
    with closing(sqlite3.connect(tmp_path / "maps.rows")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageError, match="locked"):
            store.add([((b"c", 0), maps(0))])


def test_the_stores_used_longest_ago_make_room(tmp_path, opened):
    for number in range(5):
        opened(tmp_path, f"views-{number}", SHAPE).close()
        os.utime(tmp_path / f"views-{number}.rows", (number, number))
    forget_old(tmp_path, "views-0")  # the oldest, but the one that is asked for
    assert {path.stem for path in tmp_path.iterdir()} == {"views-0", "views-3", "views-4"}
    assert len(list(tmp_path.iterdir())) == 6

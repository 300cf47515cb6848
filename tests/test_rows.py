"""Rows in a file: read as an array would give them, and never more than asked for."""

import numpy as np
import pytest

from tests.making import filed
from training.features import rows as rows_file
from training.features.rows import RUN, Rows, blocks_of, memory_bytes, rows_in_memory


@pytest.fixture
def array() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(500, 6)).astype(np.float32)


@pytest.mark.parametrize(
    "wanted",
    [
        slice(None), slice(10, 20), slice(0, 0), [3], [499, 0, 3, 3], [], list(range(40, 90, 2)),
        np.arange(500) % 3 == 0,
    ],
    ids=str,
)  # fmt: skip
def test_rows_are_read_as_an_array_gives_them(array, tmp_path, wanted):
    rows = filed(array, tmp_path)
    wanted = np.array(wanted, int) if isinstance(wanted, list) else wanted
    assert rows[wanted].tobytes() == array[wanted].tobytes()
    assert rows[wanted].shape == array[wanted].shape
    some = np.arange(499, 0, -3)
    assert rows.select(some)[:5].tobytes() == array[some[:5]].tobytes()
    assert rows.select(some).select([2, 0])[:].tobytes() == array[[493, 499]].tobytes()


def test_half_precision_is_read_as_single(array, tmp_path):
    path = tmp_path / "half"
    path.write_bytes(array.astype(np.float16).tobytes())
    with path.open("rb") as file:
        rows = Rows(file, 6, np.float16)
        assert rows.shape == (500, 6)
        assert rows[7:9].dtype == np.float32
        assert rows[[8, 490]].tolist() == array[[8, 490]].astype(np.float16).tolist()


def test_blocks_are_all_rows_in_order_wherever_they_are(array, tmp_path):
    for kept in (array, filed(array, tmp_path)):
        found = list(blocks_of(kept, 150))
        assert [place.start for place, _ in found] == [0, 150, 300, 450]
        assert np.concatenate([block for _, block in found]).tobytes() == array.tobytes()


def test_shuffled_blocks_hold_each_row_once_from_all_over_the_file(array, tmp_path):
    rows = filed(array, tmp_path)
    blocks = list(rows.shuffled(np.random.default_rng(1), size=4 * RUN))
    places = np.concatenate([place for place, _ in blocks])
    assert sorted(places.tolist()) == list(range(500))
    assert places.tolist() != sorted(places.tolist())
    assert np.ptp(blocks[0][0]) > 4 * RUN  # a block is no stretch of the file
    for place, block in blocks:
        assert block.tobytes() == array[place].tobytes()


def test_a_file_that_was_cut_short_is_named(array, tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(array.tobytes()[:-4])
    with path.open("rb") as file, pytest.raises(OSError, match="ends before row 500"):
        Rows(file, 6, index=np.arange(500))[:]


def test_a_container_has_the_memory_of_its_limit(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(rows_file, "MEMORY_MAX", limit)
    machine = memory_bytes()
    limit.write_text("1048576\n")
    assert memory_bytes() == 1048576
    assert rows_in_memory(1024) == 16  # a sixteenth of a MiB, 4 KiB each
    limit.write_text("max\n")
    assert memory_bytes() == machine > 1048576

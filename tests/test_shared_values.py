"""Numbers that processes share: sums never fall, whoever writes them dies."""

import os

from service.watching.shared_values import NUMBERS, SERIES, SharedValues, label


def sums(values: SharedValues) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    for _, _, key, numbers in values.read():
        found[key] = found.get(key, 0) + numbers[0]
    return found


def in_a_child(values: SharedValues, row: int, *keys: tuple[str, ...]) -> None:
    """Count in a process that ends without a word, as one that is killed."""
    pid = os.fork()
    if not pid:
        values.take(row)
        for key in keys:
            values.add(key, [(0, 1.0)])
        os._exit(9)
    os.waitpid(pid, 0)


def test_what_a_process_counted_stays_and_the_next_one_goes_on():
    values = SharedValues(2)
    in_a_child(values, 0, ("a", "x"), ("a", "y"))
    in_a_child(values, 1, ("a", "y"))
    assert sums(values) == {("a", "x"): 1, ("a", "y"): 2}
    in_a_child(values, 0, ("a", "y"), ("b",))  # it finds the series of the one before it
    assert sums(values) == {("a", "x"): 1, ("a", "y"): 3, ("b",): 1}


def test_a_row_that_nobody_has_is_told_apart():
    values = SharedValues(2)
    in_a_child(values, 1, ("a",))
    assert [one.alive for one in values.read()] == [True]
    values.leave(1)
    assert [one.alive for one in values.read()] == [False]
    values.take(1)
    assert [one.alive for one in values.read()] == [True]


def test_numbers_of_a_series_stand_side_by_side():
    values = SharedValues()
    values.add(("h",), [(0, 1.0), (2, 0.5)], width=3)
    values.add(("c",), [(0, 7.0)])
    values.add(("h",), [(1, 1.0), (2, 0.25)], width=3)
    assert [(one.key, one.numbers) for one in values.read()] == [
        (("h",), [1.0, 1.0, 0.75]),
        (("c",), [7.0]),
    ]


def test_a_full_row_refuses_more_and_keeps_what_it_has():
    values = SharedValues()
    assert all(values.add((str(n),), [(0, 1.0)]) for n in range(SERIES))
    assert not values.add(("one more",), [(0, 1.0)])
    assert values.add(("0",), [(0, 1.0)])
    assert sums(values)["0",] == 2
    wide = SharedValues()
    assert wide.add(("wide",), [(NUMBERS - 1, 1.0)], width=NUMBERS)
    assert not wide.add(("more",), [(0, 1.0)])


def test_a_label_is_one_line_of_utf_8_that_fits_its_place():
    assert label("tulip") == "tulip"
    assert label("a\x1fb\nc") == "a\\x1fb\\nc"
    assert label("\ud800") == "?"  # no UTF-8
    assert label("猫" * 50) == "猫" * 33  # 99 bytes
    values = SharedValues()
    key = ("layerscope_predictions_total", label("猫" * 50), label("x" * 500))
    values.add(key, [(0, 1.0)])
    assert next(iter(values.read())).key == key

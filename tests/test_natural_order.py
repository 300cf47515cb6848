"""Names in the order that people read them in; the network's own order is another matter."""

import pytest

from models.natural_order import natural_key, natural_order

TWELVE = [str(number) for number in range(12)]


def test_numbers_as_names_come_by_their_value():
    assert sorted(TWELVE) == ["0", "1", "10", "11", *TWELVE[2:10]]  # what a machine makes of them
    assert natural_order(sorted(TWELVE)) == TWELVE


@pytest.mark.parametrize(
    "names",
    [
        ["-10", "-2.5", "-2", "0", "0.5", "7", "10", "apple"],  # numbers by value, before text
        ["class 2", "class 10", "class 100"],
        ["1 cent", "2 euro", "10 euro"],
        ["v1.2", "v1.10", "v2.0"],
        ["07", "8", "09", "10"],  # leading zeros change no value
        ["2" * 400 + "1", "2" * 400 + "3"],  # too long for a float
        ["Zebra", "ant"],  # without digits: as the network has them
        ["", "a", "é", "猫"],
    ],
)
def test_digits_count_by_value_wherever_they_stand(names):
    assert sorted(set(names), key=natural_key) == names
    assert natural_order(sorted(names)) == names


def test_an_order_that_somebody_chose_stays():
    assert natural_order(["small", "medium", "large"]) == ["small", "medium", "large"]
    assert natural_order(["10", "9", "8"]) == ["10", "9", "8"]

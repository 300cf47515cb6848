"""Sort names as people read them: `class 2` before `class 10`, -5 before 3.

Tables, matrices and lists are sorted so; the classes of a network keep the order of its manifest.
"""

import re
from collections.abc import Sequence

_NUMBER = re.compile(r"[-+]?[0-9]{1,300}(\.[0-9]{1,300})?")  # a whole name: compared by value
_DIGITS = re.compile(r"([0-9]+)")


def natural_key(name: str) -> tuple[object, ...]:
    """Return what to sort names by: numbers by value, then text, its digits by value too."""
    if _NUMBER.fullmatch(name):
        return 0, float(name), name
    parts = _DIGITS.split(name)  # text and digits in turns
    parts[1::2] = [f"{len(digits.lstrip('0')):04} {digits.lstrip('0')}" for digits in parts[1::2]]
    return 1, parts, name


def natural_order(names: Sequence[str]) -> list[str]:
    """Return names as people read them; an order that is not alphabetical was chosen and stays."""
    return sorted(names, key=natural_key) if list(names) == sorted(names) else list(names)

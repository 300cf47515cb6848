"""JSON of a bundle, read only if it will take little time, and no memory far beyond its text."""

import json
import math
from typing import Any

MOST_LISTS, MOST_VALUES = 200_000, 5_000_000  # a matrix of 2,000 x 2,000 has 4 million values
MOST_NAMED = 250_000  # of the values: while a dictionary, or a string, is read, nothing else runs
MOST_BYTES = 64_000_000  # 1,000 classes with a full confusion matrix are 13 MB
DIGITS = 1_001  # in a row: reading a number takes the square of their count, and names have fewer
_AS_DIGITS = bytes.maketrans(b"123456789", b"0" * 9)


def read_json(content: bytes) -> Any:
    """Read what `content` says; numbers in it are finite.

    Raises:
        ValueError: it is no JSON, is too long, or has too many values. RecursionError: it is nested
            too deep.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has {len(content):,} bytes; expected at most {MOST_BYTES:,}")
    lists = content.count(b"[") + content.count(b"{")
    named = content.count(b":")
    values = content.count(b",") + named
    if lists > MOST_LISTS or values > MOST_VALUES or named > MOST_NAMED:
        most = f"expected at most {MOST_LISTS:,}, {MOST_VALUES:,} and {MOST_NAMED:,}"
        found = f"{lists:,} lists and {values:,} values, {named:,} of them named"
        raise ValueError(f"it holds {found}; {most}")
    if b"0" * DIGITS in content.translate(_AS_DIGITS):
        raise ValueError(f"it holds {DIGITS:,} digits in a row; no number has as many")
    return json.loads(content, parse_float=_finite, parse_constant=_finite)


def _finite(text: str) -> float:
    """A number; JSON has neither NaN nor infinity, and 1e999 is one."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is not a finite number")
    return number

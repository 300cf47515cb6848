"""Lists of numbers -> pixels: what JSON writes as S rows of S pixels of 3 numbers."""

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from service.errors import BadRequestBody


def pixels_of(data: Any, shape: Sequence[int], what: str, whole: bool = False) -> np.ndarray:
    """Read nested lists, or one flat list, as an array.

    Args:
        data: what JSON held; not trusted.
        shape: of the array that is expected, such as (N, S, S, 3).
        what: `data` is, for messages.
        whole: whether the numbers must be whole: the array is uint8, else float32.

    Raises:
        BadRequestBody: lists of another shape, or what is no number from 0 to 255.
    """
    numbers = flat(data, shape, what)
    kinds = set(map(type, numbers))
    if strange := kinds - ({int} if whole else {int, float}):
        wanted = "whole numbers" if whole else "numbers"
        came = ", ".join(sorted(_JSON_NAMES.get(kind, kind.__name__) for kind in strange))
        raise BadRequestBody(f"{what} holds {came} where {wanted} from 0 to 255 are expected")
    try:
        values = np.fromiter(numbers, np.float64, len(numbers))
    except OverflowError:  # a whole number of hundreds of digits
        values = np.array([np.inf])
    check_range(values, what)
    return values.astype(np.uint8 if whole else np.float32).reshape(shape)


def check_range(values: np.ndarray, what: str) -> None:
    """Raise BadRequestBody unless every number is from 0 to 255; NaN is not."""
    inside = (values >= 0) & (values <= 255)
    if not inside.all():
        first = float(values[~inside][0])
        raise BadRequestBody(f"{what} holds {first:g}; expected pixels from 0 to 255")


def flat(data: Any, shape: Sequence[int], what: str) -> list[Any]:
    """The values of nested lists of a shape, or of one flat list. Raises BadRequestBody."""
    level: list[Any] = [data]
    count = math.prod(shape)
    if isinstance(data, list) and len(data) == count and not isinstance(data[0], list):
        return data
    for depth, size in enumerate(shape):
        for one in level:
            if not isinstance(one, list) or len(one) != size:
                came = f"{len(one)} values" if isinstance(one, list) else "no list"
                raise BadRequestBody(
                    f"{what} has {came} at depth {depth + 1}; expected lists of the shape "
                    f"{list(shape)}"
                )
        level = list(chain.from_iterable(level))
    return level


_JSON_NAMES = {str: "text", bool: "true or false", type(None): "null", list: "a list",
               dict: "an object", float: "fractions"}  # fmt: skip

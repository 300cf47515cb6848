"""How often the picture of an HEVC item is gone over (H.265, 7.3; ISO 14496-15, section 8)."""

from models.decoding.image_stream import big_endian
from models.decoding.limits import check_limit

_PIXELS = range(32)  # types of units that hold pixels
_LISTS = 22  # where the settings of a decoder (`hvcC`) say how many lists of units follow


def count_slices(item: bytes, units: int) -> int:
    """The slices in an item: nothing keeps one from going over the whole picture.

    Args:
        units: that an item may have.

    Raises:
        ImageTooLarge: it has more.
    """
    at = passed = slices = 0
    while at + 4 < len(item):
        passed += 1
        check_limit(passed, units, "units of HEVC")
        slices += _kind(item[at + 4]) in _PIXELS
        at += 4 + big_endian(item, at, 4)
    return slices


def count_settled(settings: bytes, units: int) -> int:
    """The slices in the settings of a decoder, which takes them as if they stood in each item.

    Raises:
        ImageTooLarge: there are more than `units` units.
    """
    at, passed, slices = _LISTS + 1, 0, 0
    for _ in range(settings[_LISTS] if len(settings) > _LISTS else 0):
        count = big_endian(settings, at + 1, 2)
        at += 3
        for _ in range(count):
            if at + 2 >= len(settings):
                return slices
            passed += 1
            check_limit(passed, units, "units of HEVC")
            slices += _kind(settings[at + 2]) in _PIXELS
            at += 2 + big_endian(settings, at, 2)
    return slices


def _kind(first: int) -> int:
    """The type of a unit, by its first byte."""
    return first >> 1 & 63

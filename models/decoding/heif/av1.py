"""The size of a picture in AV1 and its frames, by their headers (AV1 specification, 5.3 to 5.9)."""

from typing import NamedTuple

from models.decoding.limits import check_limit

_SEQUENCE_HEADER = 1  # a type of open bitstream unit (OBU)
_FRAMES = {3, 6, 7}  # a header, one with its pixels; a repeated one, which may come first
_SHOWN = 0b1001_0000  # in the first byte of a frame: a frame from before, or this one, is shown


class Coded(NamedTuple):
    """Pixels of a picture."""

    stated: int  # by its sequence header
    most: int  # that a frame may say it has instead
    frames: int = 0  # shown or hidden: each is decoded


class _Sequence(NamedTuple):
    """What a sequence header says."""

    stated: int
    most: int
    layered: bool  # a frame that is shown may be followed by a better one


class _Bits:
    """Reads numbers of some bits; beyond the end there are zeros."""

    def __init__(self, data: bytes):
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def take(self, count: int) -> int:
        """The next `count` bits, as a whole number."""
        self._left -= count
        shifted = self._value >> self._left if self._left >= 0 else 0
        return shifted & ((1 << count) - 1)

    def skip_uvlc(self) -> None:
        """Pass over a number whose length is told by its leading zeros."""
        zeros = 0
        while self._left > 0 and zeros < 32 and not self.take(1):
            zeros += 1
        if zeros < 32:
            self.take(zeros)


def coded_size(stream: bytes | memoryview, units: int, first_shown: bool = False) -> Coded:
    """The largest size that any sequence header of a stream states, and its frames.

    Args:
        units: that a stream may have.
        first_shown: count no further than to the first frame that is shown.

    Raises:
        ImageTooLarge: it has more.
    """
    at = passed = stated = most = frames = 0
    stops = first_shown
    while at < len(stream):
        passed += 1
        check_limit(passed, units, "units of AV1")
        head = stream[at]
        at += 2 if head & 4 else 1  # with an extension
        size = len(stream) - at
        if head & 2:
            size = shift = 0
            for byte in stream[at : at + 8]:  # LEB128
                at += 1
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
        kind = head >> 3 & 15
        if kind == _SEQUENCE_HEADER:
            found = _read_sequence(bytes(stream[at : at + min(size, 512)]))
            stated, most = max(stated, found.stated), max(most, found.most)
            stops = stops and not found.layered
        elif kind in _FRAMES:
            frames += 1
            if stops and most and at < len(stream) and stream[at] & _SHOWN:
                break
        at += size
    return Coded(stated, most, frames)


def _read_sequence(header: bytes) -> _Sequence:
    """The size in a sequence header. A frame may have another only where it is not a still one."""
    bits = _Bits(header)
    bits.take(4)  # profile, still picture
    reduced, layered = bits.take(1), False
    if reduced:
        bits.take(5)
    else:
        layered = _skip_operating_points(bits)
    wide, high = bits.take(4) + 1, bits.take(4) + 1
    stated = (bits.take(wide) + 1) * (bits.take(high) + 1)
    return _Sequence(stated, stated if reduced else 1 << (wide + high), layered)


def _skip_operating_points(bits: _Bits) -> bool:
    """Pass over timing, the decoder's model and the operating points; whether one has layers."""
    modelled = delay = layers = 0
    if bits.take(1):  # timing
        bits.take(64)
        if bits.take(1):
            bits.skip_uvlc()
        modelled = bits.take(1)
        if modelled:
            delay = bits.take(5) + 1
            bits.take(42)
    delayed = bits.take(1)
    for _ in range(bits.take(5) + 1):
        layers |= bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if modelled and bits.take(1):
            bits.take(2 * delay + 1)
        if delayed and bits.take(1):
            bits.take(4)
    return layers > 0

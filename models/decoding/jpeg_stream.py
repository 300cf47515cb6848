"""What of a JPEG shows the picture: its frame, tables and scans (ITU-T T.81, annex B).

Scans are counted where scans can be, because each may decode the whole picture again: bytes
in a preview, in EXIF or behind the end only look like scans.
"""

import re

from models.decoding.decode_cost import FRAMES, PROGRESSIVE
from models.decoding.image_stream import ENOUGH, Stream, big_endian
from models.decoding.limits import Limits, check_limit
from models.errors import ImageUnsupported

_LOSSLESS = (0xC3, 0xC7)
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # not stuffed, no filler, no restart
_NOISE = bytes(range(254, 0, -1))  # begins with ones: a decoder without data goes on with zeros
# Bytes that change every picture whose data does not end before them, restart markers or not.
_FILLER = _NOISE + b"".join(b"\xff" + bytes([0xD0 + number]) + _NOISE for number in range(8))
_END = b"\xff\xd9"
MOST_COMPONENTS = 4  # in one scan


def two_endings(data: bytes) -> tuple[bytes, bytes]:
    """A JPEG without an end, ended in two ways: equal pictures if nothing else is missing."""
    data = data.rstrip(b"\xff")  # half an end
    return data + _END, data + _FILLER + _END


def jpeg_stream(data: bytes, limits: Limits) -> Stream:
    """Keep what decides the picture; find its size and count its scans.

    Raises:
        ImageTooLarge: too many segments, scans, or bytes that are neither.
        ImageUnsupported: its coding is arithmetic.
    """
    stream, kept, frame = Stream(data), [data[:2]], b""
    steps, at = 0, 2
    while at + 4 <= len(data) and steps <= ENOUGH:
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0xFF:  # junk, filler
            at += 1
        elif marker in (0xD9, 0xDA):  # the end, the first scan
            break
        elif marker <= 0x01 or 0xD0 <= marker <= 0xD8:  # they have no length
            at += 2
        else:
            end = at + 2 + max(2, big_endian(data, at + 2, 2))
            if _decides(marker, data[at + 4 : end], stream):
                kept.append(data[at:end])
            if marker in FRAMES:
                frame = data[at + 1 : end]
                stream.lossless = marker in _LOSSLESS
                refuse_arithmetic(marker)
            at = end
        steps += 1
    check_limit(steps, limits.parts, "segments")
    end = len(data)
    if len(frame) >= 9:
        stream.size = (big_endian(frame, 6, 2), big_endian(frame, 4, 2))
        if data[at : at + 2] == b"\xff\xda":
            fillers = data.find(b"\xff" * (limits.parts + 1), at)  # libjpeg begins again at each
            data = data[:fillers] if fillers > 0 else data
            end = _scans(data, at, frame, stream, limits)
    stream.data = b"".join([*kept, memoryview(data)[at:end]])
    return stream


def refuse_arithmetic(marker: int) -> None:
    """Refuse a frame of arithmetic coding: 45 kB of it keep a core busy for a minute.

    Cameras and browsers know Huffman's alone. `marker` is one of FRAMES. Raises ImageUnsupported.
    """
    if marker > 0xC8:
        raise ImageUnsupported("a JPEG of arithmetic coding: save it as a usual JPEG, or as PNG")


def _decides(marker: int, content: bytes, stream: Stream) -> bool:
    """Whether a segment decides what is shown; how the photo is turned is remembered."""
    if marker == 0xE1 and content.startswith(b"Exif\0\0"):
        stream.metadata.setdefault("exif", content)
    elif marker == 0xE1 and content.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
        stream.metadata.setdefault("xmp", content.partition(b"\0")[2])
    if marker in (0xE0, 0xEE):  # two that say which colours are stored
        return content.startswith((b"JFIF", b"Adobe"))
    return not 0xE0 <= marker <= 0xEF and marker != 0xFE


def _scans(data: bytes, at: int, frame: bytes, stream: Stream, limits: Limits) -> int:
    """Count the scans from the first one on; returns where the picture ends.

    A sequential frame with all its components in the first scan has no other: the decoder
    stops there, and so what follows need not be looked at.
    """
    stream.endless = True
    components = [tuple(frame[start : start + 2]) for start in range(9, len(frame), 3)]
    if frame[0] not in PROGRESSIVE and data[at + 4 : at + 5] == bytes([len(components)]):
        stream.endless = data.find(_END, at) < 0
        return len(data)
    areas = [(pair[1] >> 4) * (pair[1] & 15) for pair in components if len(pair) == 2]
    width, height = stream.size or (0, 0)
    stream.coefficients = width * height * sum(areas) // max(*areas, 1)
    missing = {(pair[0], place) for pair in components for place in range(64)}
    steps = stream.scans = 0
    while True:
        marker = data[at + 1]
        end = at + 2
        if marker == 0xDA:
            stream.scans += 1
            check_limit(stream.scans, limits.scans, "scans")
            _note_scan(data[at + 4 : at + 4 + big_endian(data, at + 2, 2)], missing)
        if marker in (0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE) or 0xE0 <= marker <= 0xEF:
            end += max(2, big_endian(data, end, 2))
        elif marker == 0xD9:
            stream.exact, stream.endless = True, False
            return end
        elif marker != 0x01:  # of another picture, or of none
            return at
        found = _NEXT_MARKER.search(data, end)
        stream.exact = not missing
        if not found:
            return len(data)
        at, steps = found.start(), steps + 1
        check_limit(steps, limits.parts, "segments between its scans")


def _note_scan(header: bytes, missing: set[tuple[int, int]]) -> None:
    """Take from `missing` the coefficients that a scan gives to their last bit."""
    count = header[0] if header else 0
    if count > MOST_COMPONENTS:  # no decoder goes on here
        return
    first, last, bits = (*header[1 + 2 * count : 4 + 2 * count], 0, 0, 0)[:3]
    if bits & 15 == 0:
        for component in header[1 : 1 + 2 * count : 2]:
            missing -= {(component, place) for place in range(first, last + 1)}

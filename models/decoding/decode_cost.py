"""How much memory decoding a photo takes, told from its header without decoding anything.

Measured with Pillow 13 on photos of 25 Mpx, peak of the process, in bytes a pixel: baseline
JPEG with `draft` 0.2, without 4; progressive JPEG 3 to 8; PNG 4 to 9, with 16 bits 14; WebP 16
to 19; GIF 5; BMP 4; AVIF 9; TIFF 4 to 14.
"""

from typing import NamedTuple

BYTES_A_PIXEL = {"PNG": 10.0, "PNG16": 14.5, "WEBP": 19.0, "GIF": 6.0, "BMP": 5.0, "OTHER": 14.5}
JPEG, PROGRESSIVE = 4.0, 8.5
SEGMENTS = 1_000  # of a JPEG: the decoder refuses more
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; those three mean others


class Header(NamedTuple):
    """What the first bytes of a photo say."""

    kind: str
    width: int
    height: int


def memory_needed(data: bytes, size: int, most_pixels: int, start: int = 0) -> int:
    """Estimate the bytes that decoding a photo takes, rather too many than too few.

    Args:
        data: the encoded photo, from `start` on. Not trusted: a header that lies is found out
            by the decoder, which reads the same fields.
        size: px, the square that the photo is brought to; a JPEG is decoded not much larger.
        most_pixels: of a photo that is accepted; what a TIFF or AVIF is taken to have.
    """
    header = read_header(data, start)
    if header is None:
        return 0  # no photo: the decoder refuses it
    if header.kind == "OTHER":
        return int(most_pixels * BYTES_A_PIXEL["OTHER"])
    pixels = header.width * header.height
    if pixels > most_pixels:
        return 0  # the decoder refuses it
    if header.kind == "PROGRESSIVE":
        return int(pixels * PROGRESSIVE)
    if header.kind == "JPEG":
        shrink = min(header.width, header.height) / (4 * size)  # as images.py asks `draft` for
        scale = next(step for step in (8, 4, 2, 1) if shrink >= step or step == 1)
        return int(pixels / scale**2 * JPEG)
    return int(pixels * BYTES_A_PIXEL[header.kind])


def read_header(data: bytes, start: int = 0) -> Header | None:
    """The kind and the size in px of an encoded photo; None: no photo.

    OTHER is TIFF or AVIF, whose headers are too free to be read here.
    """
    head = data[start : start + 40]
    if head.startswith(b"\xff\xd8"):
        return _jpeg(data, start + 2)
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) > 24:
        kind = "PNG16" if head[24] == 16 else "PNG"
        return Header(kind, _big(head[16:20]), _big(head[20:24]))
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp(head)
    if head.startswith(b"GIF8") and len(head) >= 10:
        return Header("GIF", _little(head[6:8]), _little(head[8:10]))
    if head.startswith(b"BM") and len(head) >= 26:
        height = int.from_bytes(head[22:26], "little", signed=True)  # negative: top row first
        return Header("BMP", _little(head[18:22]), abs(height))
    if head[:4] in (b"II*\0", b"MM\0*") or head[4:8] == b"ftyp":
        return Header("OTHER", 0, 0)
    return None


def _jpeg(data: bytes, at: int) -> Header | None:
    for _ in range(SEGMENTS):
        at = data.find(b"\xff", at)
        if at < 0 or at + 9 > len(data):
            return None
        marker = data[at + 1]
        if marker in _FRAMES:
            progressive = marker in (0xC2, 0xC6, 0xCA, 0xCE)
            kind = "PROGRESSIVE" if progressive else "JPEG"
            return Header(kind, _big(data[at + 7 : at + 9]), _big(data[at + 5 : at + 7]))
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD9:  # they have no length
            at += 1
        else:
            at += 2 + _big(data[at + 2 : at + 4])
    return None


def _webp(head: bytes) -> Header | None:
    if head[12:16] == b"VP8X":
        return Header("WEBP", _little(head[24:27]) + 1, _little(head[27:30]) + 1)
    if head[12:16] == b"VP8L":
        bits = _little(head[21:25])
        return Header("WEBP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if head[12:16] == b"VP8 ":
        return Header("WEBP", _little(head[26:28]) & 0x3FFF, _little(head[28:30]) & 0x3FFF)
    return None


def _big(part: bytes) -> int:
    return int.from_bytes(part, "big")


def _little(part: bytes) -> int:
    return int.from_bytes(part, "little")

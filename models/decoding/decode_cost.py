"""How much memory decoding a photo takes, told from its header without decoding anything.

Measured with Pillow 13 on photos of 25 Mpx, peak of the process, in bytes a pixel: baseline
JPEG with `draft` 0.2, without 4; progressive JPEG its pixels and two bytes for each coefficient,
3 to 8; PNG 4 to 9, with 16 bits 14; WebP 16 to 19; GIF 5, transparent 9; BMP 4; AVIF 9; TIFF 4
to 12.2, beside a strip or tile of it (tiff_parts.py).
"""

from typing import NamedTuple

BYTES_A_PIXEL = {"JPEG": 4.0, "MPO": 4.0, "PROGRESSIVE": 12.5, "PNG": 10.0, "PNG16": 14.5,
                 "WEBP": 19.0, "GIF": 10.0, "BMP": 5.0, "TIFF": 12.5,
                 "OTHER": 14.5}  # fmt: skip
BYTES_A_COEFFICIENT = 2.1  # of a JPEG of several scans, which keeps it until the last one
BYTES_A_ROW = 32  # Pillow keeps a pointer to each row, of each picture that it makes of one
MOST_GROUPS, BYTES_A_GROUP = 65_536, 20_000  # of Huffman codes, in a lossless WebP
NEAR = 1_000_000  # bytes, in which a guess looks for lossless parts: it must be quick
STEPS = 1_000  # through a file, to find its size: beyond it the size counts as unknown
# Markers of a JPEG's frame, SOF0 to SOF15 (ITU-T T.81, table B.1); those three mean others.
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = {0xC2, 0xC6}  # of those that are read: from SOF9 on the coding is arithmetic


class Header(NamedTuple):
    """What the first bytes of a photo say."""

    kind: str
    width: int
    height: int


def bytes_to_decode(kind: str, width: int, height: int) -> int:
    """Estimate the bytes that decoding takes, rather too many than too few.

    Args:
        kind: Pillow's name of the format, PROGRESSIVE or PNG16.
        width, height: px of the picture as it is decoded.
    """
    each = BYTES_A_PIXEL.get(kind, BYTES_A_PIXEL["OTHER"])
    return int(width * height * each) + height * BYTES_A_ROW


def bytes_of_tables(data: bytes, pixels: int, start: int = 0, end: int | None = None) -> int:
    """Estimate what a WebP's Huffman codes take beside its pixels, where it may be lossless.

    Its decoder makes five tables for each group of codes; there are at most as many as an image
    of 16 bits can name, as blocks of 4 x 4 px, and as the file has room for.

    Args:
        data: the file, from `start` on; lossless parts are looked for up to `end`.
    """
    if data.find(b"VP8L", start, end) < 0 and data.find(b"ALPH", start, end) < 0:
        return 0
    return min(MOST_GROUPS, pixels // 16 + 1, (len(data) - start) // 4) * BYTES_A_GROUP


def guess_memory(data: bytes, size: int, most_pixels: int, start: int = 0) -> int:
    """Estimate what decoding a photo will take, from its first bytes: cheap, and not to be trusted.

    The decoder itself asks for memory when it has read the header; this only tells where a photo
    is to wait meanwhile. What is not plainly small counts as large.

    Args:
        data: the encoded photo, from `start` on.
        size: px, the square that the photo is brought to; a JPEG is decoded not much larger.
        most_pixels: of a photo that is accepted.

    Returns:
        Bytes; 0 for what no decoder knows.
    """
    header = read_header(data, start)
    if header is None:
        return 0
    kind, width, height = header
    if not width * height:
        width, height = most_pixels, 1
    scale = 1
    if kind == "JPEG":
        shrink = min(width, height) / (4 * size)  # as images.py asks `draft` for
        scale = next(step for step in (8, 4, 2, 1) if shrink >= step or step == 1)
    near = start + NEAR
    tables = bytes_of_tables(data, width * height, start, near) if kind == "WEBP" else 0
    return bytes_to_decode(kind, width // scale, height // scale) + tables


def read_header(data: bytes, start: int = 0) -> Header | None:
    """The kind and the size in px of an encoded photo; None: no photo.

    Where the size is not found at once, as in TIFF and AVIF, whose headers are free, it is 0.
    """
    head = data[start : start + 40]
    if head.startswith(b"\xff\xd8"):
        return _jpeg(data, start + 2)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(head)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _webp(head)
    if head.startswith(b"GIF8"):
        return _gif(data, start)
    if head.startswith(b"BM"):
        return _bmp(head)
    if head[:4] in (b"II*\0", b"MM\0*") or head[4:8] == b"ftyp":
        return Header("OTHER", 0, 0)
    return None


def _png(head: bytes) -> Header:
    if head[12:16] != b"IHDR":
        return Header("PNG16", 0, 0)
    return Header(
        "PNG16" if head[24:25] == b"\x10" else "PNG", _big(head[16:20]), _big(head[20:24])
    )


def _jpeg(data: bytes, at: int) -> Header:
    """The size in its frame; PROGRESSIVE too where the first scan lacks some of the colours."""
    found, colours = Header("PROGRESSIVE", 0, 0), -1
    for _ in range(STEPS):
        at = data.find(b"\xff", at)
        if at < 0 or at + 9 > len(data):
            break
        marker = data[at + 1]
        if marker == 0xDA:
            return found if data[at + 4] == colours else found._replace(kind="PROGRESSIVE")
        if marker in FRAMES:
            kind = "PROGRESSIVE" if marker in PROGRESSIVE else "JPEG"
            found = Header(kind, _big(data[at + 7 : at + 9]), _big(data[at + 5 : at + 7]))
            colours = data[at + 9] if at + 9 < len(data) else -1
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD9:  # they have no length
            at += 1
        else:
            at += 2 + _big(data[at + 2 : at + 4])
    return found._replace(kind="PROGRESSIVE")


def _webp(head: bytes) -> Header:
    width = height = 0
    if head[12:16] == b"VP8X":
        width, height = _little(head[24:27]) + 1, _little(head[27:30]) + 1
    elif head[12:16] == b"VP8L":
        bits = _little(head[21:25])
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif head[12:16] == b"VP8 ":
        width, height = _little(head[26:28]) & 0x3FFF, _little(head[28:30]) & 0x3FFF
    return Header("WEBP", width, height)


def gif_size(head: bytes, picture: bytes) -> tuple[int, int]:
    """Width and height in px of what a decoder makes room for: the screen and the picture on it.

    Args:
        head: the first 10 bytes of the file, or more; picture: 9 of its descriptor, or more.
    """
    left, top, wide, high = (_little(picture[place : place + 2]) for place in (1, 3, 5, 7))
    return max(_little(head[6:8]), left + wide), max(_little(head[8:10]), top + high)


def _gif(data: bytes, start: int) -> Header:
    """What the first picture and the screen take."""
    head, at = data[start : start + 13], start + 13
    at += 3 << ((head[10] & 7) + 1) if len(head) == 13 and head[10] & 0x80 else 0
    inside = False  # an extension, which is a row of sub-blocks: a length, so many bytes
    for _ in range(STEPS):
        block = data[at : at + 9]
        if inside:
            at += 1 + block[0] if block else 0
            inside = block[:1] not in (b"", b"\0")
        elif block[:1] == b"\x21":
            at += 2
            inside = True
        elif block[:1] == b"\x2c":
            return Header("GIF", *gif_size(head, block))
        else:
            break
    return Header("GIF", 0, 0)


def _bmp(head: bytes) -> Header:
    if _little(head[14:18]) == 12:  # of OS/2: two bytes each
        return Header("BMP", _little(head[18:20]), _little(head[20:22]))
    height = int.from_bytes(head[22:26], "little", signed=True)  # negative: top row first
    return Header("BMP", _little(head[18:22]), abs(height))


def _big(part: bytes) -> int:
    return int.from_bytes(part, "big")


def _little(part: bytes) -> int:
    return int.from_bytes(part, "little")

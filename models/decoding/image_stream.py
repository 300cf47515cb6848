"""What of an encoded file shows the picture: the stream, without metadata and trailers.

Cameras and programs put much beside the pixels: previews, colour profiles, a film behind the
photo. None of it is needed, and any of it may be damaged, or be taken for a part of the
picture. So a file is stepped through as its format says, what shows the picture is kept, and
the decoder sees nothing else. Steps are counted, because each is taken in Python; bytes
between them are passed over in C.

JPEG has a file of its own, jpeg_stream.py.
"""

import zlib
from dataclasses import dataclass, field

from models.decoding.decode_cost import gif_size
from models.decoding.limits import Limits, check_limit
from models.errors import ImageUnreadable

EXIF_BYTES = 65_536  # all that a JPEG can hold; how a photo is turned stands near the beginning
FILLED = 256  # bytes; an encoder puts thousands into each chunk of pixels
ENOUGH = 20_000  # steps, to know that there are too many
_PNG_END = bytes(4) + b"IEND" + b"\xae\x42\x60\x82"
PROFILE = "Raw profile type exif"  # the text in which ImageMagick kept EXIF


@dataclass
class Stream:
    """The picture in a file, and what is known of it before a pixel is decoded."""

    data: bytes  # for Pillow
    metadata: dict[str, bytes | str] = field(default_factory=dict)  # by Pillow's names
    size: tuple[int, int] | None = None  # width, height in px, where it is found early
    scans: int = 1  # of a JPEG
    lossless: bool = False  # a JPEG that can be decoded at its own scale alone
    coefficients: int = 0  # numbers that a JPEG of several scans keeps until the last one
    exact: bool = True  # no scan of a JPEG is missing
    endless: bool = False  # a JPEG without its end
    coded_pixels: int = 0  # of the largest picture in an AVIF or HEIC, as it is decoded


def big_endian(data: bytes, at: int, size: int) -> int:
    """A whole number of `size` bytes."""
    return int.from_bytes(data[at : at + size], "big")


def _little_endian(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def png_stream(data: bytes, limits: Limits) -> Stream:
    """Header, palette, transparency and pixels (PNG, third edition, section 5).

    As in libpng, a chunk that is not critical and whose checksum is wrong counts for nothing.
    The pixels become one chunk: Pillow reads each in Python. Their own checksum, that of zlib,
    says whether they are damaged.
    """
    stream = Stream(data)
    kept = [data[:8]]
    pixels: list[memoryview] = []
    at, chunks, pictures, most = 8, 0, 0, limits.parts + len(data) // FILLED
    while at + 8 <= len(data) and len(pixels) <= most:
        length, kind = big_endian(data, at, 4), data[at + 4 : at + 8]
        end = at + 12 + length
        chunks += length < 64 if kind in (b"IDAT", b"fdAT") else kind != b"fcTL"
        pictures += kind == b"fcTL"
        if chunks > ENOUGH or pictures > limits.frames or kind == b"IEND":
            break
        if kind == b"IDAT":
            pixels.append(memoryview(data)[at + 8 : end - 4])
        elif kind == b"IHDR" and any(chunk[4:8] == kind for chunk in kept[1:]):
            raise ImageUnreadable("the image is damaged: a PNG with two headers")
        elif not kind.isalpha() or end > len(data):  # a damaged length: go on at the pixels
            end = data.find(b"IDAT", at + 8) - 4
            if end < 0:
                break
        elif kind[0] & 32:
            body = data[at + 8 : end - 4]
            sound = kind == b"tRNS" and big_endian(data, end - 4, 4) == zlib.crc32(kind + body)
            kept += [data[at:end]] if sound else []
            _keep_text(stream, kind, body)
        else:
            kept.append(data[at:end])
        at = end
    check_limit(chunks, limits.parts, "chunks beside its pixels")
    check_limit(pictures, limits.frames, "frames")
    check_limit(len(pixels), most, "chunks of pixels")
    if data[12:16] == b"IHDR":
        stream.size = (big_endian(data, 16, 4), big_endian(data, 20, 4))
    size = sum(map(len, pixels)).to_bytes(4, "big")
    stream.data = b"".join([*kept, size, b"IDAT", *pixels, bytes(4), _PNG_END])
    return stream


def _keep_text(stream: Stream, kind: bytes, body: bytes) -> None:
    """Remember how a PNG is turned: in a chunk for it, or in one of two texts."""
    if kind == b"eXIf":
        stream.metadata["exif"] = b"Exif\0\0" + body[:EXIF_BYTES]
        return
    name, _, text = body.partition(b"\0")
    if kind == b"iTXt" and name == b"XML:com.adobe.xmp":
        stream.metadata["xmp"] = text[:EXIF_BYTES]
    elif kind in (b"tEXt", b"zTXt") and name == PROFILE.encode() and PROFILE not in stream.metadata:
        stream.metadata[PROFILE] = ""  # the first counts: a thousand could be unpacked for long
        try:
            plain = kind == b"tEXt"
            raw = text if plain else zlib.decompressobj().decompress(text[1:], 1_000_000)  # bytes
            stream.metadata[PROFILE] = raw[: 2 * EXIF_BYTES].decode("latin-1")
        except zlib.error:
            pass


def webp_stream(data: bytes, limits: Limits) -> Stream:
    """The first picture (WebP container specification, "Extended file format")."""
    stream, kept = Stream(data), [b"WEBP"]
    at, chunks, pictures = 12, 0, 0
    most = min(len(data), 8 + _little_endian(data, 4, 4))
    while at + 8 <= most and chunks <= ENOUGH and pictures <= limits.frames:
        kind, length = data[at : at + 4], _little_endian(data, at + 4, 4)
        end = at + 8 + length + length % 2
        chunk = data[at:end]
        if len(chunk) == 8 + length and length % 2:  # the last one, without its filler
            chunk += b"\0"
        pictures += kind == b"ANMF"
        chunks += kind != b"ANMF"
        if kind in (b"EXIF", b"XMP "):
            stream.metadata[kind.decode().strip().lower()] = chunk[8 : 8 + EXIF_BYTES]
        elif kind == b"VP8X":
            kept.append(chunk[:8] + bytes([chunk[8] & 0x12 if len(chunk) > 8 else 0]) + chunk[9:])
        elif kind in (b"VP8 ", b"VP8L", b"ALPH", b"ANIM") or (kind == b"ANMF" and pictures == 1):
            kept.append(chunk)
        at = end
    check_limit(chunks, limits.parts, "chunks beside its pixels")
    check_limit(pictures, limits.frames, "frames")
    body = b"".join(kept)
    stream.size = _webp_size(body[4:])
    stream.data = b"RIFF" + len(body).to_bytes(4, "little") + body
    return stream


def _webp_size(first: bytes) -> tuple[int, int] | None:
    """Width and height in px, from the first chunk: the decoder makes room when it is opened."""
    if first.startswith(b"VP8X"):
        return _little_endian(first, 12, 3) + 1, _little_endian(first, 15, 3) + 1
    if first.startswith(b"VP8L"):
        bits = _little_endian(first, 9, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return _little_endian(first, 14, 2) & 0x3FFF, _little_endian(first, 16, 2) & 0x3FFF


def gif_stream(data: bytes, limits: Limits) -> Stream:
    """The first picture, with what is said of its transparency (GIF89a, section 15 on)."""

    def colours(flags: int) -> int:
        return 3 << ((flags & 7) + 1) if flags & 0x80 else 0

    stream, control, frames, at = Stream(data[:13]), b"", 0, 13
    blocks, most = 0, 10_000 + len(data) // 64  # an encoder fills its sub-blocks of 255 bytes
    try:
        at += colours(data[10])
        head = data[:at]
        while frames <= limits.frames and data[at] != 0x3B:
            start, kind = at, data[at]
            if kind == 0x2C:  # an image: its descriptor, its colours, its code size
                frames += 1
                size = gif_size(data[:13], data[at : at + 9])
                stream.size = stream.size or (size if all(size) else None)
                at += 11 + colours(data[at + 9])
            elif kind == 0x21:  # an extension
                at += 2
            else:  # of neither; Pillow passes over it, too
                at += 1
            while kind in (0x21, 0x2C) and data[at]:  # sub-blocks: a length, so many bytes, a 0
                at += data[at] + 1
                blocks += 1
                if blocks > most:
                    break
            at += kind in (0x21, 0x2C)
            blocks += 1
            if blocks > most:
                break
            if data[start : start + 2] == b"\x21\xf9" and not frames:
                control = data[start:at]
            elif frames == 1 and kind == 0x2C:
                stream.data = head + control + data[start:at] + b";"
    except IndexError:  # cut off
        if frames <= 1:  # Pillow will say so
            stream.data = data
    check_limit(blocks, most, "blocks")
    check_limit(frames, limits.frames, "frames")
    return stream

"""What lies beside the picture in its file counts for nothing, and harms nothing."""

import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from models.decoding.image_stream import png_stream, webp_stream
from models.errors import ImageError, ImageTooLarge, ImageUnreadable
from models.images import FORMATS, MORE_FORMATS, Framing, Limits, decode_image

SMALL = Framing(16)
AS_IT_IS = Framing(16, fraction=1.0)
NOISE = np.random.default_rng(0).bytes(2_000_000)  # looks like 30 scans
FILM = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + NOISE  # what a telephone puts behind a photo


def png_chunk(kind, content=b"", checksum=None):
    right = zlib.crc32(kind + content)
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", right if checksum is None else checksum)
    )


def webp_chunk(kind, content):
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def riff(chunks):
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


BESIDE_A_PNG = {  # pieces before the pixels
    "a wrong checksum of a text": png_chunk(b"tEXt", b"Title\0x", 1),
    "a wrong checksum of a profile": png_chunk(b"iCCP", b"x\0\0abc", 1),
    "a wrong checksum of a gamma": png_chunk(b"gAMA", b"\0\0\xb1\x8f", 1),
    "a wrong checksum of a transparency": png_chunk(b"tRNS", b"\0\1\0\1\0\1", 1),
    "a short gamma": png_chunk(b"gAMA", b"\0"),
    "a short resolution": png_chunk(b"pHYs", b"\0"),
    "a profile packed in another way": png_chunk(b"iCCP", b"x\0\7abc"),
    "a profile without a name": png_chunk(b"iCCP", b""),
    "damaged EXIF": png_chunk(b"eXIf", b"MM\0*\xff\xff"),
    "EXIF of noise": png_chunk(b"eXIf", NOISE[:500]),
    "EXIF with a wrong checksum": png_chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\0", 1),
    "damaged EXIF in a text": png_chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 9\nzz"),
    "damaged EXIF in a packed text": png_chunk(b"zTXt", b"Raw profile type exif\0\0zz"),
    "a text that unpacks to much": png_chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(5_000_000))),
    "an animation of nothing": png_chunk(b"acTL", b"\0\0\0\0\0\0\0\0"),
    "a text that is longer than the file": b"\x7f\0\0\0tEXtabc",
    "a chunk without a name": png_chunk(b"\0\0\0\0", b"abc"),
}


@pytest.mark.parametrize("beside", BESIDE_A_PNG)
def test_a_png_shows_the_same_whatever_lies_beside_its_pixels(beside, encode, paint):
    data, piece = encode(paint(16, 16)), BESIDE_A_PNG[beside]
    end = data.rindex(b"IEND") - 4
    assert np.array_equal(decode_image(data[:33] + piece + data[33:], AS_IT_IS), paint(16, 16))
    assert np.array_equal(decode_image(data[:end] + piece + data[end:], AS_IT_IS), paint(16, 16))


def test_a_png_without_its_end_or_with_more_behind_it_is_read(encode, paint):
    data = encode(paint(16, 16))
    behind = PNG_TEXT * 2_000
    for whole in (data[:-12], data[:-4], data + behind, data + FILM, data + data):
        assert np.array_equal(decode_image(whole, AS_IT_IS), paint(16, 16))


PNG_TEXT = png_chunk(b"tEXt", b"a\0b")


@pytest.mark.parametrize("at", [60, 200, -40])
def test_a_png_whose_pixels_are_damaged_is_refused(at, encode):
    grain = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    damaged = bytearray(encode(grain))
    damaged[at] ^= 4
    with pytest.raises(ImageUnreadable, match="damaged"):
        decode_image(bytes(damaged), AS_IT_IS)


def test_a_png_with_a_wrong_checksum_of_its_header_or_palette_is_refused(encode, paint):
    data = encode(Image.fromarray(paint(16, 16)).quantize(16))
    for at in (29, data.index(b"PLTE") + 4 + 16 * 3):
        damaged = bytearray(data)
        damaged[at] ^= 4
        with pytest.raises(ImageUnreadable, match="damaged: the header of a PNG"):
            decode_image(bytes(damaged), AS_IT_IS)


def test_the_chunks_of_an_animated_png_are_counted_and_only_its_first_picture_shown(encode, paint):
    first, other = Image.fromarray(paint(16, 16)), Image.new("RGB", (16, 16), "red")
    data = encode(first, save_all=True, append_images=[other, first])
    assert np.array_equal(decode_image(data, AS_IT_IS), paint(16, 16))
    with pytest.raises(ImageTooLarge, match="3 frames; the limit is 2"):
        decode_image(data, AS_IT_IS, Limits(frames=2))


@pytest.mark.parametrize("how", ["tEXt", "zTXt", "XMP"])
def test_an_orientation_that_a_png_keeps_in_a_text_turns_it(how, encode, paint):
    stored, notes = Image.fromarray(np.rot90(paint(16, 16)).copy()), PngImagePlugin.PngInfo()
    tags = exif(6).tobytes()
    if how == "XMP":
        notes.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    else:
        text = f"\nexif\n{len(tags)}\n{tags.hex()}\n"
        notes.add_text("Raw profile type exif", text, zip=how == "zTXt")
    assert np.array_equal(decode_image(encode(stored, pnginfo=notes), AS_IT_IS), paint(16, 16))


def test_of_a_text_no_more_is_read_than_such_exif_takes(encode, paint):
    plain = encode(paint(16, 16))
    text = b"Raw profile type exif\0" + b"a\n" * 500_000  # each line would become an object
    data = plain[:33] + png_chunk(b"tEXt", text) + plain[33:]
    assert len(png_stream(data, Limits()).metadata["Raw profile type exif"]) <= 131_072
    assert np.array_equal(decode_image(data, AS_IT_IS), paint(16, 16))


def extended_webp(encode, paint, *behind):
    """A lossless WebP of 16 x 16 px with further chunks, and flags that announce them."""
    plain = encode(paint(16, 16), "WEBP", lossless=True)
    header = bytes([0x2C, 0, 0, 0]) + b"\x0f\0\0" * 2  # a profile, EXIF, XMP; width, height less 1
    return webp_chunk(b"VP8X", header) + plain[12:] + b"".join(behind)


def test_a_webp_shows_the_same_whatever_lies_beside_its_picture(encode, paint):
    pieces = {
        "damaged EXIF": webp_chunk(b"EXIF", b"MM\0*\xff\xff"),
        "EXIF of noise": webp_chunk(b"EXIF", NOISE[:500]),
        "EXIF that is cut off": webp_chunk(b"EXIF", NOISE[:500])[:-100],
        "XMP of noise": webp_chunk(b"XMP ", NOISE[:500]),
        "a profile behind the picture": webp_chunk(b"ICCP", NOISE[:300]),
        "a chunk that nobody knows": webp_chunk(b"abcd", NOISE[:300]),
    }
    for piece in pieces.values():
        assert np.array_equal(
            decode_image(riff(extended_webp(encode, paint, piece)), AS_IT_IS), paint(16, 16)
        )
    whole = riff(extended_webp(encode, paint))
    for behind in (FILM, whole, webp_chunk(b"ANMF", b"ab") * 2_000):
        assert np.array_equal(decode_image(whole + behind, AS_IT_IS), paint(16, 16))


def test_of_exif_no_more_is_read_than_a_jpeg_can_hold(encode, paint):
    count = 50_000  # fractions as the orientation: each would become an object
    entry = struct.pack("<HHHII", 1, 0x0112, 5, count, 26)
    bomb = b"II*\0" + struct.pack("<I", 8) + entry + bytes(4) + bytes(8 * count)
    for data in (
        riff(extended_webp(encode, paint, webp_chunk(b"EXIF", bomb))),
        (plain := encode(paint(16, 16)))[:33] + png_chunk(b"eXIf", bomb) + plain[33:],
    ):
        stream = (webp_stream if data.startswith(b"RIFF") else png_stream)(data, Limits())
        assert 65_536 <= len(stream.metadata["exif"]) <= 65_550
        assert np.array_equal(decode_image(data, AS_IT_IS), paint(16, 16))


def test_a_turned_webp_is_upright(encode, paint):
    stored = np.rot90(paint(16, 16)).copy()
    data = encode(stored, "WEBP", lossless=True, exif=exif(6))
    assert np.array_equal(decode_image(data, AS_IT_IS), paint(16, 16))


def test_a_webp_may_not_announce_more_pixels_or_frames_than_the_limit(encode, paint):
    header = bytes(4) + b"\xfe\x3f\0" * 2  # 16,383 x 16,383
    with pytest.raises(ImageTooLarge, match=r"268,402,689 pixels .*--max-megapixels"):
        decode_image(riff(webp_chunk(b"VP8X", header)), SMALL)
    moving = webp_chunk(b"VP8X", b"\x02\0\0\0" + b"\x0f\0\0" * 2)
    with pytest.raises(ImageTooLarge, match="1,001 frames"):
        decode_image(riff(moving + webp_chunk(b"ANMF", bytes(24)) * 2_000), SMALL)
    with pytest.raises(ImageTooLarge, match="chunks"):
        decode_image(riff(moving + webp_chunk(b"abcd", b"") * 2_000), SMALL)


def test_a_gif_shows_the_same_whatever_lies_beside_its_picture(encode):
    data = encode(Image.new("RGB", (16, 16), (255, 0, 0)), "GIF")
    start = data.index(b"\x2c\0\0\0\0")
    notes = b"\x21\xfe" + b"\xff" + NOISE[:255] + b"\0"  # a comment
    xmp = b"\x21\xff\x0bXMP DataXMP" + b"\xff" + NOISE[:255] + b"\0"
    for piece in (notes, xmp, notes * 100):
        assert (decode_image(data[:start] + piece + data[start:], AS_IT_IS) == (255, 0, 0)).all()
    for behind in (FILM, data * 2_000):
        assert (decode_image(data + behind, AS_IT_IS) == (255, 0, 0)).all()


def test_the_blocks_of_a_gif_are_counted(encode, paint):
    data = encode(paint(16, 16), "GIF")
    start = data.index(b"\x2c\0\0\0\0")
    hostile = data[:start] + b"\x21\xfe" + b"\1x" * 9_000_000 + b"\0" + data[start:]
    started = time.perf_counter()
    with pytest.raises(ImageTooLarge, match="blocks"):
        decode_image(hostile, SMALL)
    assert time.perf_counter() - started < 0.5


def test_a_bmp_with_more_behind_it_is_read(encode, paint):
    assert np.array_equal(
        decode_image(encode(paint(16, 16), "BMP") + FILM, AS_IT_IS), paint(16, 16)
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_a_tiff_is_turned_once(orientation, compression, encode, paint):
    turns = [None, *(Image.Transpose(turn) for turn in (0, 3, 1, 5, 2, 6, 4))]
    turn, upright = turns[orientation - 1], Image.fromarray(paint(16, 16))
    stored = upright if turn is None else upright.transpose(turn)
    data = encode(stored, "TIFF", exif=exif(orientation), compression=compression)
    found = decode_image(data, AS_IT_IS, Limits(formats=("TIFF",)))
    assert np.array_equal(found, paint(16, 16))


@pytest.mark.parametrize("at", range(8, 200, 7))
def test_no_remark_on_a_damaged_tiff_reaches_anybody(at, encode, paint, capfd, recwarn):
    limits = Limits(formats=FORMATS + MORE_FORMATS)
    for compression in ("raw", "tiff_lzw"):
        data = bytearray(encode(paint(16, 16), "TIFF", compression=compression, exif=exif(6)))
        data[at - len(data) % 2 - 100 :: 41] = b"\xff" * len(data[at - len(data) % 2 - 100 :: 41])
        try:
            decode_image(bytes(data), AS_IT_IS, limits)
        except ImageError:
            continue
    assert not recwarn.list
    assert capfd.readouterr() == ("", "")


def test_a_tiff_may_not_have_tiles_of_more_pixels_than_the_limit():
    tags = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 277: 1, 322: 24_000, 323: 24_000}
    tags |= {324: 8, 325: 64}  # where its one tile is, and how long
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    with pytest.raises(ImageTooLarge, match="24000 x 24000"):
        decode_image(data, AS_IT_IS, Limits(formats=FORMATS + MORE_FORMATS))

"""Damaged files of every kind become pixels or an ImageError, never anything else."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from models.errors import ImageError
from models.images import FORMATS, MORE_FORMATS, Framing, Limits, decode_image, shrink_image

SMALL = Framing(16)
MUTATIONS = 300  # for each kind; 300 of them take about a quarter of a second
KINDS = (
    *("JPEG", "JPEG, progressive", "JPEG, CMYK", "MPO", "GIF", "AVIF", "BMP", "BMP, palette"),
    *("PNG", "PNG, palette", "PNG, 16 bit", "PNG, animated"),
    *("WebP", "WebP, animated", "TIFF", "TIFF, packed"),
)


def seeds(encode, paint):
    """A small valid file of every kind that decoders treat differently."""
    colour, grey = paint(20, 24), paint(20, 24)[..., 0]
    frames = [Image.fromarray(colour[::step].copy()) for step in (1, -1)]
    several = {"save_all": True, "append_images": frames[1:]}
    tags = Image.Exif()
    tags[0x0112], tags[0x010E] = 6, "a photo"
    alpha = Image.fromarray(np.dstack([colour, grey]))
    palette = Image.fromarray(colour).quantize(16)
    found = {
        "JPEG": encode(colour, "JPEG", exif=tags),
        "JPEG, progressive": encode(colour, "JPEG", progressive=True),
        "JPEG, CMYK": encode(Image.fromarray(colour).convert("CMYK"), "JPEG"),
        "MPO": encode(frames[0], "MPO", **several),
        "PNG": encode(alpha, exif=tags),
        "PNG, palette": encode(palette, transparency=3),
        "PNG, 16 bit": encode(grey.astype("uint16") * 257),
        "PNG, animated": encode(frames[0], **several),
        "WebP": encode(alpha, "WEBP", exif=tags),
        "WebP, animated": encode(frames[0], "WEBP", lossless=True, **several),
        "GIF": encode(frames[0], "GIF", **several),
        "BMP": encode(colour, "BMP"),
        "BMP, palette": encode(palette, "BMP"),
        "TIFF": encode(colour, "TIFF"),
        "TIFF, packed": encode(colour, "TIFF", compression="tiff_lzw"),
    }
    if features.check("avif"):
        found["AVIF"] = encode(colour, "AVIF")
    return found


def mutate(data, rng):
    """A copy of `data` with one to four kinds of damage."""
    content = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        if len(content) < 16:  # nothing left to damage
            break
        at, length = int(rng.integers(len(content))), int(rng.integers(1, 16))
        match rng.integers(6):
            case 0:
                content[at] ^= 1 << int(rng.integers(8))
            case 1:  # values at which lengths and counts overflow
                content[at : at + 4] = struct.pack(">I", rng.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFFF]))
            case 2:
                content[at : at + length] = rng.bytes(length)
            case 3:
                del content[at : at + length]
            case 4:
                content[at:at] = content[at : at + length]
            case _:
                content = content[: max(4, at)]
    return bytes(content)


@pytest.mark.filterwarnings("ignore")  # as in service: there a warning of Pillow's stops nothing
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_become_pixels_or_an_image_error(kind, encode, paint):
    data = seeds(encode, paint).get(kind) or pytest.skip(f"this Pillow was built without {kind}")
    limits = Limits(pixels=1_000_000, formats=FORMATS + MORE_FORMATS)  # few pixels: a quick test
    assert decode_image(data, SMALL, limits).max() > 0  # the file is good before it is damaged
    rng = np.random.default_rng(zlib.crc32(kind.encode()))
    decoded = refused = 0
    for _ in range(MUTATIONS):
        broken = mutate(data, rng)
        try:
            pixels = decode_image(broken, SMALL, limits)
            assert pixels.shape == (16, 16, 3)
            assert pixels.dtype == np.uint8
            assert shrink_image(broken, 16, limits).startswith(b"\xff\xd8")  # JPEG's first marker
            decoded += 1
        except ImageError:
            refused += 1
    assert decoded
    assert refused

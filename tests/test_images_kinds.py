"""What is no accepted photo is called by its name, with what to do; HEIC is read when asked."""

import base64
import gzip
import io
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from models.errors import ImageEmpty, ImageError, ImageTooLarge, ImageUnsupported
from models.images import FORMATS, MORE_FORMATS, Framing, Limits, decode_image, decode_photo

SMALL = Framing(16)
ALL_FORMATS = Limits(formats=FORMATS + MORE_FORMATS)
# `paint_photo(48, 64)`, stored on its side and turned by the container, as telephones do.
HEIC = base64.b64decode("""
    AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAchtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAA
    AAAAAAAAADRpbG9jAAAAAERAAAIAAQAAAAAB7AABAAAAAAAAAHcAAgAAAAACYwABAAAAAAAAACQAAAA4aWluZgAAAAAA
    AgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAABB2lwcnAAAADm
    aXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAq
    QgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQAN
    AAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAADAAAAABAAAAQAAAAAH////wAAAAAgAAAAAAAAACAAAAEHBp
    eGkAAAAAAwgICAAAAAlpcm90AwAAABlpcG1hAAAAAAAAAAEAAQaBAgMFhIYAAAAaaXJlZgAAAAAAAAAOY2RzYwACAAEA
    AQAAAKNtZGF0AAAAcygBrxOA9T+TeuhXFvLErmqgXp6Z2babdMsb2LwNdiItpcHAwGakuqxE3jEsOYEg6/1q+1lNUmCr
    Y82v13eiuuw4ua0diGaQQixI8x6BqMqe4a1WSyrcACDGJ2GHHfaukJOxAMSUr970RnnGVbKK/A9RZYwAAAAGRXhpZgAA
    TU0AKgAAAAgAAQESAAMAAAABAAYAAAAAAAA=
""")


def packed(kind):
    buffer = io.BytesIO()
    if kind == "tar":
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("cat.jpg"))
    else:
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("cat.jpg", b"abc")
    return buffer.getvalue()


def saved(kind, **options):
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, kind, **options)
    return buffer.getvalue()


def iso(brand):
    return b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0" + brand + b"isom" + bytes(100)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
KINDS = {  # what it is -> its bytes, and words that a person needs
    "zip": (packed("zip"), "zip file.*unpack it"),
    "tar": (packed("tar"), "tar.*unpack it"),
    "gzip": (gzip.compress(b"abc"), "gzip.*unpack it"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c\0\4", "7-Zip.*unpack it"),
    "RAR": (b"Rar!\x1a\x07\x01\0", "RAR.*unpack it"),
    "HEIC": (HEIC, "HEIC: --more-formats reads it.*pip install pi-heif"),
    "HEIF, by a general brand": (iso(b"mif1"), "HEIC: --more-formats"),
    "AVIF": (iso(b"avif"), "AVIF: --more-formats reads it"),
    "TIFF": (saved("TIFF"), "TIFF: --more-formats reads it"),
    "TIFF, the other way round": (b"MM\0*\0\0\0\x08", "TIFF: --more-formats"),
    "CR2": (b"II*\0\x10\0\0\0CR\2\0", "raw photo of a camera"),
    "CR3": (iso(b"crx "), "raw photo of a camera"),
    "NEF": (b"MM\0*\0\0\0\x08NIKON CORPORATION", "raw photo of a camera"),
    "RAF": (b"FUJIFILMCCD-RAW 0201", "raw photo of a camera"),
    "MP4": (iso(b"isom"), "film"),
    "MOV": (iso(b"qt  "), "film"),
    "WebM": (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\1", "film"),
    "AVI": (b"RIFF\0\0\0\0AVI LIST", "film"),
    "WAV": (b"RIFF\0\0\0\0WAVEfmt ", "sound"),
    "PPM": (saved("PPM"), "PPM.*save it as JPEG or PNG"),
    "PGM in text": (b"P2\n2 2\n255\n0 1 2 3\n", "PGM.*save it as"),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000.*save it as"),
    "JPEG XL": (b"\xff\x0a\xfa\x7f", "JPEG XL.*save it as"),
    "JPEG XL in a box": (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL.*save it as"),
    "ICO": (saved("ICO"), "icon.*save it as"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3", "PDF.*take the pictures out"),
    "PSD": (b"8BPS\0\1\0\0", "Photoshop.*save it as"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript.*save it as"),
    "SVG": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG.*save it as"),
    "Git LFS": (LFS, "git lfs pull"),
    "HTML": (b"\n<!DOCTYPE html><title>404</title>", "web page.*save the photo"),
    "JSON": (b'{"error": "not found"}', "JSON.*get the photo again"),
    "XML": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML.*again"),
    "text": (b"cat.jpg,cat\ndog.jpg,dog\n", "text, not a photo"),
    "text in UTF-16": ("Katze und Hund, ein Verzeichnis".encode("utf-16"), "text, not a photo"),
    "text with accents": ("une légende très française".encode(), "text, not a photo"),
    "data URL": (b"data:image/png;base64,iVBORw0KGgo", "data URL.*base64"),
    "zeros": (bytes(10_000), "nothing but zeros.*get it again"),
    "zeros where it begins": (bytes(10_000) + b"abc", "zeros where it begins.*get it again"),
    "spaces": (b" \n\n", "nothing but spaces"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_kind_is_called_by_its_name(kind):
    data, words = KINDS[kind]
    accepted = (
        r"not an image in one of the accepted formats \(JPEG, PNG, WEBP, GIF, BMP\): it is .*"
    )
    with pytest.raises(ImageUnsupported, match=f"(?s){accepted}{words}") as caught:
        decode_image(data, SMALL)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"\x07\x99\xf1", bytes(range(1, 256)) * 20])
def test_a_file_of_no_known_kind_is_refused_without_a_guess(data):
    with pytest.raises(ImageUnsupported, match=r"accepted formats \(JPEG, .*BMP\)$"):
        decode_image(data, SMALL)


def test_an_empty_download_is_called_empty():
    with pytest.raises(ImageEmpty, match="0 bytes; was its download or copy finished"):
        decode_image(b"", SMALL)


def test_a_heic_photo_is_read_upright_when_it_is_asked_for(encode, paint):
    pytest.importorskip("pi_heif")
    found = decode_photo(HEIC, SMALL, ALL_FORMATS)
    assert (found.width, found.height, found.kind) == (64, 48, "HEIF")
    expected = decode_image(encode(paint(48, 64)), SMALL)
    assert np.abs(found.pixels.astype(int) - expected).mean() < 6  # its loss; a turn changes 60


def test_without_its_package_the_message_says_what_to_install(monkeypatch):
    from models.decoding import openable

    monkeypatch.setitem(sys.modules, "pi_heif", None)  # as if it were not there
    openable._heif_is_there.cache_clear()
    try:
        with pytest.raises(ImageUnsupported, match="HEIC: `pip install pi-heif` reads it"):
            decode_image(HEIC, SMALL, ALL_FORMATS)
    finally:
        openable._heif_is_there.cache_clear()


def test_a_heic_photo_keeps_the_limits():
    pytest.importorskip("pi_heif")
    few = Limits(pixels=3071, formats=FORMATS + MORE_FORMATS)
    with pytest.raises(ImageTooLarge, match=r"3,072 pixels \(64 x 48\).*the limit is 3,071"):
        decode_image(HEIC, SMALL, few)
    with pytest.raises(ImageTooLarge, match="bytes"):
        decode_image(HEIC, SMALL, Limits(size_bytes=100, formats=FORMATS + MORE_FORMATS))


def test_a_heic_photo_that_is_larger_than_it_says_is_refused():
    pytest.importorskip("pi_heif")
    at = HEIC.index(b"ispe") + 8
    lying = HEIC[:at] + (8).to_bytes(4, "big") * 2 + HEIC[at + 8 :]
    photo = decode_photo_or_none(lying)
    assert photo is None or photo.pixels.shape == (16, 16, 3)


def decode_photo_or_none(data):
    try:
        return decode_photo(data, SMALL, ALL_FORMATS)
    except ImageError:
        return None


def test_damaged_heic_becomes_pixels_or_an_image_error(capfd):
    pytest.importorskip("pi_heif")
    rng = np.random.default_rng(0)
    decoded = 0
    for _ in range(200):
        damaged = bytearray(HEIC)
        for at in rng.integers(len(HEIC), size=3):
            damaged[at] = rng.integers(256)
        decoded += decode_photo_or_none(bytes(damaged)) is not None
    for share in (0.3, 0.6, 0.95):
        assert decode_photo_or_none(HEIC[: int(share * len(HEIC))]) is None
    assert 0 < decoded < 200
    assert capfd.readouterr() == ("", "")


def segment(marker, content):
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


@pytest.mark.parametrize("side", [40, 512])
def test_a_lossless_jpeg_is_read_however_much_larger_than_the_network_it_is(side):
    frame = bytes([8, *side.to_bytes(2, "big"), *side.to_bytes(2, "big"), 1, 1, 0x11, 0])
    one_code = bytes([0, 1, *bytes(15), 0])  # a bit that says: as the number before it
    scan = bytes([1, 1, 0, 1, 0, 0])
    head = b"\xff\xd8" + segment(0xC3, frame) + segment(0xC4, one_code) + segment(0xDA, scan)
    data = head + bytes(side * side // 8 + 8) + b"\xff\xd9"
    assert decode_image(data, SMALL).tolist() == np.full((16, 16, 3), 128).tolist()

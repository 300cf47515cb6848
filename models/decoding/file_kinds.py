"""What a file that is no accepted photo is, by its first bytes, and what to do about it."""

FIRST = 4096  # bytes that are looked at
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_RAW = "a raw photo of a camera: develop it and save it as JPEG"
_FILM = "a film: take photos out of it, such as with ffmpeg"
_PACKED = "a packed file: unpack it, and give the photos in it"
_CONVERT = "save it as JPEG or PNG"

# First bytes -> what it is and what to do; longer ones stand before their own beginnings.
_BY_START: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip file (or a document in one): unpack it, and give the photos in it"),
    (b"PK\x05\x06", "an empty zip file"),
    (b"\x1f\x8b", f"gzip, {_PACKED}"),
    (b"BZh", f"bzip2, {_PACKED}"),
    (b"\xfd7zXZ\0", f"xz, {_PACKED}"),
    (b"\x28\xb5\x2f\xfd", f"Zstandard, {_PACKED}"),
    (b"7z\xbc\xaf\x27\x1c", f"7-Zip, {_PACKED}"),
    (b"Rar!\x1a\x07", f"RAR, {_PACKED}"),
    (b"%PDF-", f"a PDF: take the pictures out of it, or {_CONVERT}"),
    (b"%!PS", f"PostScript: {_CONVERT}"),
    (b"\xc5\xd0\xd3\xc6", f"PostScript: {_CONVERT}"),
    (b"8BPS", f"a Photoshop document: {_CONVERT}"),
    (b"\x00\x00\x00\x0cjP  ", f"JPEG 2000: {_CONVERT}"),
    (b"\xff\x4f\xff\x51", f"JPEG 2000: {_CONVERT}"),
    (b"\xff\x0a", f"JPEG XL: {_CONVERT}"),
    (b"\x00\x00\x00\x0cJXL ", f"JPEG XL: {_CONVERT}"),
    (b"\xff\xf7", f"JPEG-LS: {_CONVERT}"),
    (b"\x00\x00\x01\x00", f"an icon (ICO): {_CONVERT}"),
    (b"\x00\x00\x02\x00", f"a cursor (CUR): {_CONVERT}"),
    (b"icns", f"an icon (ICNS): {_CONVERT}"),
    (b"DDS ", f"a texture (DDS): {_CONVERT}"),
    (b"qoif", f"QOI: {_CONVERT}"),
    (b"SIMPLE  =", f"FITS, of an observatory: {_CONVERT}"),
    (b"v/1\x01", f"OpenEXR: {_CONVERT}"),
    (b"#?RADIANCE", f"Radiance HDR: {_CONVERT}"),
    (b"FUJIFILMCCD-RAW", _RAW),
    (b"FOVb", _RAW),
    (b"IIRO", _RAW),
    (b"IIU\0", _RAW),
    (b"\x1a\x45\xdf\xa3", _FILM),
    (b"\0\0\x01\xba", _FILM),
    (b"FLV\x01", _FILM),
    (b"\x93NUMPY", f"an array of NumPy: {_CONVERT}"),
    (b"\x89HDF", f"HDF5: {_CONVERT}"),
    (b"ID3", "sound, not a photo"),
    (b"OggS", "sound or a film, not a photo"),
    (b"fLaC", "sound, not a photo"),
    (b"SQLite format 3", "a database, not a photo"),
    (b"\x7fELF", "a program, not a photo"),
    (b"MZ", "a program, not a photo"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the photo: run `git lfs pull`"),
)
_BRANDS = {  # of an ISO media file, bytes 8 to 12: which program wrote it
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1"),
    "AVIF": (b"avif", b"avis"),
    "raw": (b"crx ",),
}


def is_heif(data: bytes) -> bool:
    """Whether it is HEIC, which is what telephones make, or a sister of it."""
    return data[4:8] == b"ftyp" and _brand(data) == "HEIC"


def describe_kind(data: bytes, formats: tuple[str, ...]) -> str:
    """Say what a refused file is and what to do; empty where that is not known.

    Args:
        formats: those that are accepted.
    """
    start = data[:FIRST]
    if data[4:8] == b"ftyp":
        return _iso_media(data, formats)
    if start.startswith(_TIFF):
        if start[8:10] == b"CR" or b"NIKON" in start.upper() or b"DNG" in start:
            return _RAW
        return "" if "TIFF" in formats else "TIFF: --more-formats reads it"
    if start.startswith(b"RIFF"):
        kind = start[8:12]
        return _FILM if kind == b"AVI " else "sound, not a photo" if kind == b"WAVE" else ""
    for magic, meaning in _BY_START:
        if start.startswith(magic):
            return meaning
    if start[257:262] == b"ustar":
        return f"tar, {_PACKED}"
    if start[:1] == b"P" and start[1:2] in b"1234567" and start[2:3].isspace():
        return f"PPM, PGM or a sister of it (Netpbm): {_CONVERT}"
    if not start.strip(b"\0"):
        nothing = "nothing but zeros" if not data.strip(b"\0") else "zeros where it begins"
        return f"{nothing}: a download or a copy that was not finished; get it again"
    return _text(start)


def _brand(data: bytes) -> str:
    """The kind of an ISO media file: its own brand, else one that it says it also is."""
    size = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[at : at + 4] for at in (8, *range(16, size, 4))]
    for brand in brands:
        for kind, known in _BRANDS.items():
            if brand in known and not (brand == b"mif1" and set(brands) & set(_BRANDS["AVIF"])):
                return kind
    return ""


def _iso_media(data: bytes, formats: tuple[str, ...]) -> str:
    kind = _brand(data)
    if kind == "HEIC" and "HEIF" in formats:
        return "HEIC: `pip install pi-heif` reads it"
    if kind == "HEIC":
        return "HEIC: --more-formats reads it, with `pip install pi-heif`; or save it as JPEG"
    if kind == "AVIF":
        return "" if "AVIF" in formats else "AVIF: --more-formats reads it"
    return _RAW if kind == "raw" else _FILM


def _text(start: bytes) -> str:
    """What a file is that holds characters; empty where it holds other bytes."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        start = start.decode("utf-16", "replace").encode()
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not text:
        return "nothing but spaces: a download that failed; get it again"
    if b"<svg" in text:
        return f"SVG, a drawing and no photo: {_CONVERT}"
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--")):
        return "a web page (HTML), not the photo: open its address in a browser, and save the photo"
    if text.startswith(b"<"):
        return "XML, perhaps an error that a server answered: get the photo again"
    if text.startswith((b"{", b"[")) and b'"' in text:
        return "JSON, perhaps an error that a server answered: get the photo again"
    if text.startswith(b"data:image/"):
        return "a data URL: decode its base64 first"
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in text)
    if control or 0x7F in text:
        return ""
    try:
        text[:-4].decode()  # a character may be cut in two where it ends
    except UnicodeDecodeError:
        return ""
    return "text, not a photo"

"""Which formats Pillow may try, and why a file is in none of them."""

from functools import cache

from models.decoding.file_kinds import describe_kind, is_heif
from models.decoding.limits import Limits
from models.errors import ImageError, ImageUnreadable, ImageUnsupported

_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"RIFF": "WEBP",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II": "TIFF",
    b"MM": "TIFF",
}


def openable(data: bytes, limits: Limits) -> list[str]:
    """The formats that Pillow may try on a file."""
    heif = "HEIF" in limits.formats and is_heif(data) and _heif_is_there()
    return ["HEIF"] if heif else [name for name in limits.formats if name != "HEIF"]


@cache
def _heif_is_there() -> bool:
    """Whether the package for HEIC, which few need, is installed; it is loaded then."""
    try:
        import pi_heif
    except ImportError:
        return False
    pi_heif.register_heif_opener(
        decode_threads=1, thumbnails=False, depth_images=False, aux_images=False
    )
    return True


def unidentified(data: bytes, limits: Limits) -> ImageError:
    """Why Pillow did not know a file: it is of another kind, or its header is damaged."""
    names = ", ".join(limits.formats)
    there = "HEIF" in limits.formats and is_heif(data) and _heif_is_there()
    what = "" if there else describe_kind(data, limits.formats)
    if what:
        return ImageUnsupported(
            f"not an image in one of the accepted formats ({names}): it is {what}"
        )
    if "HEIF" in limits.formats and is_heif(data):
        return ImageUnreadable("the image is damaged: a HEIC that cannot be opened")
    for magic, kind in _MAGIC.items():
        if data.startswith(magic) and kind in limits.formats:
            return ImageUnreadable(f"the image is damaged: the header of a {kind} with no picture")
    return ImageUnsupported(f"not an image in one of the accepted formats ({names})")

"""What one encoded photo may cost, and which formats it may have."""

from dataclasses import dataclass

from models.errors import ImageTooLarge

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MORE_FORMATS = ("TIFF", "AVIF", "HEIF")  # by a setting: large decoders few photo services need
SIDE = 65_535  # px, as a JPEG may have: one pixel wide, each would cost what a row costs
DRAFTED = 4  # times as many pixels may a JPEG have as are decoded of it, at half its size or less


@dataclass(frozen=True)
class Limits:
    """Each is checked before pixels are decoded.

    `pixels` are those that are decoded: a JPEG of four times as many is taken where it is
    decoded at half its size or less, as every photo of a telephone is.
    """

    size_bytes: int = 20_000_000
    pixels: int = 25_000_000  # width x height; Pillow's own limit lets 11 kB take 441 MiB
    frames: int = 1_000  # only the first is shown
    scans: int = 100  # of a JPEG: each repeated scan decodes the whole picture again
    scan_pixels: int = 600_000_000  # scans x pixels: about half a second
    coefficients: int = 160_000_000  # of a progressive JPEG, two bytes each until its last scan
    parts: int = 1_000  # segments of a JPEG, chunks of a PNG: each is read in Python
    formats: tuple[str, ...] = FORMATS


def check_limit(found: int, limit: int, unit: str) -> None:
    """Refuse more than `limit`. Raises ImageTooLarge."""
    if found > limit:
        raise ImageTooLarge(found, limit, unit)


def check_pixels(width: int, height: int, limits: Limits, drafted: bool = False) -> None:
    """Refuse too many pixels, and name the option; or a side too long. Raises ImageTooLarge."""
    check_limit(max(width, height), SIDE, "pixels along a side")
    most = limits.pixels * (DRAFTED if drafted else 1)
    if width * height > most:
        unit = f"pixels ({width} x {height})"
        raise ImageTooLarge(width * height, most, unit, "--max-megapixels sets it")

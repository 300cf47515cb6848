"""Time the decoder against plain Pillow on the same bytes, in one run.

    python -m benchmarks.decode

Each kind of file is decoded in turns by `models.images.decode_image` and by the shortest code
that gives such a picture with Pillow; the ratio of the two medians says what checks, turning
and flattening cost. A ratio does not move with the machine, as a time does.
"""

import io
import statistics
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from models.images import RESAMPLING, Framing, decode_image

FRAMING = Framing(224)
TURNS = 21


def by_pillow(data: bytes) -> np.ndarray:
    """The centre of a photo, as a tutorial would have it: (224, 224, 3) uint8."""
    with Image.open(io.BytesIO(data)) as image:
        gap = min(image.size) * FRAMING.fraction / FRAMING.size / 2  # as decode_image drafts
        if image.format in ("JPEG", "MPO") and gap >= 2:
            image.draft(None, (int(image.width / gap), int(image.height / gap)))
        image.load()
        square = (FRAMING.size, FRAMING.size)
        box = FRAMING.box(image.width, image.height)
        return np.asarray(image.resize(square, RESAMPLING, box=box).convert("RGB"))


def files() -> dict[str, bytes]:
    """One photo of grain over a smooth ground, as a file of every kind."""
    large, small = _photo(3024, 4032), _photo(400, 300)
    see_through = small.convert("RGBA")
    see_through.putalpha(Image.linear_gradient("L").resize(small.size))
    tags = Image.Exif()
    tags[0x0112] = 6
    return {
        "JPEG 300 x 400": _encode(small, "JPEG", quality=90),
        "JPEG 300 x 400, EXIF": _encode(small, "JPEG", quality=90, exif=tags),
        "JPEG 12 Mpx": _encode(large, "JPEG", quality=90, exif=tags),
        "JPEG 12 Mpx, progressive": _encode(large, "JPEG", quality=90, progressive=True),
        "PNG 300 x 400": _encode(small, "PNG"),
        "PNG 300 x 400, RGBA": _encode(see_through, "PNG"),
        "PNG 12 Mpx": _encode(large, "PNG", compress_level=1),
        "WebP 300 x 400": _encode(small, "WEBP", quality=90),
        "GIF 300 x 400": _encode(small, "GIF"),
        "BMP 300 x 400": _encode(small, "BMP"),
    }


def _photo(height: int, width: int) -> Image.Image:
    down, right = np.mgrid[0 : 200 : height * 1j, 0 : 200 : width * 1j]
    grain = np.random.default_rng(0).normal(0, 8, (height, width))
    bands = [down + grain, right + grain, (down + right) / 2 + grain]
    return Image.fromarray(np.stack(bands, axis=-1).clip(0, 255).astype(np.uint8))


def _encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def compare(data: bytes) -> tuple[float, float]:
    """Median milliseconds of a core for `decode_image` and for plain Pillow, asked in turns."""
    ways: list[Callable[[], object]] = [
        lambda: decode_image(data, FRAMING),
        lambda: by_pillow(data),
    ]
    taken: list[list[float]] = [[], []]
    for _ in range(TURNS):
        for times, way in zip(taken, ways, strict=True):
            started = time.thread_time()
            way()
            times.append((time.thread_time() - started) * 1000)
    return statistics.median(taken[0]), statistics.median(taken[1])


def main() -> None:
    """Print a table in Markdown."""
    print("| file | bytes | decode_image, ms | plain Pillow, ms | ratio |\n|---|---|---|---|---|")
    for name, data in files().items():
        ours, plain = compare(data)
        print(f"| {name} | {len(data):,} | {ours:.2f} | {plain:.2f} | {ours / plain:.2f} |")


if __name__ == "__main__":
    main()

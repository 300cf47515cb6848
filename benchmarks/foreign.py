"""Pictures that no model of photos was trained on: drawn, so that nothing has to be fetched."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

SIZE = 224  # px
PICTURES = 60  # of each kind
EVERY = 18  # of the 1,797 digits: 100 are drawn
DIGIT = 64  # px, a digit's side
TEXT = Path(__file__).parent.parent / "docs" / "architecture.md"
Draw = Callable[[np.random.Generator], list[np.ndarray]]


def noise(rng: np.random.Generator) -> list[np.ndarray]:
    """Draw every pixel by itself."""
    return [rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8) for _ in range(PICTURES)]


def smooth_noise(rng: np.random.Generator) -> list[np.ndarray]:
    """Draw clouds of colour, from coarse to fine."""
    small = [rng.integers(0, 256, (s, s, 3), dtype=np.uint8) for s in range(4, 4 + PICTURES)]
    return [np.asarray(Image.fromarray(each).resize((SIZE, SIZE))) for each in small]


def flat_colours(rng: np.random.Generator) -> list[np.ndarray]:
    """Draw one colour a picture."""
    return [np.full((SIZE, SIZE, 3), rng.integers(0, 256, 3), np.uint8) for _ in range(PICTURES)]


def pages_of_text(rng: np.random.Generator) -> list[np.ndarray]:
    """Draw pages of text, dark on light."""
    words = TEXT.read_text(encoding="utf-8").split()
    pages = []
    for number in range(PICTURES):
        page = Image.new("RGB", (600, 800), tuple(rng.integers(225, 256, 3).tolist()))
        size = 12 + number % 16
        font, pen = ImageFont.load_default(size), ImageDraw.Draw(page)
        for line, top in enumerate(range(40, 760, int(1.4 * size))):
            start = (7 * line + 13 * number) % (len(words) - 12)
            pen.text((40, top), " ".join(words[start : start + 12]), fill=(30, 30, 40), font=font)
        pages.append(np.asarray(page))
    return pages


def digits(rng: np.random.Generator) -> list[np.ndarray]:
    """Draw handwritten digits dark on white (Alpaydin & Kaynak 1998), the same each time."""
    ink = (255 - load_digits().images[::EVERY] * (255 / 16)).round().astype(np.uint8)  # 16 levels
    large = [Image.fromarray(one).resize((DIGIT, DIGIT), Image.Resampling.BICUBIC) for one in ink]
    return [np.asarray(one.convert("RGB")) for one in large]


KINDS: dict[str, Draw] = {
    "noise": noise,
    "smooth noise": smooth_noise,
    "flat colours": flat_colours,
    "pages of text": pages_of_text,
    "digits": digits,
}

"""Decode a photo as the model was trained: needs numpy and pillow."""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

HERE = Path(__file__).parent
FACTS = json.loads((HERE / "export.json").read_text(encoding="utf-8"))


def decode(path: str) -> np.ndarray:
    """Decode a photo to (S, S, 3) uint8: upright raw RGB, as much of it as the model saw."""
    size, resize, fraction = (FACTS["image"][name] for name in ("size", "resize", "fraction"))
    photo = ImageOps.exif_transpose(Image.open(path))
    if photo.has_transparency_data:
        white = Image.new("RGBA", photo.size, "white")
        photo = Image.alpha_composite(white, photo.convert("RGBA"))
    photo = photo.convert("RGB")
    if resize == "pad":  # with black beside it
        small = ImageOps.contain(photo, (size, size), Image.Resampling.BILINEAR)
        square = Image.new("RGB", (size, size))
        square.paste(small, ((size - small.width) // 2, (size - small.height) // 2))
        return np.asarray(square)
    width, height = photo.size
    side = min(photo.size) * fraction
    across, down = (side, side) if resize == "crop" else photo.size
    box = ((width - across) / 2, (height - down) / 2, (width + across) / 2, (height + down) / 2)
    return np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR, box=box))

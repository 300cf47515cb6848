"""scikit-learn's 1,797 handwritten digits as class folders of PNG files, for the demo.

`python -m training.demo.digits FOLDER`. Real handwriting, 8 x 8 px (Alpaydin & Kaynak 1998),
and no download: what follows is the ordinary `fit`.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from models.bundle import writing
from models.errors import StorageError

SCALE = 8  # each pixel becomes 8 x 8, so that a person can see the picture


def write_digits(folder: Path) -> int:
    """Write every digit to `folder`/LABEL/NUMBER.png, dark on white; returns how many.

    Raises:
        StorageError: the folder cannot be written.
    """
    digits = load_digits()
    with writing(folder):
        for number, (ink, label) in enumerate(zip(digits.images, digits.target, strict=True)):
            place = folder / str(label)
            place.mkdir(parents=True, exist_ok=True)
            grey = (255 - ink * (255 / 16)).round().astype(np.uint8)  # 16 levels of ink
            side = grey.shape[0] * SCALE
            picture = Image.fromarray(grey).resize((side, side), Image.Resampling.BICUBIC)
            picture.save(place / f"{number:04}.png")
    return len(digits.images)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m training.demo.digits FOLDER")
    target = Path(sys.argv[1])
    try:
        print(f"{write_digits(target)} handwritten digits are in {target}")
    except StorageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)

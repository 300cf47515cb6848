"""scikit-learn's 1,797 handwritten digits as PNG files: pictures that are no photos.

Real handwriting, 8 x 8 px (Alpaydin & Kaynak 1998), and no download.
"""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from tests.conftest import encode_photo

SIDE = 64  # px: each pixel becomes 8 x 8, so that a person can see the picture


def draw_digits() -> list[bytes]:
    """Draw every digit dark on white, as a PNG of 64 x 64 px."""
    drawn = (255 - load_digits().images * (255 / 16)).round().astype(np.uint8)  # 16 levels of ink
    enlarge = Image.Resampling.BICUBIC
    return [encode_photo(Image.fromarray(grey).resize((SIDE, SIDE), enlarge)) for grey in drawn]

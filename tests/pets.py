"""The public guide's cats and dogs: photos drawn, the recipe run by Keras alone, and adopted."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result
from PIL import Image

from training.__main__ import training


def draw_animals(root: Path) -> Path:
    """Cats are tall and orange, dogs wide and brown: photos of different sizes."""
    rng = np.random.default_rng(3)
    for label, colour, shape in (
        ("cat", (230, 140, 40), (40, 16)),
        ("dog", (80, 50, 30), (16, 44)),
    ):
        (root / label).mkdir(parents=True)
        for number in range(40):
            pixels = rng.integers(120, 256, (60 + number % 7, 70, 3))
            top, left = rng.integers(0, 18, 2)
            pixels[top : top + shape[0], left : left + shape[1]] = np.array(colour) + rng.integers(
                -20, 21, 3
            )
            picture = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))
            picture.save(root / label / f"{number}.jpg", quality=92)
    return root


def adopt_recipe(place: Path) -> Result:
    """Train and save `cats_and_dogs.keras` on `photos`, adopt it as `pets`; what was said."""
    photos, model = draw_animals(place / "photos"), place / "cats_and_dogs.keras"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
    recipe = Path(__file__).with_name("recipe.py")
    subprocess.run(
        [sys.executable, str(recipe), str(photos), str(model)],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    words = ["adopt", str(model), "--labels", "cat,dog", "--out", str(place / "pets"),
             "--photos", str(photos)]  # fmt: skip
    result = CliRunner().invoke(training, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result

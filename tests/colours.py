"""A network that tells three colours apart, photos of them, and `adopt` with what it says."""

from pathlib import Path

import keras
import numpy as np
from keras import layers
from PIL import Image

from models.bundle import Bundle
from models.classifier import Classifier
from training.adopt.adopt import adopt
from training.adopt.config import AdoptConfig
from training.settings.console import Stages

COLOURS = {"ant": (200, 40, 40), "bee": (40, 190, 50), "cow": (50, 60, 210)}


class Heard(Stages):
    """Stages that keep what was said."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    @property
    def text(self):
        return "\n".join(self.lines)


def write_photos(root: Path) -> Path:
    """Write class folders: each class has its colour, in squares before noise."""
    rng = np.random.default_rng(0)
    for label, colour in COLOURS.items():
        (root / label).mkdir()
        for number in range(24):
            pixels = rng.integers(0, 90, (40, 48, 3))
            top, left = rng.integers(0, 16, 2)
            pixels[top : top + 24, left : left + 30] = np.array(colour) + rng.integers(-30, 30, 3)
            picture = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))
            picture.save(root / label / f"{number}.png")
    return root


def colour_model(scale=255.0, bgr=False, order=(0, 1, 2), last="softmax"):
    """A network that tells the three colours apart, where pixels come as it wants them."""
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(3, 1, use_bias=False, name="mix")(image)
    x = layers.ReLU(name="answers")(x)
    x = layers.GlobalAveragePooling2D()(x)
    units = 1 if last == "sigmoid" else 3
    model = keras.Model(image, layers.Dense(units, activation=last, name="last")(x))
    mix = np.eye(3)[::-1] if bgr else np.eye(3)
    opposed = 1.5 * np.eye(3) - 0.5
    kernel = 255 / scale * (mix @ opposed).reshape(1, 1, 3, 3)
    model.get_layer("mix").set_weights([kernel])
    head = 20 * np.eye(3)[:, list(order)] if units == 3 else 20 * np.array([[-1.0], [1], [0]])
    model.get_layer("last").set_weights([head, np.zeros(units)])
    return model


def run_adopt(model, tmp_path, photos=None, labels="ant,bee,cow", **settings):
    path = tmp_path / "model.keras"
    model.save(path)
    heard = Heard()
    adopt(path, labels, tmp_path / "bundle", photos, AdoptConfig(**settings), heard)
    return Classifier(Bundle(tmp_path / "bundle")), heard

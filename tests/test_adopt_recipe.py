"""The public guide's cats and dogs: saved by Keras alone, adopted with photos, served, opened."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from models.bundle import Bundle
from models.classifier import Classifier
from service.app import create_app
from training.__main__ import training

pytestmark = pytest.mark.slow
JSON = {"Accept": "application/json"}


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


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("recipe")
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
    return place, result


def test_the_recipe_is_adopted_as_its_photos_say(made):
    place, result = made
    said = result.stderr + result.stdout
    assert "1 means 'dog', 0 means 'cat'" in said
    assert "chosen: --scaling raw, accuracy" in said
    test = Bundle(place / "pets").manifest.metrics["test"]
    assert test["accuracy"] > 0.8


def test_the_recipe_answers_the_same_class_as_in_keras(made):
    place, _ = made
    model = keras.models.load_model(place / "cats_and_dogs.keras", compile=False)
    classifier = Classifier(Bundle(place / "pets"))
    files = sorted((place / "photos").rglob("*.jpg"))[::5]
    pixels = np.stack([classifier.decode(file.read_bytes()) for file in files])
    logits = np.asarray(model(pixels.astype("float32"), training=False))[:, 0]
    clear = np.abs(logits) > 1e-3
    found = classifier.predict(pixels)[:, 1] > 0.5
    assert ((logits > 0) == found)[clear].all()


def test_the_recipe_is_served_and_looked_into(made):
    place, _ = made
    client = create_app([place / "pets"]).test_client()
    photo = (place / "photos/cat/0.jpg").read_bytes()
    body = client.post("/activations", data=photo).json
    assert len(body["layers"]) == 3
    assert body["predictions"][0]["label"] in ("cat", "dog")
    assert client.post("/saliency", data=photo, headers=JSON).json["method"] == "position"
    assert client.get("/models/pets/report").status_code == 200

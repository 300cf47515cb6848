"""The public guide's cats and dogs: saved by Keras alone, adopted with photos, and served.

test_page_adopted.py opens them in a browser.
"""

import keras
import numpy as np
import pytest

from models.bundle import Bundle
from models.classifier import Classifier
from service.app import create_app
from tests.pets import adopt_recipe

pytestmark = pytest.mark.slow
JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("recipe")
    return place, adopt_recipe(place)


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

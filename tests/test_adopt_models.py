"""A model of any structure is adopted from its file: same answers, same feature maps."""

from pathlib import Path

import keras
import numpy as np
import pytest

from models.adopting.files.model_file import read_model_file
from models.adopting.rebuild import rebuild
from models.bundle import Bundle
from models.classifier import Classifier
from models.inside import explain, look_inside
from tests.foreign import MODELS
from tests.foreign_files import CLASSES, liven, photos_for, save
from training.adopt.adopt import adopt
from training.adopt.config import AdoptConfig
from training.settings.console import Stages

SAME = 1e-4  # of a probability
SAME_MAP = 1e-3  # of a map's largest number, where that is above 1


def adopt_file(path: Path, out: Path, model: keras.Model, **settings) -> Classifier:
    units = model.output_shape[-1]
    names = ",".join(CLASSES[: max(2, units)])
    adopt(path, names, out, None, AdoptConfig(**{"scaling": "raw"} | settings), Stages(quiet=True))
    return Classifier(Bundle(out))


def own_input(photos: np.ndarray, model: keras.Model) -> np.ndarray:
    """What a program gives this model for square photos: here without any layer of ours."""
    shape = model.input_shape[1:]
    pixels = photos.astype("float32")
    if shape[0] is not None and shape[0] != shape[1]:
        pixels = np.asarray(keras.layers.Resizing(*shape[:2])(pixels))
    if len(shape) == 2 or shape[2] == 1:
        pixels = pixels @ np.array([0.299, 0.587, 0.114], "float32")
        pixels = pixels if len(shape) == 2 else pixels[..., None]
    return pixels


def own_probabilities(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    answers = np.asarray(model(pixels, training=False), np.float64)
    if answers.shape[1] == 1:
        p = answers if answers.min() >= 0 and answers.max() <= 1 else 1 / (1 + np.exp(-answers))
        return np.concatenate([1 - p, p], axis=1)
    if abs(answers.sum(axis=1) - 1).max() > 1e-3:
        answers = np.exp(answers - answers.max(axis=1, keepdims=True))
        answers /= answers.sum(axis=1, keepdims=True)
    return answers


def layer_outputs(model: keras.Model, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Every layer's answer, also inside models: by calling one layer after the other in Keras."""
    found: dict[str, np.ndarray] = {}
    original = keras.layers.Layer.__call__

    def recorded(self, *args, **kwargs):
        output = original(self, *args, **kwargs)
        if hasattr(output, "shape") and not isinstance(output, keras.KerasTensor):
            found.setdefault(self.name, np.asarray(output))
        return output

    keras.layers.Layer.__call__ = recorded
    try:
        model(pixels, training=False)
    finally:
        keras.layers.Layer.__call__ = original
    return found


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("name", MODELS)
def test_an_adopted_model_answers_as_in_keras_and_shows_the_same_maps(name, ending, tmp_path):
    path = tmp_path / f"model.{ending}"
    model = liven(MODELS[name]())
    model.save(path)
    classifier = adopt_file(path, tmp_path / "bundle", model)
    photos = photos_for(classifier.framing.size)
    pixels = own_input(photos, model)
    expected = own_probabilities(model, pixels)
    np.testing.assert_allclose(classifier.predict(photos), expected, atol=SAME)
    assert np.ptp(expected, axis=0).max() > 1e-3  # else any answer would do
    outputs = layer_outputs(model, pixels[:1])
    maps = classifier.look(photos[0], list(classifier.layers)).maps
    shown = 0
    for layer, found in maps.items():
        if layer in outputs and outputs[layer].shape[1:] == found.shape:
            mine = outputs[layer][0].astype("float32")
            limit = SAME_MAP * max(1.0, float(np.abs(mine).max()))
            if name == "mixed_precision":
                limit = 0.02 * float(np.abs(mine).max())  # Keras computes in 16 bits there
            np.testing.assert_allclose(found, mine, atol=limit, err_msg=layer)
            shown += 1
    assert shown or not maps


@pytest.mark.parametrize("name", ["sequential", "nested_backbone", "oblong", "without_channel"])
def test_an_adopted_model_can_be_looked_into(name, tmp_path):
    model = liven(MODELS[name]())
    model.save(tmp_path / "model.keras")
    classifier = adopt_file(tmp_path / "model.keras", tmp_path / "bundle", model)
    photo = photos_for(classifier.framing.size)[0]
    if classifier.layers:
        inside = look_inside(classifier, photo)
        assert [layer.entry.name for layer in inside.layers] == [b.name for b in classifier.blocks]
    heat = explain(classifier, photo, None, "occlusion").heat
    assert heat.shape == (14, 14)
    assert np.ptp(heat) > 0
    assert (classifier.pooled_layer is not None) == (name == "nested_backbone")


def test_the_keras_file_of_the_bundle_gives_the_same_logits(tmp_path):
    model = liven(MODELS["nested_twice"]())
    model.save(tmp_path / "model.keras")
    classifier = adopt_file(tmp_path / "model.keras", tmp_path / "bundle", model)
    photos = photos_for(32).astype("float32")
    network = keras.models.load_model(tmp_path / "bundle" / "model.keras")
    found = keras.ops.softmax(network(photos))
    np.testing.assert_allclose(found, own_probabilities(model, photos), atol=SAME)
    assert classifier.class_names == list(CLASSES)


def test_a_model_that_was_loaded_and_saved_again_is_the_same(tmp_path):
    model = liven(MODELS["sequential_of_sequentials"]())
    again = save(model, tmp_path / "first.keras")
    again.save(tmp_path / "second.keras")
    rebuilt = rebuild(read_model_file(tmp_path / "second.keras"))
    photos = photos_for(32).astype("float32")
    expected = model(photos, training=False)  # else its augmentation is at work
    np.testing.assert_allclose(rebuilt.network(photos), expected, atol=1e-5)


def test_a_backbone_is_flattened_without_a_difference(tmp_path):
    model = liven(MODELS["nested_twice"]())
    model.save(tmp_path / "model.keras")
    rebuilt = rebuild(read_model_file(tmp_path / "model.keras")).network
    assert not [one for one in rebuilt.layers if isinstance(one, keras.Model)]
    photos = photos_for(32).astype("float32")
    np.testing.assert_allclose(rebuilt(photos), model(photos), atol=1e-5)


@pytest.mark.parametrize("metrics", [["accuracy"], [keras.metrics.F1Score()]])
def test_what_a_model_was_compiled_with_does_not_matter(metrics, tmp_path):
    model = liven(MODELS["fully_convolutional"]())
    model.compile("adam", "categorical_crossentropy", metrics=metrics)
    model.fit(photos_for(32).astype("float32"), np.eye(3)[[0, 1, 2, 0, 1, 2]], verbose=0)
    model.save(tmp_path / "model.keras")  # with the optimiser's own numbers
    classifier = adopt_file(tmp_path / "model.keras", tmp_path / "bundle", model)
    photos = photos_for(32)
    expected = own_probabilities(model, photos.astype("float32"))
    np.testing.assert_allclose(classifier.predict(photos), expected, atol=SAME)

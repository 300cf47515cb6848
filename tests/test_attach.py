"""A head attached without Keras makes the network that Keras would have made."""

import keras
import numpy as np
import pytest

from models.building.attach import (
    attach_to_keras,
    attach_to_onnx,
    head_graph,
    keep_outputs,
    pool_layers,
)
from models.building.backbones import find_backbone
from models.building.export import to_onnx
from models.building.graph import map_tensors
from models.building.head import DenseLayer
from models.building.network import build_backbone
from models.runtime import Graph
from tests.networks import add_head

SIZE = 16


def dense(inputs, outputs, activation="linear", seed=0):
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=(inputs, outputs)).astype("float32")
    return DenseLayer(kernel, rng.normal(size=outputs).astype("float32"), activation)


HEADS = {
    "one layer": [dense(16, 3)],
    "two layers": [dense(16, 5, "tanh"), dense(5, 3, seed=1)],
    "three layers": [dense(16, 5, "leaky_relu"), dense(5, 4, "gelu", 1), dense(4, 2, seed=2)],
}


@pytest.fixture(scope="module")
def backbone():
    return build_backbone(find_backbone("tiny"), SIZE, "none", seed=1)


@pytest.fixture(scope="module")
def saved(backbone, tmp_path_factory):
    file = tmp_path_factory.mktemp("saved") / "backbone.keras"
    backbone.save(file)
    return file.read_bytes()


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(2).integers(0, 256, (3, SIZE, SIZE, 3)).astype("float32")


@pytest.mark.parametrize("kind", HEADS)
def test_the_attached_file_is_loaded_by_keras_and_answers_as_layers_put_on_by_keras(
    kind, backbone, saved, photos, tmp_path
):
    whole = tmp_path / "model.keras"
    whole.write_bytes(attach_to_keras(saved, HEADS[kind]))
    loaded = keras.saving.load_model(whole, compile=False)
    expected = add_head(backbone, HEADS[kind])
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in expected.layers]
    assert np.array_equal(loaded.predict_on_batch(photos), expected.predict_on_batch(photos))
    loaded.save(tmp_path / "again.keras")  # Keras can write it too
    again = keras.saving.load_model(tmp_path / "again.keras")
    assert np.array_equal(again.predict_on_batch(photos), expected.predict_on_batch(photos))


@pytest.mark.parametrize("maps", [True, False])
@pytest.mark.parametrize("kind", HEADS)
def test_the_attached_graph_answers_as_keras_does(kind, maps, backbone, photos):
    graph = to_onnx(backbone, {"features": backbone.output} | map_tensors(backbone))
    if not maps:
        graph = keep_outputs(graph, ["features"])
    network = Graph(attach_to_onnx(graph, HEADS[kind]))
    logits = add_head(backbone, HEADS[kind]).predict_on_batch(photos)
    assert np.abs(network.run(photos, ["logits"])[0] - logits).max() < 1e-4
    named = {"logits", "features"} | (set(map_tensors(backbone)) if maps else set())
    assert set(network.outputs) == named
    features = network.run(photos, ["features"])[0]
    alone = Graph(head_graph(HEADS[kind])).run(features, ["logits"])[0]
    assert np.abs(alone - logits).max() < 1e-4


def test_mean_maps_of_layers_leave_the_graph_in_order_with_the_features_last(backbone, photos):
    graph = to_onnx(backbone, {"features": backbone.output} | map_tensors(backbone))
    names = ["block2_relu", "block1_relu"]
    network = Graph(attach_to_onnx(pool_layers(graph, names), HEADS["one layer"]))
    tensors = map_tensors(backbone)
    asked = keras.Model(backbone.input, [*(tensors[name] for name in names), backbone.output])
    *layers, features = (np.asarray(answer) for answer in asked(photos))
    expected = np.concatenate([*(each.mean(axis=(1, 2)) for each in layers), features], axis=1)
    np.testing.assert_allclose(network.run(photos, ["pooled"])[0], expected, atol=1e-4)
    assert network.run(photos, ["logits"])[0].shape == (
        len(photos),
        HEADS["one layer"][0].bias.size,
    )


def test_a_dense_layer_inside_the_backbone_keeps_its_weights(photos, tmp_path):
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = keras.layers.Dense(4, name="inner")(image)  # as in ConvNeXt
    network = keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(x))
    network.save(tmp_path / "backbone.keras")
    head = [dense(4, 3)]
    (tmp_path / "whole.keras").write_bytes(
        attach_to_keras((tmp_path / "backbone.keras").read_bytes(), head)
    )
    loaded = keras.saving.load_model(tmp_path / "whole.keras")
    expected = network.predict_on_batch(photos) @ head[0].kernel + head[0].bias
    np.testing.assert_allclose(loaded.predict_on_batch(photos), expected, rtol=1e-4)
    assert np.array_equal(loaded.get_layer("inner").kernel, network.get_layer("inner").kernel)


def test_the_same_head_on_the_same_backbone_is_the_same_file(saved):
    assert attach_to_keras(saved, HEADS["two layers"]) == attach_to_keras(
        saved, HEADS["two layers"]
    )


def test_outputs_that_are_not_asked_for_are_taken_away(backbone, photos):
    graph = to_onnx(backbone, {"features": backbone.output} | map_tensors(backbone))
    less = keep_outputs(graph, ["block1_relu"])
    assert Graph(less).outputs == ["block1_relu"]
    one, other = (Graph(g).run(photos, ["block1_relu"])[0] for g in (graph, less))
    assert np.array_equal(one, other)

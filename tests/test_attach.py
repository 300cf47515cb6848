"""A head put on without Keras is the one that Keras would have put on."""

import keras
import numpy as np
import pytest

from models.attach import attach_to_keras, attach_to_onnx, head_graph, head_names
from models.export import to_onnx
from models.head import DenseLayer, Head, UnitLength
from models.network import add_head
from models.runtime import Graph


def dense(inputs: int, outputs: int, activation: str = "linear") -> DenseLayer:
    rng = np.random.default_rng(inputs)
    kernel = rng.normal(size=(inputs, outputs)).astype(np.float32)
    return DenseLayer(kernel, rng.normal(size=outputs).astype(np.float32), activation)


HEADS: dict[str, Head] = {
    "one layer": [dense(16, 3)],
    "hidden layers": [dense(16, 5, "gelu"), dense(5, 3)],
    "unit vectors": [UnitLength(), dense(16, 3)],
    "unit vectors within": [dense(16, 5, "relu"), UnitLength(), dense(5, 3)],
}


@pytest.fixture(scope="module")
def backbone(tiny_network):
    pool = tiny_network.get_layer("pool").output
    return keras.Model(tiny_network.input, pool, name="backbone")


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_attached_to_a_keras_file_it_answers_as_keras_own(head, backbone, noise, tmp_path):
    backbone.save(tmp_path / "backbone.keras")
    whole = attach_to_keras((tmp_path / "backbone.keras").read_bytes(), head)
    (tmp_path / "whole.keras").write_bytes(whole)
    loaded = keras.models.load_model(tmp_path / "whole.keras")
    own = add_head(backbone, head)
    photos = noise.astype(np.float32)
    np.testing.assert_array_equal(loaded.predict(photos, verbose=0), own.predict(photos, verbose=0))
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in own.layers]


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_attached_to_a_graph_it_answers_as_keras_own(head, backbone, noise):
    graph = attach_to_onnx(to_onnx(backbone, {"features": backbone.output}), head, maps=False)
    photos = noise.astype(np.float32)
    logits, features = Graph(graph).run(photos, ["logits", "features"])
    expected = add_head(backbone, head).predict(photos, verbose=0)
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    alone = Graph(head_graph(head)).run(features, ["logits"])[0]
    np.testing.assert_allclose(alone, logits, atol=1e-5)


def test_layers_are_named_by_kind_and_place():
    assert head_names(HEADS["unit vectors within"]) == ["head_dense1", "head_unit2", "logits"]

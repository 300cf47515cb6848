"""A Keras network written as ONNX answers as Keras does, or is refused by name."""

import keras
import numpy as np
import pytest
from keras import layers

from models.building.export import to_onnx
from models.building.graph import map_tensors
from models.errors import ExportError, LayerscopeError, ParityError
from models.runtime import Graph

SIZE = 9  # px: odd, so that "same" padding is uneven where a stride of 2 meets it
PHOTOS = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
MEANS = np.array([0.1, 0.2, 0.3], "float32")  # of the three colours


def classify(build):
    """A classifier around the layers that `build` puts on pixels of 0 to 1; no weight is plain."""
    keras.utils.set_random_seed(0)
    image = keras.Input((SIZE, SIZE, 3), name="image")
    x = build(layers.Rescaling(1 / 255, name="scaling")(image))
    pool = layers.GlobalAveragePooling2D if len(x.shape) == 4 else layers.Flatten
    network = keras.Model(image, layers.Dense(3, name="logits")(pool(name="pool")(x)))
    rng = np.random.default_rng(1)
    for weight in network.weights:  # positive, as a variance must be
        weight.assign(rng.uniform(0.2, 1, weight.shape))
    return network


def written(network):
    """The graph of logits, features and every map."""
    answers = {"logits": network.output, "features": network.get_layer("pool").output}
    return Graph(to_onnx(network, answers | map_tensors(network)))


def difference(network):
    """The largest one between the logits of Keras and those of ONNX, as a share of them."""
    expected = np.asarray(network(PHOTOS.astype("float32")))
    found = written(network).run(PHOTOS, ["logits"])[0]
    return np.abs(found - expected).max() / max(1, np.abs(expected).max())


def signed(x):
    """Pixels of 0 to 1 stretched to -4 to 4, where activations bend."""
    return layers.Rescaling(8, offset=-4)(x)


ACTIVATIONS = (
    *("elu", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "linear", "mish", "relu"),
    *("relu6", "selu", "sigmoid", "silu", "softplus", "softsign", "tanh"),
)
WRITTEN = {
    **{f"Activation {a}": lambda x, a=a: layers.Activation(a)(signed(x)) for a in ACTIVATIONS},
    "Add of three": lambda x: layers.Add()([x, x, signed(x)]),
    "Average of three": lambda x: layers.Average()([x, x, signed(x)]),
    "AveragePooling2D same": lambda x: layers.AveragePooling2D(2, padding="same")(x),
    "BatchNormalization": lambda x: layers.BatchNormalization()(x),
    "BatchNormalization bare": lambda x: layers.BatchNormalization(center=False, scale=False)(x),
    "Concatenate": lambda x: layers.Concatenate()([x, signed(x)]),
    "Conv2D": lambda x: layers.Conv2D(5, 3, activation="relu")(signed(x)),
    "Conv2D stride same": lambda x: layers.Conv2D(5, 4, strides=2, padding="same")(x),
    "Conv2D oblong": lambda x: layers.Conv2D(5, (1, 4), strides=(1, 2), padding="same")(x),
    "Conv2D groups": lambda x: layers.Conv2D(6, 3, groups=3, use_bias=False)(x),
    "Conv2D dilated": lambda x: layers.Conv2D(5, 3, dilation_rate=2, padding="same")(x),
    "Cropping2D": lambda x: layers.Conv2D(2, 1)(layers.Cropping2D(((1, 2), (0, 3)))(x)),
    "Dense on maps": lambda x: layers.Dense(5, activation="gelu")(x),
    "Dense without bias": lambda x: layers.Dense(5, use_bias=False)(layers.Flatten()(x)),
    "DepthwiseConv2D x 2": lambda x: layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2)(x),
    "Dropout": lambda x: layers.Dropout(0.5)(layers.SpatialDropout2D(0.5)(x)),
    "ELU": lambda x: layers.ELU(0.3)(signed(x)),
    "Flatten": lambda x: layers.Flatten()(layers.Conv2D(2, 3)(x)),
    "GlobalMaxPooling2D": lambda x: layers.GlobalMaxPooling2D()(signed(x)),
    "LayerNormalization": lambda x: layers.LayerNormalization()(layers.Conv2D(5, 3)(x)),
    "LeakyReLU": lambda x: layers.LeakyReLU(0.3)(signed(x)),
    "MaxPooling2D same": lambda x: layers.MaxPooling2D(3, 2, "same")(layers.Rescaling(-1)(x)),
    "Maximum": lambda x: layers.Maximum()([x, signed(x)]),
    "Minus": lambda x: layers.Conv2D(2, 3)(1.0 - x - 0.25),
    "Minus a number for each colour": lambda x: layers.Conv2D(2, 3)(x - MEANS),
    "Multiply": lambda x: layers.Multiply()([x, layers.GlobalMaxPooling2D(keepdims=True)(x)]),
    "Normalization": lambda x: layers.Conv2D(2, 3)(
        layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[1, 2, 3])(x)
    ),
    "ReLU": lambda x: layers.ReLU()(signed(x)),
    "ReLU to 2": lambda x: layers.ReLU(2)(signed(x)),
    "ReLU leaky to 2": lambda x: layers.ReLU(2, negative_slope=0.3)(signed(x)),
    "Rescaling by colour": lambda x: layers.Conv2D(2, 3)(
        layers.Rescaling([1, 2, 3], offset=[0, 1, 2])(x)
    ),
    "Reshape to a vector": lambda x: layers.Reshape((243,))(x),  # 9 * 9 * 3
    "SeparableConv2D": lambda x: layers.SeparableConv2D(5, 3, 2, "same", depth_multiplier=2)(x),
    "UnitNormalization": lambda x: layers.UnitNormalization()(signed(x)),
    "UnitNormalization of a vector": lambda x: layers.UnitNormalization()(layers.Flatten()(x)),
    "Subtract": lambda x: layers.Subtract()([signed(x), x]),
    "ZeroPadding2D": lambda x: layers.Conv2D(2, 3)(layers.ZeroPadding2D(((1, 2), (0, 3)))(x)),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_layer_written_as_onnx_answers_as_keras_does(kind):
    network = classify(WRITTEN[kind])
    tensors = map_tensors(network) | {"logits": network.output}
    batch = PHOTOS.astype("float32")
    model = keras.Model(network.input, list(tensors.values()))
    expected = keras.tree.flatten(model(batch))
    found = Graph(to_onnx(network, tensors)).run(PHOTOS, list(tensors))
    for name, one, other in zip(tensors, found, map(np.asarray, expected), strict=True):
        one = one.transpose(0, 2, 3, 1) if one.ndim == 4 else one
        assert np.ptp(other) > 0.01, name  # of something: constants would all be equal
        assert np.abs(one - other).max() < 1e-5 * max(1, np.abs(other).max()), name


def shared(x):
    twice = layers.Conv2D(3, 3, padding="same", name="twice")
    return layers.Add()([twice(x), twice(twice(x))])


REFUSED = {  # the layer's name must stand in the message
    "Softmax of rows": ("it", lambda x: layers.Softmax(1, name="it")(x)),
    "a nested model": ("it", lambda x: keras.Sequential([layers.Conv2D(2, 3)], name="it")(x)),
    "an odd activation": (
        "it",
        lambda x: layers.Conv2D(2, 3, activation="sparsemax", name="it")(x),
    ),
    "Concatenate of photos": ("it", lambda x: layers.Concatenate(0, name="it")([x, x])),
    "LayerNormalization of rows": ("it", lambda x: layers.LayerNormalization(1, name="it")(x)),
    "Normalization inverted": (
        "it",
        lambda x: layers.Normalization(mean=2.0, variance=4.0, invert=True, name="it")(x),
    ),
    "a layer used twice": ("twice", shared),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_has_no_writer_is_refused_by_name(kind):
    name, build = REFUSED[kind]
    network = classify(lambda x: layers.Conv2D(2, 3)(build(x)))
    with pytest.raises(ExportError, match=f"{name}.* cannot be exported: .* has no ONNX form"):
        written(network)


@pytest.mark.parametrize("name", ["c1", "n1", "image_1", "features"])  # as LeNet's first layer
def test_no_layer_name_gets_in_the_way_of_another_output(name):
    network = classify(lambda x: layers.Conv2D(4, 3, name=name)(x))
    assert difference(network) < 1e-5
    features = written(network).run(PHOTOS, ["features"])[0]
    assert features.shape == (2, 4)  # pooled, whatever a layer is called


def test_a_layer_called_with_its_input_by_name_is_written():
    network = classify(lambda x: layers.Conv2D(4, 3)(inputs=x))
    assert difference(network) < 1e-5


def test_a_network_without_feature_maps_is_written():
    network = classify(lambda x: layers.Dense(5, activation="relu")(layers.Flatten()(x)))
    assert written(network).outputs == ["logits", "features"]
    assert difference(network) < 1e-5


def test_the_graph_answers_logits_features_and_every_map(tiny_network, noise):
    graph = written(tiny_network)
    assert set(graph.outputs) == {"logits", "features", "block1_relu", "block2_relu"}
    last, features = graph.run(noise, ["block2_relu", "features"])
    assert np.abs(last.mean(axis=(2, 3)) - features).max() < 1e-6  # `pool` of the last map


def test_one_photo_gets_the_same_answer_alone_and_among_others(tiny_network, noise):
    graph = written(tiny_network)
    alone = graph.run(noise[2:3], ["logits"])[0]
    assert np.abs(graph.run(noise, ["logits"])[0][2] - alone[0]).max() < 1e-6


def test_both_errors_are_the_projects_own_and_hold_what_came():
    assert "'x'" in str(ExportError("x", "Odd"))
    assert "Odd" in str(ExportError("x", "Odd"))
    assert "0.25" in str(ParityError(0.25, 1e-3))
    assert "0.001" in str(ParityError(0.25, 1e-3))
    assert issubclass(ParityError, ExportError)
    assert issubclass(ExportError, LayerscopeError)

"""Every layer of Keras is written in ONNX as Keras computes it, or refused by its name."""

import inspect
from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers

from models.adopting.files.model_file import read_model_file
from models.adopting.kinds import ALIASES, FOREIGN, KINDS, TRAINING_ONLY, refusal
from models.adopting.rebuild import rebuild
from models.building.export import to_onnx
from models.building.onnx_layers import WRITERS
from models.errors import AdoptError, ExportError
from models.runtime import Graph
from tests.foreign_files import liven

MAP = (9, 7, 6)
# kind -> how it is made, and the shape of its input, where that is no map
EXAMPLES: dict[str, list[Callable[[], layers.Layer]]] = {
    "Activation": [lambda name=name: layers.Activation(name) for name in (
        "relu", "relu6", "sigmoid", "tanh", "elu", "selu", "celu", "gelu", "silu", "mish",
        "softplus", "softsign", "exponential", "leaky_relu", "softmax", "log_softmax", "linear",
        "hard_sigmoid", "hard_silu", "hard_tanh", "tanh_shrink", "hard_shrink", "soft_shrink",
        "log_sigmoid", "squareplus", "sparse_plus", "sparse_sigmoid")],
    "AveragePooling2D": [lambda: layers.AveragePooling2D(2),
                         lambda: layers.AveragePooling2D(3, 2, padding="same")],
    "BatchNormalization": [
        lambda: layers.BatchNormalization(),
        lambda: layers.BatchNormalization(center=False, epsilon=0.1),
        lambda: layers.BatchNormalization(scale=False, axis=3),
        lambda: layers.BatchNormalization(axis=1),
    ],
    "CenterCrop": [lambda: layers.CenterCrop(4, 5)],
    "Conv2D": [
        lambda: layers.Conv2D(4, 3),
        lambda: layers.Conv2D(6, (3, 2), strides=2, padding="same", groups=3, activation="relu"),
        lambda: layers.Conv2D(4, 2, dilation_rate=2, padding="same", use_bias=False),
        lambda: layers.Conv2D(4, 3, activation="softmax"),
    ],
    "Conv2DTranspose": [
        lambda: layers.Conv2DTranspose(4, 3),
        lambda: layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
        lambda: layers.Conv2DTranspose(4, 2, strides=3, padding="same", use_bias=False),
        lambda: layers.Conv2DTranspose(4, 2, strides=3, activation="relu"),
        lambda: layers.Conv2DTranspose(4, 5, strides=2, padding="valid"),
    ],
    "Cropping2D": [lambda: layers.Cropping2D(((1, 2), (0, 1)))],
    "Dense": [lambda: layers.Dense(4, activation="relu"), lambda: layers.Dense(4, use_bias=False)],
    "DepthwiseConv2D": [
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
        lambda: layers.DepthwiseConv2D(3, strides=2, padding="same", activation="silu"),
    ],
    "ELU": [lambda: layers.ELU(0.4)],
    "Flatten": [lambda: layers.Flatten()],
    "GlobalAveragePooling2D": [
        lambda: layers.GlobalAveragePooling2D(),
        lambda: layers.GlobalAveragePooling2D(keepdims=True),
    ],
    "GlobalMaxPooling2D": [lambda: layers.GlobalMaxPooling2D()],
    "GroupNormalization": [
        lambda: layers.GroupNormalization(3),
        lambda: layers.GroupNormalization(1, epsilon=0.1, center=False),
        lambda: layers.GroupNormalization(-1, scale=False),
    ],
    "LayerNormalization": [
        lambda: layers.LayerNormalization(),
        lambda: layers.LayerNormalization(axis=[1, 2, 3], epsilon=0.01),
        lambda: layers.LayerNormalization(center=False, scale=False),
    ],
    "LeakyReLU": [lambda: layers.LeakyReLU(negative_slope=0.07)],
    "MaxPooling2D": [lambda: layers.MaxPooling2D(),
                     lambda: layers.MaxPooling2D(3, 1, padding="same")],
    "Normalization": [
        lambda: layers.Normalization(),
        lambda: layers.Normalization(axis=None),
        lambda: layers.Normalization(axis=[1, 2, 3]),
        lambda: layers.Normalization(mean=[1.0] * 6, variance=[2.0] * 6),
    ],
    "PReLU": [lambda: layers.PReLU(), lambda: layers.PReLU(shared_axes=[1, 2])],
    "Permute": [lambda: layers.Permute((2, 1, 3))],
    "RMSNormalization": [lambda: layers.RMSNormalization()],
    "ReLU": [
        lambda: layers.ReLU(),
        lambda: layers.ReLU(max_value=1.5, negative_slope=0.2),
        lambda: layers.ReLU(threshold=0.5),
        lambda: layers.ReLU(threshold=0.5, negative_slope=0.1, max_value=2.0),
    ],
    "Rescaling": [
        lambda: layers.Rescaling(0.5, offset=-1),
        lambda: layers.Rescaling([1.0, 2, 3, 4, 5, 6], offset=[0.0, 1, 2, 3, 4, 5]),
    ],
    "Reshape": [lambda: layers.Reshape((7, 3, 18)), lambda: layers.Reshape((-1,))],
    "Resizing": [
        lambda: layers.Resizing(5, 11),
        lambda: layers.Resizing(18, 14, interpolation="nearest"),
        lambda: layers.Resizing(4, 3, interpolation="nearest"),
        lambda: layers.Resizing(18, 14, crop_to_aspect_ratio=True),
        lambda: layers.Resizing(5, 6, crop_to_aspect_ratio=True),
        lambda: layers.Resizing(20, 11, crop_to_aspect_ratio=True),
        lambda: layers.Resizing(5, 6, pad_to_aspect_ratio=True, fill_value=2.5),
        lambda: layers.Resizing(20, 11, pad_to_aspect_ratio=True),
        lambda: layers.Resizing(5, 11, interpolation="bicubic"),
        lambda: layers.Resizing(18, 15, interpolation="bicubic"),
        lambda: layers.Resizing(4, 5, antialias=True),
        lambda: layers.Resizing(13, 5, interpolation="lanczos3", antialias=True),
    ],
    "SeparableConv2D": [
        lambda: layers.SeparableConv2D(4, 3, depth_multiplier=2),
        lambda: layers.SeparableConv2D(4, 3, strides=2, padding="same", activation="tanh"),
    ],
    "Softmax": [lambda: layers.Softmax()],
    "UnitNormalization": [lambda: layers.UnitNormalization()],
    "UpSampling2D": [
        lambda: layers.UpSampling2D((2, 3)),
        lambda: layers.UpSampling2D(2, interpolation="bilinear"),
        lambda: layers.UpSampling2D((2, 3), interpolation="bicubic"),
    ],
    "ZeroPadding2D": [lambda: layers.ZeroPadding2D(((1, 0), (2, 3)))],
}  # fmt: skip
SEQUENCE = {
    "GlobalAveragePooling1D": lambda: layers.GlobalAveragePooling1D(),
    "GlobalMaxPooling1D": lambda: layers.GlobalMaxPooling1D(),
    "Dense": lambda: layers.Dense(4),
    "BatchNormalization": lambda: layers.BatchNormalization(),
    "LayerNormalization": lambda: layers.LayerNormalization(),
    "Flatten": lambda: layers.Flatten(),
    "Permute": lambda: layers.Permute((2, 1)),
    "Reshape": lambda: layers.Reshape((7, 9, 6)),
    "Rescaling": lambda: layers.Rescaling(2.0, offset=1),
    "Softmax": lambda: layers.Softmax(),
}
MERGING = {
    "Add": layers.Add, "Average": layers.Average, "Maximum": layers.Maximum,
    "Minimum": layers.Minimum, "Multiply": layers.Multiply, "Subtract": layers.Subtract,
    "Concatenate": layers.Concatenate,
}  # fmt: skip
# Read from a file as other layers.
REPLACED = {"ThresholdedReLU", "LayerScale", "CustomScaleLayer", "AdaptiveAveragePooling2D",
            "AdaptiveMaxPooling2D"}  # fmt: skip
BUILT_IN = {
    value.__name__
    for name, value in vars(layers).items()
    if inspect.isclass(value) and issubclass(value, layers.Layer)
} - {"Layer", "InputLayer", "Wrapper"}


def written(network: keras.Model, pixels: np.ndarray) -> None:
    """See that ONNX answers as Keras does, whether the network was saved before or not."""
    expected = np.asarray(network(pixels, training=False))
    (found,) = Graph(to_onnx(network, {"answer": network.output})).run(pixels, ["answer"])
    if found.ndim == 4:
        found = found.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(found, expected, atol=1e-4 * max(1, np.abs(expected).max()))


def read_back(network: keras.Model, pixels: np.ndarray, path) -> None:
    network.save(path)
    rebuilt = rebuild(read_model_file(path)).network
    expected = np.asarray(network(pixels, training=False))
    np.testing.assert_allclose(
        rebuilt(pixels), expected, atol=1e-5 * max(1, np.abs(expected).max())
    )


def draw(shape):
    return np.random.default_rng(0).normal(0, 1.5, (3, *shape)).astype("float32")


@pytest.mark.parametrize(
    ("kind", "number"), [(kind, n) for kind, ways in EXAMPLES.items() for n in range(len(ways))]
)
def test_a_layer_on_maps_is_written_and_read_as_keras_computes_it(kind, number, tmp_path):
    image = keras.Input((12, 10, 3))
    maps = layers.Conv2D(6, 4)(image)  # so that it meets maps, not the image
    network = liven(keras.Model(image, EXAMPLES[kind][number]()(maps)))
    assert maps.shape[1:] == MAP
    written(network, draw((12, 10, 3)))
    read_back(network, draw((12, 10, 3)), tmp_path / "m.keras")
    read_back(network, draw((12, 10, 3)), tmp_path / "m.h5")


@pytest.mark.parametrize("kind", SEQUENCE)
def test_a_layer_on_rows_is_written_and_read_as_keras_computes_it(kind, tmp_path):
    image = keras.Input((9, 7, 6))
    network = liven(keras.Model(image, SEQUENCE[kind]()(layers.Reshape((63, 6))(image))))
    written(network, draw((9, 7, 6)))
    image = keras.Input((14, 9))
    other = liven(keras.Model(image, layers.Flatten()(layers.Dense(4)(image))))
    read_back(other, draw((14, 9)), tmp_path / "m.keras")


@pytest.mark.parametrize("kind", MERGING)
def test_a_layer_that_merges_is_written_and_read_as_keras_computes_it(kind, tmp_path):
    image = keras.Input((9, 7, 6))
    one, other = layers.ReLU()(image), layers.Rescaling(0.5, offset=1)(image)
    network = keras.Model(image, MERGING[kind]()([one, other]))
    written(network, draw((9, 7, 6)))
    image = keras.Input((9, 7, 3))
    one, other = layers.ReLU()(image), layers.Rescaling(0.5, offset=1)(image)
    read_back(keras.Model(image, MERGING[kind]()([one, other])), draw((9, 7, 3)), tmp_path / "m.h5")


def test_several_at_once_and_vectors_that_meet_maps_are_merged():
    image = keras.Input((9, 7, 6))
    gate = layers.Dense(6, activation="sigmoid")(layers.GlobalAveragePooling2D()(image))
    x = layers.Multiply()([image, layers.Reshape((1, 1, 6))(gate)])
    x = layers.Average()([x, image, layers.ReLU()(image)])
    x = layers.Concatenate(axis=1)([x, image])
    written(liven(keras.Model(image, layers.Concatenate(axis=2)([x, x]))), draw((9, 7, 6)))


def test_the_table_of_what_is_read_is_that_of_what_is_written():
    assert {*EXAMPLES, *SEQUENCE, *MERGING} | REPLACED | {"RepeatVector"} == set(KINDS)
    assert set(KINDS) - REPLACED <= set(WRITERS)


@pytest.mark.parametrize("kind", sorted(BUILT_IN))
def test_every_layer_of_keras_is_read_or_refused_by_its_name(kind):
    taken = kind in KINDS or kind in TRAINING_ONLY or kind in ALIASES
    reason = refusal(kind)
    assert taken == (reason is None)
    assert reason is None or len(reason) > 20
    if not taken:
        assert kind not in WRITERS


@pytest.mark.parametrize("kind", ["Average", "Max"])
def test_adaptive_pooling_becomes_pooling_by_windows_where_these_fit(kind, tmp_path):
    image = keras.Input((12, 12, 3))
    adaptive = getattr(layers, f"Adaptive{kind}Pooling2D")
    network = keras.Model(image, adaptive((4, 4))(layers.ReLU()(image)))
    read_back(network, draw((12, 12, 3)), tmp_path / "m.keras")
    keras.Model(image, adaptive((5, 5))(image)).save(tmp_path / "other.keras")
    with pytest.raises(AdoptError, match="5 x 5 positions, which do not divide"):
        rebuild(read_model_file(tmp_path / "other.keras"))


def test_no_reason_is_kept_for_a_layer_that_is_not_there():
    gone = {"KerasLayer", "TensorFlowOpLayer"}  # of TensorFlow Hub and of Keras 2
    assert set(FOREIGN) - gone <= BUILT_IN | {"GRUCell", "LSTMCell", "SimpleRNNCell"}
    assert {*ALIASES.values()} <= {*KINDS, "Sequential"}


KEPT_BY_NAME = {"RandomHeight", "RandomWidth"}  # Keras 2 only


@pytest.mark.parametrize("kind", sorted(TRAINING_ONLY - KEPT_BY_NAME))
def test_a_layer_that_is_left_out_changes_nothing_when_a_network_answers(kind):
    needs = {
        "Dropout": (0.5,), "AlphaDropout": (0.5,), "GaussianDropout": (0.5,),
        "GaussianNoise": (0.5,), "SpatialDropout1D": (0.5,), "SpatialDropout2D": (0.5,),
        "SpatialDropout3D": (0.5,), "RandomBrightness": (0.5,), "RandomContrast": (0.5,),
        "RandomRotation": (0.2,), "RandomZoom": (0.2,), "RandomTranslation": (0.2, 0.2),
        "RandomColorDegeneration": (0.5,), "RandomHue": (0.5,), "RandomSaturation": (0.5,),
        "RandomSharpness": (0.5,), "RandomPosterization": (4,),
    }  # fmt: skip
    ranks = {"SpatialDropout1D": (2, 6, 4), "SpatialDropout3D": (2, 6, 6, 6, 3)}
    pixels = np.random.default_rng(0).uniform(0, 255, ranks.get(kind, (2, 8, 8, 3)))
    layer = getattr(layers, kind)(*needs.get(kind, ()))
    found = layer(pixels.astype("float32"), training=False)
    np.testing.assert_allclose(found, pixels, rtol=1e-6)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (lambda: layers.Softmax(axis=1), "axis 1"),
        (lambda: layers.Conv2DTranspose(4, 3, strides=2, output_padding=1), "output_padding"),
        (lambda: layers.Normalization(invert=True, mean=1.0, variance=2.0), "invert"),
    ],
)
def test_a_setting_that_cannot_be_written_is_refused_with_the_layers_name(layer, words):
    image = keras.Input(MAP)
    made = layer()
    network = keras.Model(image, made(image))
    with pytest.raises(ExportError, match=words) as caught:
        to_onnx(network, {"answer": network.output})
    assert made.name in str(caught.value)


def test_a_vector_is_repeated_and_a_row_reshaped():
    image = keras.Input((9, 7, 6))
    x = layers.RepeatVector(5)(layers.GlobalAveragePooling2D()(image))
    written(keras.Model(image, x), draw((9, 7, 6)))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_layer_of_channels_first_is_refused(axis, tmp_path):
    image = keras.Input((3, 12, 12) if axis else (12, 12, 3))
    made = layers.MaxPooling2D(data_format="channels_first" if axis else "channels_last")
    path = tmp_path / "m.keras"
    keras.Model(image, layers.Flatten()(made(image))).save(path)
    if axis:
        with pytest.raises(AdoptError):
            rebuild(read_model_file(path))
    else:
        assert rebuild(read_model_file(path)).network.output_shape == (None, 108)

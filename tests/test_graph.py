"""Which layers can be shown, what each position of them sees, and which lie on every path."""

import keras
import numpy as np
import pytest
from keras import layers

from models.building.graph import map_tensors, mapped_layers
from models.bundle import LayerEntry


def graph(build, size=32):
    """{name: layer} of the network that `build` puts on a photo of `size` px."""
    image = keras.Input((size, size, 3), name="image")
    x = layers.GlobalAveragePooling2D(name="pool")(build(image))
    network = keras.Model(image, layers.Dense(2, name="logits")(x))
    return {layer.name: layer for layer in mapped_layers(network)}


def conv(name, kernel=3, **options):
    return layers.Conv2D(4, kernel, padding="same", name=name, **options)


def test_the_layers_of_the_tiny_network_by_hand(tiny_network):
    # Two convolutions of 3 px, stride 2: the second sees 3 positions 2 px apart, each 3 px wide.
    assert mapped_layers(tiny_network) == [
        LayerEntry(
            name="block1_relu", kind="ReLU", height=16, width=16, channels=8,
            stride=2, receptive_field=3, trunk=True, block=True,
        ),
        LayerEntry(
            name="block2_relu", kind="ReLU", height=8, width=8, channels=16,
            stride=4, receptive_field=7, trunk=True, block=True,
        ),
    ]  # fmt: skip


def test_pixels_outside_the_receptive_field_do_not_matter(tiny_network, noise):
    maps = keras.Model(tiny_network.input, map_tensors(tiny_network)["block2_relu"])
    before = np.asarray(maps(noise[:1].astype("float32")))[0, 4, 4]
    touched = set()
    for column in range(32):
        photo = noise[:1].astype("float32")
        photo[:, :, column] = 255 - photo[:, :, column]
        if np.abs(np.asarray(maps(photo))[0, 4, 4] - before).max() > 0:
            touched.add(column)
    # "same" pads an even size by nothing at the left: position 4 begins at its stride, 4 * 4 px.
    assert touched == set(range(16, 16 + 7))


@pytest.mark.parametrize(
    ("application", "layer", "stride", "field"),
    [
        # The last and the first three by hand; 212, 315 and 483 stand in Araujo et al. 2019.
        ("VGG16", "block1_conv2", 1, 5),
        ("VGG16", "block2_conv2", 2, 14),
        ("VGG16", "block5_conv3", 16, 196),
        ("VGG16", "block5_pool", 32, 212),
        ("MobileNet", "conv_pw_13_relu", 32, 315),
        ("ResNet50", "conv5_block3_out", 32, 483),
    ],
)
def test_stride_and_receptive_field_of_known_networks(application, layer, stride, field, known):
    found = known(application)[layer]
    assert (found.stride, found.receptive_field) == (stride, field)


@pytest.fixture(scope="module")
def known():
    """The mapped layers of an application of Keras, each application built once."""
    built = {}

    def layers_of(application):
        if application not in built:
            constructor = getattr(keras.applications, application)
            network = constructor(include_top=False, weights=None, input_shape=(64, 64, 3))
            built[application] = {one.name: one for one in mapped_layers(network)}
        return built[application]

    return layers_of


def test_of_convolution_norm_and_relu_only_the_relu_is_shown():
    found = graph(lambda x: layers.ReLU(name="relu")(layers.BatchNormalization()(conv("conv")(x))))
    assert list(found) == ["relu"]


def test_a_convolution_read_twice_is_shown_beside_its_relu():
    def build(x):
        x = conv("conv")(x)
        return layers.Add(name="add")([x, layers.ReLU(name="relu")(x)])

    assert list(graph(build)) == ["conv", "relu", "add"]


def test_scaling_padding_and_maps_of_one_position_are_not_shown():
    def build(x):
        x = layers.Rescaling(1 / 255, name="to one")(x)
        x = layers.Dropout(0.5)(layers.ZeroPadding2D()(layers.Cropping2D()(x)))
        x = conv("shown")(x)
        return layers.Conv2D(4, 34, name="one position")(x)

    assert list(graph(build)) == ["shown"]


def test_a_layer_that_no_bundle_may_hold_is_not_shown_and_hides_no_other():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="first")(image)
    x = keras.layers.Conv2D(4, 3, name="n" * 301)(x)
    x = keras.layers.Conv2D(50_001, 1, name="wide")(x)
    x = keras.layers.Conv2D(4, 3, name="last")(x)
    shown = mapped_layers(keras.Model(image, x))
    assert [(entry.name, entry.receptive_field) for entry in shown] == [("first", 3), ("last", 7)]


def test_the_convolution_that_swaps_colours_is_not_shown():
    found = graph(lambda x: conv("conv")(layers.Conv2D(3, 1, name="scaling")(x)))
    assert list(found) == ["conv"]


def test_the_trunk_of_a_residual_block_leaves_out_its_branch():
    def build(x):
        x = conv("before")(x)
        branch = conv("branch2")(conv("branch1")(x))
        x = layers.Add(name="meet")([x, branch])
        return conv("after")(x)

    trunk = [name for name, layer in graph(build).items() if layer.trunk]
    assert trunk == ["before", "meet", "after"]


def test_two_branches_that_meet_in_a_concatenation_are_off_the_trunk():
    def build(x):
        return layers.Concatenate(name="meet")([conv("left")(x), conv("right")(x)])

    assert [name for name, layer in graph(build).items() if layer.trunk] == ["meet"]


def test_a_tensor_added_to_itself_stays_on_the_trunk():
    def build(x):
        x = conv("conv")(x)
        return layers.Add(name="double")([x, x])

    assert all(layer.trunk for layer in graph(build).values())


def test_a_branch_that_sees_more_sets_the_receptive_field():
    found = graph(lambda x: layers.Add(name="meet")([conv("narrow", 1)(x), conv("wide", 7)(x)]))
    assert [found[name].receptive_field for name in ("narrow", "wide", "meet")] == [1, 7, 7]


def test_a_gate_of_one_position_does_not_widen_the_field():
    def build(x):
        x = conv("conv")(x)
        gate = layers.Reshape((1, 1, 4))(layers.GlobalAveragePooling2D()(x))  # sees all 32 px
        return layers.Multiply(name="gated")([x, conv("gate", 1, activation="sigmoid")(gate)])

    found = graph(build)
    assert found["gated"].receptive_field == 3
    assert "gate" not in found


@pytest.mark.parametrize(
    ("layer", "stride", "field", "height"),
    [
        (conv("it", 3, dilation_rate=2), 2, 1 + 2 + 2 * 2 * 2, 16),  # after a stride of 2, so x 2
        (layers.DepthwiseConv2D(5, strides=2, padding="same", name="it"), 4, 1 + 2 + 4 * 2, 8),
        (layers.SeparableConv2D(4, 3, padding="same", name="it"), 2, 1 + 2 + 2 * 2, 16),
        (layers.MaxPooling2D(2, name="it"), 4, 1 + 2 + 1 * 2, 8),
        (layers.AveragePooling2D(3, strides=1, padding="same", name="it"), 2, 1 + 2 + 2 * 2, 16),
        (layers.UpSampling2D(2, name="it"), 1, 1 + 2, 32),
        (layers.Conv2DTranspose(4, 2, strides=2, name="it"), 1, 1 + 2, 32),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, layers.Layer) else None,
)
def test_what_each_kind_of_layer_does_to_stride_and_field(layer, stride, field, height):
    found = graph(lambda x: layer(conv("first", 3, strides=2)(x)))["it"]
    assert (found.stride, found.receptive_field, found.height) == (stride, field, height)


def test_the_tensors_of_the_maps_have_the_layers_sizes(tiny_network):
    shapes = {name: tuple(tensor.shape[1:]) for name, tensor in map_tensors(tiny_network).items()}
    assert shapes == {"block1_relu": (16, 16, 8), "block2_relu": (8, 8, 16)}

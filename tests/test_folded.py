"""The blocks that are trained compute what the backbone's own layers do, gradients included."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.building.backbones import find_backbone
from models.building.network import build_backbone
from tests.networks import liven_network
from training.fine_tuning.folded import FoldedConvolution, fold
from training.fine_tuning.products import depthwise, product, usual_precision

RNG = np.random.default_rng(0)
PHOTOS = RNG.uniform(0, 255, (4, 64, 64, 3)).astype("float32")


def gradients(model, inputs, weights):
    """Answer of a model, and the gradient of a scalar of it by `weights`."""
    with tf.GradientTape() as tape:
        answer = model(inputs, training=False)
        scalar = tf.reduce_sum(answer * np.linspace(-1, 1, answer.shape[-1], dtype="float32"))
    return answer.numpy(), [part.numpy() for part in tape.gradient(scalar, weights)]


@pytest.mark.parametrize(
    ("name", "cut", "folded"),
    [
        ("efficientnet-lite0", "block5c_add", 16),
        ("mobilenetv2", "block_12_add", 13),
        ("resnet50", "conv5_block1_out", 6),  # convolutions with a bias of their own
        ("densenet121", "pool4_conv", 16),  # norms in front of a convolution stay as they are
    ],
)
def test_folded_blocks_answer_and_learn_as_the_backbone_does(name, cut, folded):
    backbone = build_backbone(find_backbone(name), 64, "none")
    liven_network(backbone, PHOTOS)
    tensor = backbone.get_layer(cut).output
    plain = keras.Model(tensor, backbone.output)
    maps = keras.Input(tensor.shape[1:])
    ours = keras.Model(maps, fold(plain, maps, tensor, "float32"))
    assert sum(isinstance(layer, FoldedConvolution) for layer in ours.layers) == folded
    assert {id(w) for w in ours.trainable_weights} == {id(w) for w in plain.trainable_weights}
    seen = keras.Model(backbone.input, tensor)(PHOTOS)
    expected, slopes = gradients(plain, seen, plain.trainable_weights)
    answer, found = gradients(ours, seen, plain.trainable_weights)
    np.testing.assert_allclose(answer, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    for one, other in zip(found, slopes, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-3 * np.abs(other).max() + 1e-6)


CASES = list(itertools.product((3, 4, 5, 7), (1, 2), ("same", "valid"), ((7, 7), (14, 9), (8, 13))))


@pytest.mark.parametrize(("side", "stride", "padding", "size"), CASES)
def test_a_depthwise_convolution_has_tensorflows_gradients(side, stride, padding, size):
    maps = tf.constant(RNG.normal(size=(2, *size, 6)).astype("float32"))
    kernel = tf.constant(RNG.normal(size=(side, side, 6, 1)).astype("float32"))
    strides = [1, stride, stride, 1]
    found = []
    for convolve in (
        lambda: depthwise(maps, kernel, stride, padding),
        lambda: tf.nn.depthwise_conv2d(maps, kernel, strides, padding.upper()),
    ):
        with tf.GradientTape() as tape:
            tape.watch([maps, kernel])
            answer = convolve()
            scalar = tf.reduce_sum(answer * answer)
        found.append([answer, *tape.gradient(scalar, [maps, kernel])])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_a_product_in_bfloat16_differs_by_its_rounding_alone():
    maps = tf.constant(RNG.normal(size=(2, 7, 7, 96)).astype("float32"))
    kernel = tf.constant(RNG.normal(size=(96, 40)).astype("float32"))
    found = {}
    for precision in ("float32", "bfloat16"):
        with tf.GradientTape() as tape:
            tape.watch([maps, kernel])
            answer = product(maps, kernel, precision)
            scalar = tf.reduce_sum(answer * answer)
        found[precision] = [answer, *tape.gradient(scalar, [maps, kernel])]
    for exact, short in zip(found["float32"], found["bfloat16"], strict=True):
        error = np.abs(exact - short).max() / np.abs(exact).max()
        assert 0 < error < 2**-6  # bfloat16 keeps 8 bits


def test_the_precision_is_chosen_by_what_the_processor_can(tmp_path, monkeypatch):
    known = {"amx_bf16 amx_tile": "bfloat16", "avx512_bf16": "bfloat16", "avx512f": "float32"}
    for flags, expected in known.items():
        info = tmp_path / "cpuinfo"
        info.write_text(f"processor : 0\nflags : fpu {flags}\n")
        monkeypatch.setattr("training.fine_tuning.products.CPU_INFO", info)
        assert usual_precision() == expected
    info.unlink()
    assert usual_precision() == "float32"

"""EfficientNet-Lite: the embedded backbone, small and quick on a CPU.

EfficientNet (Tan & Le 2019, arXiv:1905.11946) without squeeze-and-excite and with ReLU6
for swish, so that it compiles well; stem and head keep their width whatever the scale.
Each block widens (1x1), filters in space (depthwise), narrows (1x1), and adds its input
back where the shapes allow. This file builds it and puts the embedded weights in it.
"""

import math
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

BN_EPSILON = 1e-3


class Stage(NamedTuple):
    """A run of blocks with the same filters; only the first has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def efficientnet_lite(image: keras.KerasTensor, width: float, depth: float) -> keras.KerasTensor:
    """Compute the backbone's last feature map for a scaled image.

    Args:
        image: (N, H, W, 3) float32, about -1..1: raw RGB after `(x - 127) / 128`.
        width, depth: multiples of the channels and of the repeats of each stage.

    Returns:
        (N, ceil(H / 32), ceil(W / 32), 1280) float32.
    """
    x = _unit(image, layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False), "stem")
    for number, stage in enumerate(STAGES, start=1):
        edge = number in (1, len(STAGES))  # the first and the last stage are never repeated more
        repeats = stage.repeats if edge else math.ceil(stage.repeats * depth)
        channels = _round_channels(stage.channels * width)
        for repeat in range(repeats):
            stride = stage.stride if repeat == 0 else 1
            x = _block(x, stage, channels, stride, f"block{number}{'abcdefgh'[repeat]}")
    return _unit(x, layers.Conv2D(1280, 1, use_bias=False), "head")


def load_embedded(network: keras.Model, tensors: dict[str, np.ndarray]) -> None:
    """Put a PyTorch state dict of the same architecture into `network`, in place.

    Args:
        network: built with `efficientnet_lite`. The 1,000-class head of the dict is not loaded.
        tensors: names as in the state dict, e.g. `_blocks.0._depthwise_conv.weight`.

    Raises:
        KeyError, ValueError: the tensors belong to another architecture.
    """
    blocks = [name[:-7] for name in _layer_names(network) if name.endswith("_dwconv")]
    units = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for index, block in enumerate(blocks):
        at = f"_blocks.{index}."
        units[f"{block}_expand"] = (f"{at}_expand_conv", f"{at}_bn0")
        units[f"{block}_dw"] = (f"{at}_depthwise_conv", f"{at}_bn1")
        units[f"{block}_project"] = (f"{at}_project_conv", f"{at}_bn2")
    for unit, (conv, bn) in units.items():
        if f"{unit}_bn" not in _layer_names(network):
            continue  # the first stage does not expand
        kernel = tensors[f"{conv}.weight"].transpose(2, 3, 1, 0)  # OIHW -> HWIO
        if unit.endswith("_dw"):
            kernel = kernel.transpose(0, 1, 3, 2)  # Keras: (h, w, channels, 1)
        network.get_layer(f"{unit}conv" if unit.endswith("_dw") else f"{unit}_conv").set_weights(
            [kernel]
        )
        parts = ("weight", "bias", "running_mean", "running_var")
        network.get_layer(f"{unit}_bn").set_weights([tensors[f"{bn}.{part}"] for part in parts])


def _layer_names(network: keras.Model) -> list[str]:
    return [layer.name for layer in network.layers]


def _round_channels(channels: float) -> int:
    """Round to a multiple of 8, but never more than 10 % down."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _unit(
    x: keras.KerasTensor, conv: layers.Layer, name: str, relu: bool = True
) -> keras.KerasTensor:
    """Convolve, normalise by batch, and apply ReLU6 unless the unit is linear."""
    conv.name = f"{name}conv" if name.endswith("_dw") else f"{name}_conv"
    x = layers.BatchNormalization(epsilon=BN_EPSILON, name=f"{name}_bn")(conv(x))
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x


def _block(
    x: keras.KerasTensor, stage: Stage, channels: int, stride: int, name: str
) -> keras.KerasTensor:
    """Widen, filter, narrow, and add the input back where nothing changed shape."""
    shortcut = x
    if stage.expansion > 1:
        wide = layers.Conv2D(x.shape[-1] * stage.expansion, 1, use_bias=False)
        x = _unit(x, wide, f"{name}_expand")
    spatial = layers.DepthwiseConv2D(stage.kernel, strides=stride, padding="same", use_bias=False)
    x = _unit(x, spatial, f"{name}_dw")
    narrow = layers.Conv2D(channels, 1, use_bias=False)
    x = _unit(x, narrow, f"{name}_project", relu=False)
    if stride == 1 and shortcut.shape[-1] == channels:
        x = layers.Add(name=f"{name}_add")([shortcut, x])
    return x

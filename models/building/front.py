"""The layers in front of somebody's network: from a square RGB photo to what it was trained on."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from models.building.scalings import Front


def put_in_front(image: Any, shape: Sequence[int], front: Front, resize: str) -> keras.KerasTensor:
    """Turn a square photo into a network's input.

    Args:
        image: (N, S, S, 3) float32, raw RGB; S the longer side of the input.
        shape: (H, W, C) or (H, W) of the input.
        resize: squash: an oblong input gets the whole square, squashed; crop: its middle.
    """
    height, width, *channels = shape
    if tuple(image.shape[1:3]) != (height, width):
        cut = layers.CenterCrop if resize == "crop" else layers.Resizing
        image = cut(height, width, name="input_size")(image)
    count = channels[0] if channels else 1
    image = _scaling_layer(front, count)(image)
    if not channels:
        image = layers.Reshape((height, width), name="input_shape")(image)
    return image


def _scaling_layer(front: Front, channels: int) -> layers.Layer:
    kernel, bias = front.matrix(channels)
    if channels == 3 and np.count_nonzero(kernel - np.diag(np.diag(kernel))) == 0:
        scale = [float(number) for number in np.diag(kernel)]
        return layers.Rescaling(scale, offset=[float(one) for one in bias], name="scaling")
    layer = layers.Conv2D(channels, 1, trainable=False, name="scaling")
    layer.build((None, None, None, 3))
    layer.set_weights(
        [kernel.reshape(1, 1, 3, channels).astype(np.float32), bias.astype(np.float32)]
    )
    return layer

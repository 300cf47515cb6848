"""The layers in front of an adopted network: from a square RGB photo to what it was trained on.

A file says nothing of what its program did to a photo before. What it did is linear in the
pixels, so all of it, grey, channel order, inversion and scaling, is one matrix and one offset.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from models.errors import SettingError

SCALINGS = ("raw", "0..1", "-1..1", "caffe", "torch")
GREY = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R 601, as Pillow and OpenCV do
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)  # of ImageNet; keras/applications/imagenet_utils.py
TORCH_MEAN = (0.485, 0.456, 0.406)
TORCH_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Front:
    """What is done to the pixels before the network sees them."""

    scaling: str = "raw"  # one of `SCALINGS`, or `mean,std` in pixel values
    bgr: bool = False  # the network reads blue first
    invert: bool = False  # 255 - x, as for dark digits on white

    def check(self, channels: int) -> None:
        """Raise SettingError where the settings contradict each other, or the network."""
        numbers(self.scaling)
        if channels == 1 and (self.bgr or self.scaling in ("caffe", "torch")):
            name = "--bgr" if self.bgr else f"--scaling {self.scaling}"
            raise SettingError(f"{name} is about colours; the network reads grey images")
        if self.bgr and self.scaling == "caffe":
            raise SettingError("--scaling caffe has blue first already: leave --bgr out")

    def matrix(self, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (3, channels) and (channels,): pixels @ the first + the second."""
        if channels == 1:
            base = np.asarray(GREY)[:, None]
        else:
            base = np.eye(3)[:, ::-1] if self.bgr or self.scaling == "caffe" else np.eye(3)
        offset = np.zeros(channels)
        if self.invert:
            base, offset = -base, np.full(channels, 255.0)
        scale, shift = numbers(self.scaling)
        return base * scale, offset * scale + shift

    def __str__(self) -> str:
        """Write the settings as options."""
        words = [f"--scaling {self.scaling}", "--bgr" * self.bgr, "--invert" * self.invert]
        return " ".join(word for word in words if word)


def numbers(scaling: str) -> tuple[Any, Any]:
    """Return what a scaling multiplies pixels by, and adds. Raises SettingError."""
    known = {
        "raw": (1.0, 0.0),
        "0..1": (1 / 255, 0.0),
        "-1..1": (1 / 127.5, -1.0),
        "caffe": (1.0, -np.asarray(CAFFE_MEAN_BGR)),
        "torch": (
            1 / (255 * np.asarray(TORCH_STD)),
            -np.asarray(TORCH_MEAN) / np.asarray(TORCH_STD),
        ),
    }
    if scaling in known:
        return known[scaling]
    parts = re.split(r"\s*,\s*", scaling.strip())
    try:
        mean, std = (float(part) for part in parts)
    except ValueError:
        expected = f"one of {', '.join(SCALINGS)}, or mean,std in pixel values such as 127.5,127.5"
        raise SettingError(f"--scaling is {scaling[:40]!r}; expected {expected}") from None
    if not (np.isfinite([mean, std]).all() and std >= 1):
        raise SettingError(
            f"--scaling {scaling[:40]}: mean and std are in pixel values, 0 to 255, and std is 1 "
            "or more; (x / 255 - 0.5) / 0.5 is 127.5,127.5"
        )
    return 1 / std, -mean / std


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

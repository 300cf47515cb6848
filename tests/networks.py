"""Keras networks for tests: with a head put on by Keras itself, livened, saved as a bundle."""

from pathlib import Path

import keras
import numpy as np
from keras import layers

from models.building.head import Head, UnitLength
from models.bundle import Manifest, new_bundle, seal
from models.images import Framing
from training.features.backbone import attach, compile_network


def add_head(features: keras.Model, head: Head) -> keras.Model:
    """The whole classifier: raw RGB -> logits. Layers are shared with `features`."""
    x = features.output
    for number, part in enumerate(head, start=1):
        if isinstance(part, UnitLength):
            x = layers.UnitNormalization(name=f"head_unit{number}")(x)
            continue
        last = number == len(head)
        layer = layers.Dense(
            part.bias.size,
            activation=None if part.activation == "linear" else part.activation,
            name="logits" if last else f"head_dense{number}",
        )
        x = layer(x)
        layer.set_weights([part.kernel, part.bias])
    return keras.Model(features.input, x, name="classifier")


def liven_network(network: keras.Model, photos: np.ndarray) -> keras.Model:
    """Give every weight that starts at 0, 1 or nearly 0 a value of its own, in place.

    A fresh network's biases are 0 and its batch normalisation does nothing: an export that
    swapped or dropped them would pass. Statistics are those of `photos`, so that no feature
    map vanishes, however deep the network.
    """
    rng = np.random.default_rng(1)
    norms = [one for one in network.layers if isinstance(one, layers.BatchNormalization)]
    for weight in network.trainable_weights:
        numbers = np.asarray(weight)
        if np.ptp(numbers) == 0:
            weight.assign(rng.uniform(0.5, 1, numbers.shape) if numbers.max() else
                          rng.normal(0, 0.1, numbers.shape))  # fmt: skip
        elif np.abs(numbers).max() < 1e-3:  # the scales of ConvNeXt's branches start at 1e-6
            weight.assign(rng.uniform(0.5, 1, numbers.shape))
    momenta = [one.momentum for one in norms]
    for one in norms:
        one.momentum = 0.0
    network(photos.astype("float32"), training=True)
    for one, momentum in zip(norms, momenta, strict=True):
        one.momentum = momentum
    return network


def save_network(
    backbone: keras.Model, head: Head, target: Path, photos: np.ndarray, class_names: list[str]
) -> Path:
    """Backbone and head as a bundle at `target`, their parity measured on `photos`."""
    compiled = compile_network(backbone, "test", photos)
    files, parity = attach(compiled, head, photos)
    manifest = Manifest(
        name=target.name,
        class_names=class_names,
        image=Framing(size=photos.shape[1], resize="crop", fraction=0.875),
        backbone={"name": backbone.name},
        head={"kind": "random"},
        layers=compiled.layers,
        parity=parity,
    )
    with new_bundle(target) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        seal(folder, manifest, target)
    return target

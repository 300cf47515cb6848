"""A neural head: layers of neurons on the features, trained by gradient descent."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from models.building.head import DenseLayer, Head, UnitLength
from training.heads.fit import FittedHead
from training.optimisation.checkpoint import Checkpoint
from training.optimisation.epochs import Curves, Epoch
from training.optimisation.find_rate import find_rate
from training.optimisation.loop import Lesson, descend, numbers
from training.settings.hyperparameters import Descent, HiddenLayers


def fit_neural(
    train: np.ndarray,
    train_labels: np.ndarray,
    validation: np.ndarray,
    validation_labels: np.ndarray,
    classes: int,
    shape: HiddenLayers,
    settings: Descent,
    seed: int,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int], None] = lambda done: None,
    observe: Callable[[Epoch], bool | None] | None = None,
    try_rates: bool = False,
) -> tuple[FittedHead, Curves]:
    """Hidden layers and logits on standardised features, and how they were learnt.

    Args:
        train, validation: (N, F) float32 features.
        train_labels, validation_labels: (N,) int, 0 to classes - 1.
        observe: told of each epoch; what it raises ends the training.
        try_rates: find the learning rate first, instead of that of `settings`.

    Raises:
        Diverged: the loss is no longer a number.
    """
    mean, spread = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    spread = np.where(spread > 1e-6 * np.maximum(1, np.abs(mean)), spread, np.inf)  # constant: out

    def scale(features: np.ndarray) -> np.ndarray:
        return ((features - mean) / spread).astype(np.float32)

    lesson = Lesson(
        lambda rows, epoch: scale(train[rows]),
        train_labels,
        lambda rows: scale(validation[rows]),
        validation_labels,
        classes,
        seed,
    )
    keras.utils.set_random_seed(seed)
    model, dense = build_neural(train.shape[1], classes, shape, settings.dropout)
    searched = None
    if try_rates:
        searched = find_rate(model, lesson, settings)
        settings = replace(settings, learning_rate=searched.suggested)
    curves = descend(model, lesson, settings, checkpoint, progress, observe)
    head = read_head(dense)
    folded = _fold(head[0], mean, spread)
    told: dict[str, Any] = {
        "kind": "neural",
        "hidden": list(shape.widths),
        "activation": shape.activation,
    }
    told |= {"rate_search": searched.as_json()} if searched else {}
    return FittedHead([folded, *head[1:]], told), curves


def _fold(first: DenseLayer | UnitLength, mean: np.ndarray, spread: np.ndarray) -> DenseLayer:
    """The first layer on features as the backbone gives them."""
    assert isinstance(first, DenseLayer)  # as `build_neural` makes it
    kernel = first.kernel / spread[:, None]
    bias = (first.bias - mean @ kernel).astype(np.float32)
    return DenseLayer(kernel.astype(np.float32), bias, first.activation)


def build_neural(
    inputs: int, classes: int, shape: HiddenLayers, dropout: float
) -> tuple[keras.Model, list[keras.layers.Dense | None]]:
    """The head as a network of its own: features (N, inputs) -> logits (N, classes)."""
    image = keras.Input((inputs,), name="features")
    x, dense = image, []
    for units, activation in [*((w, shape.activation) for w in shape.widths), (classes, None)]:
        layer = keras.layers.Dense(units, activation, kernel_initializer=shape.initialiser)
        x = layer(keras.layers.Dropout(dropout)(x))
        dense.append(layer)
    return keras.Model(image, x), dense


def trainable_head(
    x: keras.KerasTensor, head: Head, dropout: float, seed: int
) -> tuple[keras.KerasTensor, list[keras.layers.Dense | None]]:
    """`head` as Keras layers on `x`, with dropout in front of each, to be trained further."""
    layers: list[keras.layers.Dense | None] = []
    for dense in head:
        if isinstance(dense, UnitLength):
            x = keras.layers.UnitNormalization()(x)
            layers.append(None)
            continue
        layer = keras.layers.Dense(dense.bias.size, dense.activation)
        x = layer(keras.layers.Dropout(dropout, seed=seed + len(layers))(x))
        layer.set_weights([dense.kernel, dense.bias])
        layers.append(layer)
    return x, layers


def read_head(dense: list[keras.layers.Dense | None]) -> Head:
    """The weights of Keras layers as plain numbers."""
    return [
        DenseLayer(numbers(layer.kernel), numbers(layer.bias), layer.activation.__name__)
        if layer is not None
        else UnitLength()
        for layer in dense
    ]

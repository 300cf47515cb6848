"""A neural head: layers of neurons on the features, trained by gradient descent."""

from collections.abc import Callable
from dataclasses import replace

import keras

from models.building.head import DenseLayer, Head, UnitLength
from training.heads.fitted_head import FittedHead, HeadRecord, NeuralRecord
from training.heads.forward import apply_head
from training.heads.held_out import Sides, score_probabilities
from training.heads.standardise import Standardisation
from training.optimisation.checkpoint import Checkpoint
from training.optimisation.epochs import Epoch
from training.optimisation.find_rate import find_rate
from training.optimisation.loop import train
from training.optimisation.optimiser import numbers
from training.optimisation.training_set import TrainingSet
from training.settings.hyperparameters import HiddenLayers, Hyperparameters


def fit_neural(
    sides: Sides,
    shape: HiddenLayers,
    hyperparameters: Hyperparameters,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[int], None] = lambda done: None,
    observe: Callable[[Epoch], None] = lambda epoch: None,
    try_rates: bool = False,
) -> FittedHead:
    """Train hidden layers and logits on standardised features.

    Args:
        sides: with a validation side: it decides which epoch is kept.
        observe: called after each epoch; what it raises ends the training.
        try_rates: find the learning rate first, instead of that of `hyperparameters`.

    Raises:
        Diverged: the loss is no longer a number.
    """
    scale = Standardisation.of(sides.train)
    training_set = TrainingSet(
        read=lambda rows, epoch: scale.apply(sides.train[rows]),
        labels=sides.train_labels,
        read_validation=lambda rows: scale.apply(sides.validation[rows]),
        validation_labels=sides.validation_labels,
        classes=sides.classes,
        seed=sides.seed,
    )
    keras.utils.set_random_seed(sides.seed)
    inputs = sides.train.shape[1]
    model, dense = build_neural(inputs, sides.classes, shape, hyperparameters.dropout)
    searched = None
    if try_rates:
        searched = find_rate(model, training_set, hyperparameters)
        hyperparameters = replace(hyperparameters, learning_rate=searched.suggested)
    curves = train(model, training_set, hyperparameters, checkpoint, progress, observe)
    layers = _read_features_as_they_are(read_head(dense), scale)
    probabilities = apply_head(layers, sides.validation)
    record = HeadRecord(
        kind="neural",
        name=f"neural, {len(shape.widths)} hidden",
        scores=score_probabilities(probabilities, sides.validation_labels),
        judged_by="validation photos",
        judged_photos=len(sides.validation_labels),
        balanced=hyperparameters.class_weights == "balanced",
        neural=NeuralRecord(shape, hyperparameters, curves, searched),
    )
    return FittedHead(layers, record)


def _read_features_as_they_are(head: Head, scale: Standardisation) -> Head:
    """Fold the standardisation into the first layer."""
    first, *others = head
    assert isinstance(first, DenseLayer)  # as `build_neural` makes it
    kernel, bias = scale.fold(first.kernel, first.bias)
    return [DenseLayer(kernel.astype("float32"), bias.astype("float32"), first.activation), *others]


def build_neural(
    inputs: int, classes: int, shape: HiddenLayers, dropout: float
) -> tuple[keras.Model, list[keras.layers.Dense | None]]:
    """Build the head as a network of its own: features (N, inputs) -> logits (N, classes)."""
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
    """Put `head` on `x` as Keras layers, with dropout in front of each, to train it further."""
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
    """Read the weights of Keras layers as plain numbers; None stands for a UnitLength."""
    return [
        DenseLayer(numbers(layer.kernel), numbers(layer.bias), layer.activation.__name__)
        if layer is not None
        else UnitLength()
        for layer in dense
    ]

"""The optimiser, and the mean that follows the weights: what happens to them after each gradient.

Both pass over all weights several times in memory. For networks with many weights they are
compiled (XLA), each into one pass, which is three to five times faster; the network itself is
not, since compiled for a CPU its convolutions take several times as long.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from training.settings.hyperparameters import Hyperparameters

MOMENTUM = 0.9
MANY_WEIGHTS = 1_000_000  # from here on a second of compiling is regained


def compile_for_training(model: keras.Model, hyperparameters: Hyperparameters, steps: int) -> None:
    """Compile `model` with loss and optimiser, its schedule over `steps`."""
    model.compile(
        optimizer=make_optimiser(hyperparameters, steps, _are_many(model.trainable_weights)),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=hyperparameters.label_smoothing
        ),
        weighted_metrics=["accuracy"],
        jit_compile=False,
    )


def make_optimiser(
    hyperparameters: Hyperparameters, steps: int, fast: bool = False
) -> keras.Optimizer:
    """Make the optimiser with its schedule over `steps`; biases and scales do not decay."""
    rate: Any = float(hyperparameters.learning_rate)
    warm = round(hyperparameters.warm_up * steps)
    if hyperparameters.schedule == "cosine":
        start = 0.0 if warm else rate
        rate = keras.optimizers.schedules.CosineDecay(
            start, max(1, steps - warm), warmup_target=rate if warm else None, warmup_steps=warm
        )
    elif warm:
        rate = keras.optimizers.schedules.PolynomialDecay(rate / warm, warm, rate)
    decay = hyperparameters.weight_decay
    kinds: dict[str, tuple[type[keras.Optimizer], dict[str, float]]] = {
        "sgd": (keras.optimizers.SGD, {}),
        "momentum": (keras.optimizers.SGD, {"momentum": MOMENTUM}),
        "adam": (keras.optimizers.Adam, {}),
        "adamw": (keras.optimizers.AdamW, {}),
    }
    kind, more = kinds[hyperparameters.optimiser]
    optimiser = (_compiled(kind) if fast else kind)(rate, weight_decay=decay, **more)
    optimiser.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimiser


class MeanWeights:
    """A mean of weights over the last steps, of which each step counts less than the next."""

    def __init__(self, weights: Sequence[Any], share: float):
        """Begin at `weights`; `share` of the mean stays at each step (the first count less)."""
        self.share = share
        self.weights = weights
        self.mean = [keras.Variable(numbers(weight), trainable=False) for weight in weights]
        compiled = _are_many(self.mean)
        self._move: Callable[[Any], None] = tf.function(self._blend, jit_compile=compiled)

    def follow(self, step: int) -> None:
        """Move towards the weights after `step`, which counts from 1."""
        stays = min(self.share, (1 + step) / (10 + step))
        self._move(tf.constant(1 - stays, tf.float32))

    def _blend(self, new: Any) -> None:
        for mean, weight in zip(self.mean, self.weights, strict=True):
            mean.assign(mean + new * (weight - mean))


def numbers(variable: Any) -> np.ndarray:
    """Read what a Keras variable holds."""
    return np.asarray(keras.ops.convert_to_numpy(variable))


def _are_many(weights: Sequence[Any]) -> bool:
    return sum(int(np.prod(weight.shape)) for weight in weights) >= MANY_WEIGHTS


def _compiled(kind: type[keras.Optimizer]) -> type[keras.Optimizer]:
    """Let an optimiser change all weights in one compiled function."""

    class Compiled(kind):
        def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
            def update() -> None:
                super(Compiled, self).apply(grads, trainable_variables)

            tf.function(update, jit_compile=True)()
            return self.iterations

    return Compiled

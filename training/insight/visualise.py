"""Compute from noise a picture that excites a channel most: activation maximisation.

Gradient ascent on the photo itself, with the usual regularisers: random shifts and a penalty
on differences between neighbours (Olah, Mordvintsev and Schubert 2017, "Feature
Visualization", Distill, section "The Enemy of Feature Visualization"). Look at exemplars first:
they are cheaper and show only what photos have.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from training.settings.quiet import load_keras

STEPS = 160
RATE = 0.05  # of Adam, on the photo's own scale
SHIFT_PX = 8  # largest random shift
SMOOTHNESS = 0.05  # weight of the mean square difference between neighbours


class Visualised(NamedTuple):
    """A computed picture, and whether its search converged."""

    picture: bytes  # WebP
    answer: float  # the channel's mean answer to it
    converged: bool


def visualise(
    model: Path,
    channels: Sequence[tuple[str, int]],
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Visualised]:
    """Compute a picture for each of some channels.

    Args:
        model: a bundle's `model.keras`; its hash has been checked.
        channels: (layer, channel) pairs.
        progress: called after each channel.
    """
    load_keras()
    import keras
    import tensorflow as tf

    network = keras.saving.load_model(model, compile=False)
    size = network.input_shape[1]
    found = []
    for layer, channel in channels:
        part = keras.Model(network.input, network.get_layer(layer).output)

        @tf.function  # type: ignore[untyped-decorator]
        def climb(hidden: Any, shift: Any, part: Any = part, channel: int = channel) -> Any:
            """Return the gradient of the loss, and the channel's mean answer."""
            with tf.GradientTape() as tape:
                tape.watch(hidden)
                photo = tf.sigmoid(hidden)
                moved = tf.roll(photo, shift, axis=[1, 2])
                answer = tf.reduce_mean(part(moved * 255, training=False)[..., channel])
                down = tf.reduce_mean(tf.square(photo[:, 1:] - photo[:, :-1]))
                right = tf.reduce_mean(tf.square(photo[:, :, 1:] - photo[:, :, :-1]))
                scale = tf.stop_gradient(tf.maximum(tf.abs(answer), 1e-3))
                loss = SMOOTHNESS * 100 * (down + right) - answer / scale
            return tape.gradient(loss, hidden), answer

        rng = np.random.default_rng(seed)
        hidden = tf.Variable(rng.normal(0, 0.3, (1, size, size, 3)).astype(np.float32))
        optimiser = keras.optimizers.Adam(RATE)
        answers = []
        for _ in range(STEPS):
            shift = tf.constant(rng.integers(-SHIFT_PX, SHIFT_PX + 1, 2), tf.int32)
            gradient, answer = climb(hidden, shift)
            optimiser.apply([gradient], [hidden])
            answers.append(float(answer))
        found.append(
            Visualised(_picture(tf.sigmoid(hidden)[0].numpy()), answers[-1], _settled(answers))
        )
        progress(1)
    return found


def _settled(answers: list[float]) -> bool:
    """Return whether the answer rose and settled: the last quarter within a tenth."""
    quarter = len(answers) // 4
    before = float(np.mean(answers[-2 * quarter : -quarter]))
    after = float(np.mean(answers[-quarter:]))
    rose = after > max(answers[0], 0) + 1e-6
    return rose and abs(after - before) <= 0.1 * abs(after)


def _picture(photo: np.ndarray) -> bytes:
    """Encode (S, S, 3) float, 0 to 1, as a WebP."""
    buffer = io.BytesIO()
    Image.fromarray((photo * 255).round().astype(np.uint8)).save(buffer, "WEBP", quality=85)
    return buffer.getvalue()

"""What a user would do otherwise: the public Keras transfer-learning guide, as it stands.

The recipe of keras.io/guides/transfer_learning: a frozen backbone called inside a new
model, random flips and rotations, dropout, one Dense layer, Adam, photos read and resized by
`image_dataset_from_directory`. Same weights and the same photos as ours.
"""

import os
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from keras import layers

from models.building.backbones import find_backbone
from models.building.network import build_backbone

BATCH = 32


def train(photos: Path, epochs: int, steps: int | None = None) -> dict[str, Any]:
    """Follow the guide on `photos`/train, validation and test.

    Args:
        steps: stop each epoch after so many batches; None: all of them.

    Returns:
        `seconds` from start to tested, `epoch_seconds` of each epoch, `accuracy`; and the
        `curve`: seconds and accuracy on test photos after each epoch. What measuring the curve
        took is `aside_seconds`, and in none of the others.
    """
    started = time.perf_counter()
    keras.utils.set_random_seed(0)
    row = find_backbone("efficientnet-lite0")
    size = (row.size, row.size)
    read = keras.utils.image_dataset_from_directory
    train_set, validation_set, test_set = (
        read(photos / side, image_size=size, batch_size=BATCH, label_mode="int", verbose=False)
        for side in ("train", "validation", "test")
    )
    augment = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)]

    def augmented(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for layer in augment:
            images = layer(images)
        return images, labels

    ready = train_set.map(augmented, num_parallel_calls=tf.data.AUTOTUNE)
    backbone = build_backbone(row, row.size, "embedded")  # scaling and pooling are inside
    backbone.trainable = False
    inputs = keras.Input((*size, 3))
    x = backbone(inputs, training=False)
    x = layers.Dropout(0.2)(x)
    model = keras.Model(inputs, layers.Dense(len(train_set.class_names))(x))
    model.compile(
        optimizer=keras.optimizers.Adam(),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    clock = _Clock(started, test_set)
    data = ready.take(steps) if steps else ready
    model.fit(
        data.prefetch(tf.data.AUTOTUNE),
        epochs=epochs,
        validation_data=None if steps else validation_set.prefetch(tf.data.AUTOTUNE),
        callbacks=[clock],
        verbose=0,
    )
    accuracy = model.evaluate(test_set, verbose=0)[1]
    return {
        "seconds": time.perf_counter() - started - clock.aside,
        "epoch_seconds": clock.seconds,
        "curve": clock.curve,
        "aside_seconds": clock.aside,
        "accuracy": float(accuracy),
    }


class _Clock(keras.callbacks.Callback):
    """Seconds of each epoch, and how accurate the model was after it."""

    def __init__(self, started: float, test_set: tf.data.Dataset) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.curve: list[tuple[float, float]] = []
        self.aside = 0.0  # s, that a user would not spend
        self._began, self._test_set = started, test_set

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        ended = time.perf_counter()
        self.seconds.append(ended - self._started)
        accuracy = float(self.model.evaluate(self._test_set, verbose=0)[1])
        self.curve.append((ended - self._began - self.aside, accuracy))
        self.aside += time.perf_counter() - ended

"""The recipe of Keras' guide "Transfer learning & fine-tuning", with Keras alone.

`python tests/recipe.py PHOTOS MODEL`: a nested backbone, augmentation inside, one logit for two
classes. The backbone is a small one without pretrained weights: nothing is downloaded.
"""

import sys

import keras
from keras import layers

SIZE = 64


def pretend_pretrained(base_model: keras.Model, dataset) -> None:
    """Give the backbone statistics of real photos: without weights it has none."""
    for layer in base_model.layers:
        layer.momentum = 0.0
    for images, _ in dataset.take(1):
        base_model(images / 127.5 - 1, training=True)


def main(photos: str, model_file: str) -> None:
    """Train on two class folders, and save."""
    keras.utils.set_random_seed(1)
    dataset = keras.utils.image_dataset_from_directory(
        photos, image_size=(SIZE, SIZE), batch_size=16, label_mode="binary", seed=1
    )
    base_model = keras.applications.MobileNetV2(
        weights=None, input_shape=(SIZE, SIZE, 3), include_top=False, alpha=0.35
    )
    pretend_pretrained(base_model, dataset)
    base_model.trainable = False
    data_augmentation = keras.Sequential(
        [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)]
    )
    inputs = keras.Input(shape=(SIZE, SIZE, 3))
    x = data_augmentation(inputs)
    x = layers.Rescaling(scale=1 / 127.5, offset=-1)(x)
    x = base_model(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    outputs = layers.Dense(1)(x)
    model = keras.Model(inputs, outputs)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy()],
    )
    model.fit(dataset, epochs=25, verbose=0)
    model.save(model_file)


if __name__ == "__main__":
    main(*sys.argv[1:])

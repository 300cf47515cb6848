"""The recipe of Keras' guide "Transfer learning & fine-tuning", with Keras alone.

`python tests/recipe.py PHOTOS MODEL`: a nested backbone, augmentation inside, one logit for two
classes. The backbone is a small one without pretrained weights: nothing is downloaded.
"""

import sys

import keras
from keras import layers

SIZE = 64


def small_backbone() -> keras.Model:
    """Build what stands for the guide's Xception: convolutions and batch normalisation."""
    image = x = keras.Input((SIZE, SIZE, 3))
    for channels in (8, 16, 16):
        x = layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(image, x, name="backbone")


def main(photos: str, model_file: str) -> None:
    """Train on two class folders, and save."""
    keras.utils.set_random_seed(1)
    dataset = keras.utils.image_dataset_from_directory(
        photos, image_size=(SIZE, SIZE), batch_size=16, label_mode="binary", seed=1
    )
    base_model = small_backbone()
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
    for epochs, trainable, rate in ((2, False, 1e-2), (20, True, 1e-2)):  # the head, then all
        base_model.trainable = trainable
        model.compile(
            optimizer=keras.optimizers.Adam(rate),
            loss=keras.losses.BinaryCrossentropy(from_logits=True),
            metrics=[keras.metrics.BinaryAccuracy()],
        )
        model.fit(dataset, epochs=epochs, verbose=0)
    model.save(model_file)


if __name__ == "__main__":
    main(*sys.argv[1:])

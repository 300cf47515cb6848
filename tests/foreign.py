"""Small Keras models as people save them: of every structure, ending and container."""

from collections.abc import Callable

import keras
import numpy as np
from keras import layers


def inputs(*shape: int | None) -> keras.KerasTensor:
    return keras.Input(shape or (32, 32, 3))


def block(x, channels, name, activation="relu"):
    """Convolution, batch normalisation, activation, pooling."""
    x = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    x = layers.Activation(activation, name=f"{name}_out")(x)
    return layers.MaxPooling2D(name=f"{name}_pool")(x)


def stem(channels=3, size=32):
    """A small backbone, functional, without a head."""
    image = keras.Input((size, size, channels), name="stem_input")
    return keras.Model(image, block(block(image, 8, "one"), 12, "two"), name="stem")


def sequential():
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(12, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )


def sequential_of_sequentials():
    resize = keras.Sequential([layers.Resizing(24, 24), layers.Rescaling(1 / 255)], name="resize")
    augment = keras.Sequential(
        [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.1)],
        name="augment",
    )
    model = keras.Sequential(
        [resize, augment, layers.Conv2D(8, 3, activation="relu"), layers.MaxPooling2D(),
         layers.Flatten(), layers.Dense(3, activation="softmax")]
    )  # fmt: skip
    model.build((None, 32, 32, 3))
    return model


def nested_backbone():
    image = inputs()
    x = keras.Sequential([layers.RandomFlip("horizontal")], name="augmentation")(image)
    x = layers.Rescaling(1 / 127.5, offset=-1)(x)
    x = stem()(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2)(x)
    return keras.Model(image, layers.Dense(1, name="answer")(x))


def nested_twice():
    image = inputs()
    inner = keras.Input((32, 32, 3))
    middle = keras.Model(inner, layers.ReLU(name="after")(stem()(inner)), name="middle")
    x = layers.GlobalMaxPooling2D()(middle(layers.Rescaling(1 / 255)(image)))
    return keras.Model(image, layers.Dense(3, activation="softmax")(x))


def sequential_around_backbone():
    return keras.Sequential(
        [keras.Input((32, 32, 3)), layers.Rescaling(1 / 255), stem(),
         layers.GlobalAveragePooling2D(), layers.Dense(8, activation="relu"),
         layers.BatchNormalization(), layers.Dense(3, activation="softmax")]
    )  # fmt: skip


def residual():
    image = inputs()
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.Conv2D(8, 3, padding="same", activation="silu")(x)
    x = layers.Add()([x, y])
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(8, 1, activation="sigmoid")(gate)
    x = layers.Multiply()([x, gate])
    x = layers.Concatenate()([x, layers.AveragePooling2D(3, strides=1, padding="same")(x)])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Softmax()(layers.Dense(3)(x)))


def preprocess(module):
    def build():
        image = inputs()
        x = getattr(keras.applications, module).preprocess_input(image)
        x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 64)(x))
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(image, layers.Dense(3, activation="softmax")(x))

    return build


def arithmetic():
    image = inputs()
    x = keras.ops.subtract(1.0, image / 255.0) * np.array([0.5, 1.0, 2.0], "float32")
    x = keras.ops.concatenate([x[..., 1:], x[..., :1]], axis=-1)
    x = layers.Conv2D(8, 3)(x)
    x = keras.ops.relu(x) + keras.ops.tanh(x)
    x = keras.ops.mean(x, axis=[1, 2])
    return keras.Model(image, layers.Dense(3, activation="softmax")(x))


def odd_layers():
    image = inputs()
    x = layers.Normalization(mean=[120.0, 110, 100], variance=[3000.0, 2000, 1000])(image)
    x = layers.SeparableConv2D(8, 3, depth_multiplier=2, activation="elu")(x)
    x = layers.PReLU(shared_axes=[1, 2])(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="gelu")(x)
    x = layers.GroupNormalization(4)(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.Conv2D(8, 3, strides=2, dilation_rate=1, groups=2, padding="same")(x)
    x = layers.LeakyReLU(negative_slope=0.07)(x)
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="tanh")(x)
    x = layers.LayerNormalization()(x)
    x = layers.Cropping2D(((1, 0), (2, 1)))(x)
    x = layers.ZeroPadding2D(1)(x)
    x = layers.Conv2D(6, 3, activation=layers.LeakyReLU(negative_slope=0.3), name="sloped")(x)
    x = layers.AveragePooling2D(3, padding="same")(x)
    x = layers.SpatialDropout2D(0.3)(layers.GaussianNoise(0.5)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(3, activation="softmax")(x))


def fully_convolutional():
    image = inputs()
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(x)
    x = layers.Conv2D(3, 1)(x)
    return keras.Model(image, layers.Softmax()(layers.GlobalAveragePooling2D()(x)))


def with_a_reshape_at_the_end():  # as MobileNet does
    image = inputs()
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(layers.Rescaling(1 / 255)(image))
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Reshape((3,))(layers.Conv2D(3, 1)(x))
    return keras.Model(image, layers.Activation("softmax")(x))


def grey():
    image = inputs(28, 28, 1)
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(image))
    x = layers.Flatten()(layers.MaxPooling2D()(x))
    return keras.Model(image, layers.Dense(3, activation="softmax")(x))


def without_channel():
    return keras.Sequential(
        [keras.Input((28, 28)), layers.Rescaling(1 / 255), layers.Flatten(),
         layers.Dense(20, activation="relu"), layers.Dense(3)]
    )  # fmt: skip


def rows_reshaped():
    return keras.Sequential(
        [keras.Input((28, 28)), layers.Reshape((28, 28, 1)), layers.Rescaling(1 / 255),
         layers.Conv2D(6, 3, activation="relu"), layers.GlobalMaxPooling2D(),
         layers.Dense(3, activation="softmax")]
    )  # fmt: skip


def oblong():
    image = inputs(24, 40, 3)
    x = block(layers.Rescaling(1 / 255)(image), 8, "one")
    return keras.Model(image, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))


def any_size():
    image = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 255)(layers.Resizing(32, 32)(image))
    x = block(x, 8, "one")
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def one_sigmoid():
    return keras.Sequential(
        [keras.Input((32, 32, 3)), layers.Rescaling(1 / 255), layers.Conv2D(8, 3), layers.ReLU(6.0),
         layers.GlobalAveragePooling2D(), layers.Dense(6, activation="tanh"),
         layers.Dense(1, activation="sigmoid")]
    )  # fmt: skip


def mixed_precision():
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        image = inputs()
        x = block(layers.Rescaling(1 / 255)(image), 8, "one")
        x = layers.GlobalAveragePooling2D()(x)
        x = layers.Dense(3)(x)
        return keras.Model(image, layers.Activation("softmax", dtype="float32")(x))
    finally:
        keras.mixed_precision.set_global_policy(policy)


def shared():
    image = inputs()
    again = layers.Conv2D(8, 3, padding="same", activation="relu", name="again")
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(image))
    x = again(again(x))
    return keras.Model(image, layers.Dense(3, activation="softmax")(
        layers.GlobalAveragePooling2D()(x)))  # fmt: skip


def shared_model():
    image = inputs()
    inner = keras.Sequential([keras.Input((30, 30, 8)), layers.Conv2D(8, 3, padding="same")])
    x = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(image))
    x = layers.Maximum()([inner(x), inner(layers.ReLU()(inner(x)))])
    return keras.Model(image, layers.Dense(3, activation="softmax")(
        layers.GlobalAveragePooling2D()(x)))  # fmt: skip


def twins():
    """Two models inside whose layers have the same names."""
    image = inputs()
    x = layers.Rescaling(1 / 255)(image)

    def side(name):
        return keras.Sequential(
            [keras.Input((32, 32, 3)), layers.Conv2D(4, 3, name="conv"),
             layers.BatchNormalization(name="bn"), layers.ReLU(name="relu")],
            name=name,
        )  # fmt: skip

    x = layers.Concatenate()([side("left")(x), side("right")(x)])
    return keras.Model(image, layers.Dense(3, activation="softmax")(
        layers.GlobalAveragePooling2D()(x)))  # fmt: skip


MODELS: dict[str, Callable[[], keras.Model]] = {
    one.__name__: one
    for one in (
        sequential, sequential_of_sequentials, nested_backbone, nested_twice,
        sequential_around_backbone, residual, arithmetic, odd_layers, fully_convolutional,
        with_a_reshape_at_the_end, grey, without_channel, rows_reshaped, oblong, any_size,
        one_sigmoid, mixed_precision, shared, shared_model, twins,
    )
}  # fmt: skip
MODELS |= {f"preprocess_{name}": preprocess(name) for name in ("vgg16", "mobilenet_v2", "densenet")}

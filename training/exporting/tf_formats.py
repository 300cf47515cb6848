"""SavedModel: what TensorFlow Serving serves. Pixels go in, probabilities come out.

There is no signature for encoded photos: `tf.io.decode_image` leaves a photo as its camera held
it (EXIF), and so answers those of telephones wrongly without a word. docs/export.md has numbers.
"""

from pathlib import Path
from typing import Any

from training.exporting.source import Source


def write_saved_model(source: Source, folder: Path) -> str:
    """Write a version folder, as TensorFlow Serving looks for below a model's base path."""
    version = source.bundle.manifest.version
    number = version if version.isascii() and version.isdigit() else "1"
    save_serving(source.network(), folder / number, None, "uint8")
    return number


def save_serving(network: Any, folder: Path, batch: int | None, kind: str) -> None:
    """Save the signature `serving_default`: `image`, raw RGB -> `probabilities`, float32.

    Args:
        batch: photos that are answered at once; None: any number.
        kind: the type of the pixels, `uint8` or `float32`.
    """
    import tensorflow as tf

    def serve(image: Any) -> dict[str, Any]:
        logits = network(tf.cast(image, tf.float32), training=False)
        return {"probabilities": tf.nn.softmax(logits)}

    # By hand, because Keras 3.15's own ExportArchive writes every weight twice.
    image = tf.TensorSpec((batch, *network.input_shape[1:]), kind, name="image")
    module = tf.Module()
    module.weights = [variable.value for variable in network.variables]
    module.serve = tf.function(serve, input_signature=[image])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})

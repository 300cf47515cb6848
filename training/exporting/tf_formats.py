"""SavedModel: what TensorFlow Serving serves. Pixels go in, probabilities come out.

There is no signature for encoded photos: `tf.io.decode_image` leaves a photo as its camera held
it (EXIF), and so answers those of telephones wrongly without a word. docs/export.md has numbers.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from training.exporting.source import Source


def write_saved_model(source: Source, folder: Path) -> str:
    """Write a version folder, as TensorFlow Serving looks for below a model's base path."""
    network = source.network()
    import keras
    import tensorflow as tf

    version = source.bundle.manifest.version
    number = version if version.isascii() and version.isdigit() else "1"
    archive = keras.export.ExportArchive()
    archive.track(network)
    image = tf.TensorSpec((None, *network.input_shape[1:]), tf.uint8, name="image")
    archive.add_endpoint("serve", answering(network), input_signature=[image])
    archive.write_out(str(folder / number), verbose=False)
    return number


def answering(network: Any) -> Callable[[Any], dict[str, Any]]:
    """Make the function `image`, raw RGB of any type -> `probabilities`, float32."""
    import tensorflow as tf

    def serve(image: Any) -> dict[str, Any]:
        logits = network(tf.cast(image, tf.float32), training=False)
        return {"probabilities": tf.nn.softmax(logits)}

    return serve

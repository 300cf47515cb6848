"""LiteRT (TensorFlow Lite): one photo of bytes goes in, probabilities come out.

In the form of 8 bits every layer computes with whole numbers, whose ranges are measured on
photos; what leaves is bytes too, with their scale in the file.
"""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.exporting.litert_metadata import add_metadata
from training.exporting.source import Source
from training.exporting.tf_formats import save_serving
from training.settings.quiet import STDERR, without_remarks


def write_litert(source: Source, folder: Path) -> str:
    """Write model.tflite, its labels inside."""
    network, photos = source.network(), source.calibration
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as place:
        # In front of whole numbers the converter itself puts what takes bytes.
        save_serving(network, Path(place), 1, "uint8" if photos is None else "float32")
        converter = tf.lite.TFLiteConverter.from_saved_model(place)
        if photos is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.uint8
            converter.representative_dataset = lambda: _one_by_one(photos)
        with warnings.catch_warnings(), without_remarks(STDERR):
            warnings.simplefilter("ignore")  # it misses statistics of an older way to calibrate
            converted = converter.convert()
    (folder / "model.tflite").write_bytes(add_metadata(converted, source))
    return "model.tflite"


def _one_by_one(photos: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """Give each photo as the converter asks for it: a batch of one, by the input's name."""
    for photo in photos:
        yield {"image": photo[None].astype(np.float32)}

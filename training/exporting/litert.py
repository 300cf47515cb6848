"""LiteRT (TensorFlow Lite): one photo of bytes goes in, probabilities come out.

In the form of 8 bits every layer computes with whole numbers, whose ranges are measured on
photos; what leaves is bytes too, with their scale in the file.
"""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.exporting.litert_metadata import add_metadata
from training.exporting.source import Source
from training.exporting.tf_formats import answering
from training.settings.quiet import STDERR, without_remarks


def write_litert(source: Source, folder: Path) -> str:
    """Write model.tflite, its labels inside."""
    network = source.network()
    import tensorflow as tf

    whole = source.calibration is not None
    # The converter puts the bytes of the 8-bit form in front itself, and wants float32 here.
    kind = tf.float32 if whole else tf.uint8
    image = tf.TensorSpec((1, *network.input_shape[1:]), kind, name="image")
    function = tf.function(answering(network), input_signature=[image])
    concrete = function.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], network)
    if whole:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
        converter.representative_dataset = lambda: _one_by_one(source.calibration)
    with warnings.catch_warnings(), without_remarks(STDERR):
        warnings.simplefilter("ignore")  # of itself, that it will move to another package
        converted = converter.convert()
    (folder / "model.tflite").write_bytes(add_metadata(converted, source))
    return "model.tflite"


def _one_by_one(photos: np.ndarray | None) -> Iterator[list[np.ndarray]]:
    """Give each photo as the converter asks for it: a list with one batch of one."""
    for photo in () if photos is None else photos:
        yield [photo[None].astype(np.float32)]

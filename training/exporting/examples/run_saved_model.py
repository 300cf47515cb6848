"""Classify photos with TensorFlow: python example.py PHOTO ..."""

import sys

import numpy as np
import tensorflow as tf
from decode import FACTS, HERE, decode

MODEL = tf.saved_model.load(str(HERE / FACTS["file"]))


def predict(photo: np.ndarray) -> np.ndarray:
    """Compute the probability of each label for one photo from `decode`."""
    answer = MODEL.signatures["serving_default"](image=tf.constant(photo[None]))
    return np.asarray(answer["probabilities"].numpy()[0])


if __name__ == "__main__":
    for path in sys.argv[1:]:
        probabilities = predict(decode(path))
        best = int(probabilities.argmax())
        print(f"{path}: {FACTS['labels'][best]} ({probabilities[best]:.4f})")

"""Classify photos with Keras: python example.py PHOTO ..."""

import sys

import keras
import numpy as np
from decode import FACTS, HERE, decode

MODEL = keras.saving.load_model(HERE / FACTS["file"], compile=False, safe_mode=True)


def predict(photo: np.ndarray) -> np.ndarray:
    """Compute the probability of each label for one photo from `decode`."""
    logits = MODEL.predict_on_batch(photo[None].astype(np.float32))[0]
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


if __name__ == "__main__":
    for path in sys.argv[1:]:
        probabilities = predict(decode(path))
        best = int(probabilities.argmax())
        print(f"{path}: {FACTS['labels'][best]} ({probabilities[best]:.4f})")

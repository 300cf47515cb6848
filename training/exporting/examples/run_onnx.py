"""Classify photos with ONNX Runtime: python example.py PHOTO ..."""

import sys

import numpy as np
import onnxruntime
from decode import FACTS, HERE, decode

MODEL = onnxruntime.InferenceSession(HERE / FACTS["file"])


def predict(photo: np.ndarray) -> np.ndarray:
    """Compute the probability of each label for one photo from `decode`."""
    (logits,) = MODEL.run(["logits"], {"image": photo[None].astype(np.float32)})
    powers = np.exp(logits[0] - logits[0].max())
    return powers / powers.sum()


if __name__ == "__main__":
    for path in sys.argv[1:]:
        probabilities = predict(decode(path))
        best = int(probabilities.argmax())
        print(f"{path}: {FACTS['labels'][best]} ({probabilities[best]:.4f})")

"""Classify photos with LiteRT: python example.py PHOTO ..."""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from decode import FACTS, HERE, decode

MODEL = Interpreter(str(HERE / FACTS["file"]))
MODEL.allocate_tensors()
IMAGE, ANSWER = MODEL.get_input_details()[0], MODEL.get_output_details()[0]


def predict(photo: np.ndarray) -> np.ndarray:
    """Compute the probability of each label for one photo from `decode`."""
    MODEL.set_tensor(IMAGE["index"], photo[None])
    MODEL.invoke()
    numbers = MODEL.get_tensor(ANSWER["index"])[0].astype(np.float32)
    scale, zero = ANSWER["quantization"]  # scale 0: they are probabilities already
    return (numbers - zero) * scale if scale else numbers


if __name__ == "__main__":
    for path in sys.argv[1:]:
        probabilities = predict(decode(path))
        best = int(probabilities.argmax())
        print(f"{path}: {FACTS['labels'][best]} ({probabilities[best]:.4f})")

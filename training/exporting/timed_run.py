"""Answer photos with the example of an export, and time it: FOLDER PHOTOS.npy ANSWERS.npz.

Runs as a program of its own, in which nothing but the example and its runtime is loaded.
"""

import importlib
import sys
import time

import numpy as np


def answer(folder: str, photos: str, answers: str) -> None:
    """Write the probabilities of each photo, (N, K) float32, and what each took in ms."""
    sys.path.insert(0, folder)
    predict = importlib.import_module("example").predict
    pixels = np.load(photos)
    predict(pixels[0])  # the first one makes room
    probabilities, milliseconds = [], []
    for photo in pixels:
        started = time.perf_counter()
        probabilities.append(predict(photo))
        milliseconds.append((time.perf_counter() - started) * 1000)
    np.savez(answers, probabilities=np.stack(probabilities), milliseconds=milliseconds)


if __name__ == "__main__":
    answer(*sys.argv[1:])

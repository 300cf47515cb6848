"""Who takes a training step: this process alone, or several workers, each with its share.

Each worker has the whole network and the whole optimiser, and the photos of its share. A step
adds up the gradients of all shares of a batch; then every worker changes its weights alike.
`together.py` has the workers of a cluster.
"""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import keras

# inputs, targets (n, classes), weights (n,); photos of all workers -> loss, accuracy
Step = Callable[[tuple[np.ndarray, ...], int], tuple[float, float]]


class Workers(Protocol):
    """Those who train one network together. All of them call the same things in one order."""

    rank: int  # of this one; 0: the chief, which writes what is kept
    count: int

    def add(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Add up each array over all workers. Raises WorkerLost."""

    def make_step(self, model: "keras.Model", label_smoothing: float) -> Step:
        """Return what trains `model`, compiled, on one batch. It raises WorkerLost."""


class Alone:
    """One process with all photos."""

    rank, count = 0, 1

    def add(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return them as they are."""
        return list(arrays)

    def make_step(self, model: "keras.Model", label_smoothing: float) -> Step:
        """Train by what the model was compiled with."""

        def step(batch: tuple[np.ndarray, ...], photos: int) -> tuple[float, float]:
            answer = model.train_on_batch(*batch, return_dict=True)
            return float(answer["loss"]), float(answer["accuracy"])

        return step


ALONE = Alone()


def own(workers: Workers, length: int) -> np.ndarray:
    """Mark which of `length` photos are this worker's: (length,) bool."""
    return np.arange(length) % workers.count == workers.rank


def from_chief(workers: Workers, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the chief's arrays, which have the shapes of those here. Raises WorkerLost."""
    if workers.count == 1:
        return list(arrays)
    mine = [array if workers.rank == 0 else np.zeros_like(array) for array in arrays]
    return workers.add(mine)


def facts_from_chief(workers: Workers, facts: dict[str, Any]) -> dict[str, Any]:
    """Return the chief's facts, which JSON can hold. Raises WorkerLost."""
    if workers.count == 1:
        return facts
    content = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    size = int(from_chief(workers, [np.array(len(content))])[0])
    (chiefs,) = from_chief(workers, [np.resize(content, size)])
    known: dict[str, Any] = json.loads(chiefs.astype(np.uint8).tobytes())
    return known


def who_differs(workers: Workers, digest: bytes) -> list[int]:
    """List the workers whose digest is not the chief's. Raises WorkerLost."""
    rows = np.zeros((workers.count, len(digest)), np.int64)
    rows[workers.rank] = np.frombuffer(digest, np.uint8)
    (rows,) = workers.add([rows])
    return [rank for rank, row in enumerate(rows) if not np.array_equal(row, rows[0])]

"""Features -> class: the head that is trained.

Multinomial logistic regression on standardised features. The standardisation is folded
into the weights afterwards, so the head is one Dense layer of the Keras network.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from models.classifier import softmax
from models.head import DenseLayer, Head

STRENGTHS = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # C: the inverse of the L2 penalty
ITERATIONS = 500


@dataclass(frozen=True)
class FittedHead:
    """A head, and how it was chosen."""

    layers: Head
    settings: dict[str, Any]  # kind, strength, and the table of all that were tried


def fit_logistic(
    train: np.ndarray,
    train_labels: np.ndarray,
    validation: np.ndarray,
    validation_labels: np.ndarray,
    classes: int,
    progress: Callable[[int], None] = lambda done: None,
    strengths: Sequence[float] | None = None,
) -> FittedHead:
    """Logistic regression whose strength gives the least log loss on validation photos.

    Args:
        train, validation: (N, F) float32 features.
        train_labels, validation_labels: (N,) int, 0 to classes - 1; train has every class.
        progress: called after each strength tried.
        strengths: to choose from, ascending; None: `STRENGTHS`.
    """
    mean, spread = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    spread = np.where(spread > 1e-6 * np.maximum(1, np.abs(mean)), spread, np.inf)  # constant: out
    scaled = ((train - mean) / spread).astype(np.float32)  # twice as fast, the same answers
    candidates = []
    start: tuple[np.ndarray, np.ndarray] | None = None
    for strength in strengths or STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=ITERATIONS, tol=1e-4, warm_start=True)
        if start is not None:
            model.coef_, model.intercept_ = start
        with warnings.catch_warnings(), threadpool_limits(1):  # matrices too small to share
            warnings.simplefilter("ignore", ConvergenceWarning)  # validation judges it anyway
            model.fit(scaled, train_labels)
        start = (model.coef_, model.intercept_)
        head = _as_dense(model, mean, spread)
        probabilities = apply_head([head], validation)
        loss = log_loss(validation_labels, probabilities, labels=range(classes))
        right = float((probabilities.argmax(1) == validation_labels).mean())
        candidates.append((loss, strength, right, head))
        progress(1)
    loss, strength, right, head = min(candidates, key=lambda candidate: candidate[:2])
    table = [
        {"C": c, "validation_log_loss": lost, "validation_accuracy": accuracy}
        for lost, c, accuracy, _ in candidates
    ]
    settings = {"kind": "logistic regression", "C": strength, "tried": table}
    return FittedHead(
        [head], settings | {"validation_log_loss": loss, "validation_accuracy": right}
    )


def apply_head(head: Head, features: np.ndarray) -> np.ndarray:
    """Probabilities (N, K) float64 of a linear head for (N, F) features."""
    (dense,) = head
    return softmax((features @ dense.kernel + dense.bias).astype(np.float64))


def _as_dense(model: LogisticRegression, mean: np.ndarray, spread: np.ndarray) -> DenseLayer:
    """The fitted model as one Dense layer on features as the backbone gives them."""
    weights, bias = model.coef_, model.intercept_  # (K, F), (K,)
    if len(weights) == 1:  # two classes: scikit-learn keeps one row, for the second
        weights, bias = np.vstack([-weights, weights]) / 2, np.hstack([-bias, bias]) / 2
    kernel = (weights / spread).T
    return DenseLayer(kernel.astype(np.float32), (bias - mean @ kernel).astype(np.float32))

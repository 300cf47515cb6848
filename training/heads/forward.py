"""A head applied to many feature vectors at once, in NumPy: the numbers of the network."""

from collections.abc import Callable

import numpy as np
from scipy.special import erf, expit

from models.building.head import Head, UnitLength
from models.classifier import softmax
from models.errors import SettingError
from training.features.rows import Rows

SELU = (1.6732632423543772, 1.0507009873554805)  # alpha and scale, as in Keras
ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),  # Keras' slope
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: SELU[1] * np.where(x > 0, x, SELU[0] * np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))),
    "silu": lambda x: x * expit(x),
    "sigmoid": expit,
    "tanh": np.tanh,
}


def head_logits(head: Head, features: np.ndarray | Rows) -> np.ndarray:
    """Compute logits (N, K) float64 of any head for (N, F) features. Raises SettingError."""
    if isinstance(features, Rows):
        parts = [head_logits(head, block) for _, block in features.blocks()]
        return np.concatenate(parts) if parts else head_logits(head, features[:0])
    x = features
    for part in head:
        if isinstance(part, UnitLength):
            x = unit_length(x)
            continue
        if part.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise SettingError(f"activation is {part.activation!r}; expected one of {known}")
        x = ACTIVATIONS[part.activation](x @ part.kernel + part.bias)
    return x.astype(np.float64)


def unit_length(vectors: np.ndarray) -> np.ndarray:
    """Divide each row by its length; a row of zeros stays so."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: np.ndarray = vectors / np.where(length > 0, length, 1)
    return unit


def apply_head(head: Head, features: np.ndarray | Rows) -> np.ndarray:
    """Compute probabilities (N, K) float64 of any head for (N, F) features."""
    return softmax(head_logits(head, features))

"""A head as plain numbers, before it is a part of any network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class DenseLayer:
    """Weights of one layer of a head: `activation(x @ kernel + bias)`."""

    kernel: np.ndarray  # (inputs, outputs) float32
    bias: np.ndarray  # (outputs,) float32
    activation: str = "linear"


@dataclass(frozen=True)
class UnitLength:
    """Each vector divided by its Euclidean length, so that only its direction counts."""


# From pooled features to logits; the last layer is a linear DenseLayer.
Head = Sequence[DenseLayer | UnitLength]

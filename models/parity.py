"""How closely the graphs that are served must follow Keras; `manifest.Parity` is what was found."""

import numpy as np

LOGITS_LIMIT = 1e-3  # largest difference between Keras' logits and ONNX' that is let through
RELATIVE_LIMIT = 1e-4  # of the largest number, where that is more: float32 holds seven digits


def parity_limit(expected: np.ndarray) -> float:
    """The largest difference from these logits or features that is let through."""
    size = float(np.abs(expected).max())
    return max(LOGITS_LIMIT, RELATIVE_LIMIT * size) if np.isfinite(size) else LOGITS_LIMIT

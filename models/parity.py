"""How closely the graphs that are served follow Keras."""

from dataclasses import asdict, dataclass
from typing import Any

LOGITS_LIMIT = 1e-3  # largest difference between Keras' logits and ONNX' that is let through


@dataclass(frozen=True)
class Parity:
    """The comparison on some real photos."""

    photos: int
    logits: float  # largest absolute difference
    maps: float  # likewise over every mapped layer
    onnx_ms: float  # what one core takes for one of these photos, compiled

    def as_json(self) -> dict[str, Any]:
        """Plain types, for the manifest."""
        return asdict(self)

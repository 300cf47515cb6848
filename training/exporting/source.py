"""What a format is written from: a bundle whose files have been verified."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.building.views import average_network
from models.bundle import Bundle
from models.errors import BundleError
from training.settings.printable import printable
from training.settings.quiet import load_keras


@dataclass(frozen=True)
class Source:
    """A bundle, and photos to measure ranges on where whole numbers are written."""

    bundle: Bundle
    calibration: np.ndarray | None  # (N, S, S, 3) uint8; None: float32 stays float32

    @property
    def labels(self) -> list[str]:
        """The class names, each on one line whatever it holds."""
        return [printable(name) for name in self.bundle.manifest.class_names]

    def network(self) -> Any:
        """Load the Keras network: (N, S, S, 3) raw RGB -> (N, K) logits. Raises BundleError.

        It answers as the bundle does: of two views where those are served.
        """
        content = self.bundle.read("model.keras")
        load_keras()
        import keras

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.keras"
            file.write_bytes(content)
            try:
                network = keras.saving.load_model(file, compile=False, safe_mode=True)
            except Exception as error:  # Keras raises whatever a layer raises
                reason = f"model.keras does not load: {printable(str(error))[:300]}"
                raise BundleError(self.bundle.path, reason) from error
        return average_network(network) if self.bundle.manifest.views == 2 else network

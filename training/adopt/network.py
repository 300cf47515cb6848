"""An adopted network: read from its file, with its layers in front, compiled and compared.

Everything is compared with the network as the file has it, before anything was taken off or
folded: the probabilities must be the same.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models.adopting.files.model_file import read_model_file
from models.adopting.rebuild import Rebuilt, rebuild
from models.building.ending import Ending, split_ending
from models.building.export import to_onnx
from models.building.flatten import graft
from models.building.front import put_in_front
from models.building.scalings import Front
from models.classifier import softmax
from models.errors import AdoptError, ParityError
from models.images import Framing
from models.parity import parity_limit
from models.runtime import Graph
from training.features.backbone import Compiled, compile_network
from training.heads.forward import head_logits

SAME = 1e-3  # largest difference of a probability, but for logits so large that float32 ends
AT_ONCE = 32  # photos in one run: bounds memory


@dataclass(frozen=True)
class Source:
    """A network as its file has it."""

    path: Path
    digest: str  # SHA-256 of the file
    saved_by: str  # version of Keras
    rebuilt: Rebuilt
    ending: Ending

    @property
    def shape(self) -> tuple[int, ...]:
        """The input: (H, W, C) or (H, W)."""
        return tuple(self.rebuilt.network.input_shape[1:])

    @property
    def channels(self) -> int:
        """Colours that the network reads: 1 or 3."""
        return self.shape[2] if len(self.shape) == 3 else 1

    @cached_property
    def features(self) -> Graph:
        """The network as a graph, from its own input to its features."""
        part = keras.Model(self.rebuilt.network.input, self.ending.features)
        return Graph(to_onnx(part, {"features": part.output}))

    def front(self, photos_size: int, front: Front, resize: str) -> Callable[[Any], Any]:
        """Return what turns square photos into this network's input."""
        image = keras.Input((photos_size, photos_size, 3), name="image")
        return keras.Model(image, put_in_front(image, self.shape, front, resize))

    def logits(self, photos: np.ndarray, front: Front, resize: str) -> np.ndarray:
        """Compute logits (N, K) for (N, S, S, 3) uint8 photos, without compiling anything."""
        prepare, found = self.front(photos.shape[1], front, resize), []
        for start in range(0, len(photos), AT_ONCE):
            pixels = np.asarray(prepare(photos[start : start + AT_ONCE].astype(np.float32)))
            (vectors,) = self.features.run(pixels, ["features"])
            found.append(head_logits(self.ending.head, vectors))
        return np.concatenate(found)

    def own_answers(self, photos: np.ndarray, front: Front, resize: str) -> np.ndarray:
        """Compute probabilities (N, K) as the network of the file gives them, in Keras."""
        prepare = self.front(photos.shape[1], front, resize)
        answers = np.asarray(
            self.rebuilt.network(prepare(photos.astype(np.float32)), training=False), np.float64
        ).reshape(len(photos), -1)
        if self.ending.kind == "sigmoid":
            return np.concatenate([1 - answers, answers], axis=1)
        if self.ending.kind == "logits":
            zeros = np.zeros((len(answers), 1 if self.ending.unit else 0))
            return softmax(np.concatenate([zeros, answers], axis=1))
        return answers


def read_source(path: Path, size: int | None) -> Source:
    """Read a model file; nothing in it is executed. Raises AdoptError."""
    file = read_model_file(path)
    rebuilt = rebuild(file, size)
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return Source(path, digest, file.version, rebuilt, split_ending(rebuilt.network))


def compile_source(source: Source, front: Front, framing: Framing, photos: np.ndarray) -> Compiled:
    """Put the layers in front, and write the network up to its features in both forms.

    Args:
        photos: (P, S, S, 3) uint8, to compare the forms on.

    Raises:
        ExportError: a layer cannot be written as ONNX.
    """
    image = keras.Input((framing.size, framing.size, 3), name="image")
    own = keras.Model(source.rebuilt.network.input, source.ending.features)
    features = graft(own, put_in_front(image, source.shape, front, framing.resize))
    network = keras.Model(image, features, name="backbone")
    return compile_network(network, f"{source.digest} {front}", photos)


def check_answers(
    source: Source, files: dict[str, bytes], front: Front, framing: Framing, photos: np.ndarray
) -> float:
    """Return the largest difference of a probability from the file's own network.

    Args:
        files: of the bundle, with a head that no temperature has changed.

    Raises:
        ParityError: it is too large for the size of the logits.
        AdoptError: the network answers all pictures alike.
    """
    expected = source.own_answers(photos, front, framing.resize)
    (logits,) = Graph(files["predict.onnx"]).run(photos, ["logits"])
    if np.array_equal(logits, np.broadcast_to(logits[0], logits.shape)):
        raise AdoptError(
            f"{source.path.name} answers noise, slopes and plain colours with the same numbers "
            f"({front}): its training failed, or its pixels are scaled otherwise"
        )
    limit = max(SAME, min(1.0, parity_limit(logits)))
    difference = float(np.abs(softmax(logits) - expected).max())
    if not difference <= limit:
        raise ParityError(difference, limit, "probabilities")
    return difference

"""The worst mistakes, each with what spoke for the wrong answer and what for the right one.

Both maps of a photo share one scale, so that the louder of the two looks louder. They are the
position saliency of models/saliency.py, on the square that the network saw; a network whose
head does not read a layer with a height and a width has none, and its mistakes are shown bare.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from models import mosaic, saliency
from models.building.attach import keep_outputs
from models.bundle import LayerEntry, pick_blocks
from models.images import Framing, Limits, decode_image, shrink_image
from models.runtime import Graph
from training.photos.find import Photo
from training.photos.pictures import still_readable

MISTAKES = 24  # shown in the report
MISTAKE_PX = 176  # longest side


@dataclass(frozen=True)
class Mistake:
    """A test photo that was taken for something else."""

    name: str
    truth: str
    predicted: str
    probability: float
    picture: bytes  # JPEG
    speaks_for_predicted: bytes | None = None  # JPEG: the saliency over the square that was seen
    speaks_for_truth: bytes | None = None


class Explainer:
    """The written network, asked which parts of a photo speak for a class."""

    def __init__(
        self,
        files: dict[str, bytes],
        layers: Sequence[LayerEntry],
        framing: Framing,
        threads: int = 1,
    ):
        """`files`: layers.onnx and head.onnx of the bundle; `layers`: those of its manifest."""
        self.framing, self.last = framing, ""
        blocks = pick_blocks(layers)
        if not blocks:
            return
        answers = ["features", blocks[-1].name]  # with fewer outputs less is computed
        self.graph = Graph(keep_outputs(files["layers.onnx"], answers), threads)
        self.head = Graph(files["head.onnx"])
        if saliency.is_pooled(self.graph, blocks[-1].name, framing.size):
            self.last = blocks[-1].name

    def draw(self, photo: np.ndarray, labels: Sequence[int]) -> list[bytes]:
        """The photo under the map of each class, as JPEG; nothing where there is no saliency.

        Args:
            photo: (S, S, 3) uint8 RGB, from `decode_image`.
        """
        if not self.last:
            return []
        maps = self.graph.run(photo[None], [self.last])[0][0].transpose(1, 2, 0)
        heats = [saliency.positions(self.head, maps, label) for label in labels]
        loudest = max(mosaic.peak(heat) for heat in heats)
        side = min(MISTAKE_PX, photo.shape[0])
        small = np.asarray(Image.fromarray(photo).resize((side, side)))
        return [_jpeg(mosaic.lay_over(small, heat, brightest=loudest)) for heat in heats]


def worst_mistakes(
    photos: Sequence[Photo],
    truth: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    limits: Limits,
    explainer: Explainer | None = None,
) -> list[Mistake]:
    """The photos that were taken for something else with the most confidence.

    Args:
        truth: (N,) int; probabilities: (N, K), of `photos`.
    """
    predicted = probabilities.argmax(axis=1)
    rows = np.flatnonzero(predicted != truth)
    rows = rows[np.argsort(-probabilities[rows].max(axis=1), kind="stable")]
    by_path = {photos[row].path: row for row in rows.tolist()}

    def read(data: bytes) -> tuple[bytes, np.ndarray | None]:
        square = decode_image(data, explainer.framing, limits) if explainer else None
        return shrink_image(data, MISTAKE_PX, limits), square

    found = []
    for path, (picture, square) in still_readable(by_path, MISTAKES, read):
        row = by_path[path]
        pair = (int(predicted[row]), int(truth[row]))
        names = (path.name, class_names[pair[1]], class_names[pair[0]])
        over = explainer.draw(square, pair) if explainer and square is not None else []
        found.append(Mistake(*names, float(probabilities[row].max()), picture, *over))
    return found


def _jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=82)
    return buffer.getvalue()

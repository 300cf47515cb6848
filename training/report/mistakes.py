"""Find the worst mistakes, each with the parts that speak for the wrong and the right class.

Both maps of a photo share one scale, so that the stronger of the two is brighter. They are the
position saliency of models/saliency.py, on the square that the network saw. A network whose head
does not read a layer with a height and a width has none; its mistakes are shown without.
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
from training.photos.pictures import still_readable
from training.report.gallery import ClassifiedPhotos
from training.settings.printable import printable

MISTAKES = 24  # shown in the report
MISTAKE_PX = 176  # longest side


@dataclass(frozen=True)
class Mistake:
    """A test photo that was taken for another class."""

    name: str
    truth: str
    predicted: str
    probability: float
    picture: bytes  # JPEG
    speaks_for_predicted: bytes | None = None  # JPEG: the saliency over what the network saw
    speaks_for_truth: bytes | None = None


class Explainer:
    """The exported network, which draws the parts of a photo that speak for a class."""

    def __init__(
        self,
        files: dict[str, bytes],
        layers: Sequence[LayerEntry],
        framing: Framing,
        threads: int = 1,
    ):
        """Load the graphs.

        Args:
            files: layers.onnx and head.onnx of the bundle; layers: those of its manifest.
        """
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
        """Draw the photo under the map of each class, as JPEG; none where there is no saliency.

        Args:
            photo: (S, S, 3) uint8 RGB, from `decode_image`.
        """
        if not self.last:
            return []
        maps = self.graph.run(photo[None], [self.last])[0][0].transpose(1, 2, 0)
        heats = [saliency.positions(self.head, maps, label) for label in labels]
        strongest = max(mosaic.peak(heat) for heat in heats)
        side = min(MISTAKE_PX, photo.shape[0])
        small = np.asarray(Image.fromarray(photo).resize((side, side)))
        return [_jpeg(mosaic.lay_over(small, heat, brightest=strongest)) for heat in heats]


def worst_mistakes(
    tested: ClassifiedPhotos, limits: Limits, explainer: Explainer | None = None
) -> list[Mistake]:
    """Return the mistakes with the highest confidence, as pictures."""
    predicted, sure = tested.probabilities.argmax(axis=1), tested.probabilities.max(axis=1)
    rows = np.flatnonzero(predicted != tested.truth)
    rows = rows[np.argsort(-sure[rows], kind="stable")]
    by_path = {tested.photos[row].path: row for row in rows.tolist()}

    def read(data: bytes) -> tuple[bytes, np.ndarray | None]:
        square = decode_image(data, explainer.framing, limits) if explainer else None
        return shrink_image(data, MISTAKE_PX, limits), square

    found = []
    for path, (picture, square) in still_readable(by_path, MISTAKES, limits, read):
        row = by_path[path]
        answer, truth = int(predicted[row]), int(tested.truth[row])
        over: list[bytes] = []
        if explainer and square is not None:
            over = explainer.draw(square, (answer, truth))
        for_answer, for_truth = over or (None, None)
        found.append(
            Mistake(
                name=printable(path.name),
                truth=tested.class_names[truth],
                predicted=tested.class_names[answer],
                probability=float(sure[row]),
                picture=picture,
                speaks_for_predicted=for_answer,
                speaks_for_truth=for_truth,
            )
        )
    return found


def _jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=82)
    return buffer.getvalue()

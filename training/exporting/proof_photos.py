"""The photos that an export is proven on: given ones, else the bundle's samples, else noise."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.bundles.manifest import spread
from models.classifier import Classifier
from models.errors import ImageError, PhotosError
from training.photos.find import find_files
from training.photos.listing import Skipped, unreadable
from training.places.reading import read_photo
from training.settings.config import limits_of

MOST = 100  # to prove an export on; as many others to calibrate it
NOISE = 16  # pictures drawn where there are no photos
UNLABELLED = -1


@dataclass(frozen=True)
class ProofPhotos:
    """Decoded photos, and where they came from."""

    origin: str  # in words, without a place on this machine
    pixels: np.ndarray  # (N, S, S, 3) uint8
    labels: np.ndarray  # (N,) int64, of the class that a photo's folder names, or UNLABELLED
    calibration: np.ndarray | None  # (M, S, S, 3) uint8, other ones where there are two
    skipped: list[Skipped]


def gather_photos(
    classifier: Classifier, source: Path | None, out: Path, calibrate: bool
) -> ProofPhotos:
    """Decode photos to prove an export on.

    Args:
        source: a folder of photos, labelled or not, or one photo; None: what the bundle keeps.
        out: the export, which holds no photos.
        calibrate: whether the ranges of layers are to be measured too, on every other photo.

    Raises:
        PhotosError: `source` holds no photo that can be read.
    """
    if source is None:
        return _kept(classifier)
    files, skipped = find_files(source, out)
    limits = limits_of(classifier.manifest.training)
    read: list[tuple[np.ndarray, str]] = []
    for place in spread(len(files), 2 * MOST if calibrate else MOST) if files else ():
        path = files[place]
        try:
            read.append((classifier.decode(read_photo(path, limits), limits), path.parent.name))
        except (ImageError, OSError) as error:
            skipped.append(unreadable(path, error))
    if not read:
        reason = f"; the first: {skipped[0].reason}" if skipped else ""
        raise PhotosError(f"{source} holds no photo that can be read{reason}")
    calibration = None
    if calibrate:
        calibration = np.stack([pixels for pixels, _ in read[1::2] or read])
        read = read[::2]
    return _together(classifier, f"photos of {source.name}", read, calibration, skipped)


def _kept(classifier: Classifier) -> ProofPhotos:
    """Decode the samples of the bundle, or draw noise where it has none."""
    samples = classifier.manifest.data.get("samples", [])
    if samples:
        read = [
            (classifier.decode(classifier.bundle.read(f"samples/{one['name']}")), one["label"])
            for one in samples
        ]
        return _together(classifier, "samples of the bundle", read, None, [])
    shape = (NOISE, classifier.framing.size, classifier.framing.size, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return _together(classifier, "pictures of noise", [(one, "") for one in noise], None, [])


def _together(
    classifier: Classifier,
    origin: str,
    read: Iterable[tuple[np.ndarray, str]],
    calibration: np.ndarray | None,
    skipped: list[Skipped],
) -> ProofPhotos:
    places = {name: index for index, name in enumerate(classifier.class_names)}
    pixels, labels = zip(*read, strict=True)
    known = np.array([places.get(label, UNLABELLED) for label in labels])
    return ProofPhotos(origin, np.stack(pixels), known, calibration, skipped)

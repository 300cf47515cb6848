"""Ask a classifier about one photo: what `evaluate` does for each, wherever it is done."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from models.classifier import Classifier, Reading
from models.errors import ImageError
from models.images import Limits
from training.photos.listing import Photo, Skipped, unreadable
from training.places.reading import read_photo
from training.scale.engine import Row, Work
from training.scale.photo_rows import key_of, read_skipped, skipped_row, was_unread


class Answer(NamedTuple):
    """What a classifier answered for one photo, or why it could not be asked."""

    digest: bytes = b""
    reading: Reading | None = None
    unusable: Skipped | None = None


@dataclass(frozen=True)
class Asker(Work[Photo, Answer]):
    """Asks a classifier about one photo."""

    classifier: Classifier
    limits: Limits

    def __call__(self, photo: Photo) -> Answer:
        """Answer one photo; one that cannot be read has a reason instead."""
        try:
            data = read_photo(photo.path, self.limits)
            pixels = self.classifier.decode(data, self.limits)
        except (ImageError, OSError) as error:
            return Answer(unusable=unreadable(photo.path, error))
        return Answer(hashlib.sha256(data).digest(), self.classifier.read(pixels))

    @property
    def identity(self) -> str:
        """Name the bundle by its content."""
        return f"{self.classifier.bundle.fingerprint} {self.classifier.precision.used}"

    def key(self, photo: Photo) -> bytes:
        """Return place, size and time of change."""
        return key_of(photo.path)

    def row(self, result: Answer) -> Row:
        """Write the digest and all probabilities."""
        read = result.reading
        return {
            "digest": result.digest,
            "probabilities": read.probabilities.tobytes() if read else None,
            "familiarity": read.familiarity if read else None,
            **skipped_row(result.unusable),
        }

    def result(self, photo: Photo, row: Row, fresh: bool) -> Answer:
        """Read the answer."""
        if unusable := read_skipped(photo.path, row):
            return Answer(unusable=unusable)
        probabilities = np.frombuffer(row["probabilities"], np.float32)
        return Answer(row["digest"], Reading(probabilities, row["familiarity"]))

    def unread(self, result: Answer) -> bool:
        """Return whether the system could not read the file."""
        return was_unread(result.unusable)

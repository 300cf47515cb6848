"""Photos that are tried or shown after training: read once more, shrunk, without metadata."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

from models.decoding.deep_pixels import SIXTEEN_BITS
from models.errors import ImageError, PhotosError
from models.images import Framing, Limits, decode_image, shrink_image
from training.photos.listing import Photo
from training.places.reading import read_photo

PARITY_PHOTOS = 8
SAMPLES = 8
SAMPLE_PX = 512  # longest side

T = TypeVar("T")


def still_readable(
    paths: Iterable[Path], most: int, limits: Limits, read: Callable[[bytes], T]
) -> list[tuple[Path, T]]:
    """What `read` makes of the first files; one that vanished since is passed over."""
    found: list[tuple[Path, T]] = []
    for path in paths:
        if len(found) < most:
            with suppress(ImageError, OSError):
                found.append((path, read(read_photo(path, limits))))
    return found


def for_parity(photos: Sequence[Photo], framing: Framing, limits: Limits) -> np.ndarray:
    """(N, S, S, 3) uint8: what the network sees of some photos, spread over the list.

    Raises:
        PhotosError: none can be read.
    """
    step = max(1, len(photos) // PARITY_PHOTOS)
    ordered = [photo for start in range(step) for photo in photos[start::step]]
    found = still_readable(
        (photo.path for photo in ordered),
        PARITY_PHOTOS,
        limits,
        lambda data: decode_image(data, framing, limits),
    )
    if not found:
        reason = _why_unreadable(photos[0].path, framing, limits)
        raise PhotosError(f"none of {len(photos)} photos can be read; the first: {reason}")
    return np.stack([pixels for _, pixels in found])


def _why_unreadable(path: Path, framing: Framing, limits: Limits) -> str:
    try:
        decode_image(read_photo(path, limits), framing, limits)
    except ImageError as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    return "it can be read by now"


def for_samples(
    photos: Sequence[Photo], framing: Framing, limits: Limits
) -> list[tuple[bytes, str]]:
    """One photo of each of some classes for the page: JPEG and label."""
    labels: dict[Path, str] = {}
    for photo in photos:
        if photo.label not in labels.values():
            labels[photo.path] = photo.label
    found = still_readable(
        sorted(labels, key=labels.__getitem__),
        SAMPLES,
        limits,
        lambda data: shrink_image(data, SAMPLE_PX, limits, framing.levels or SIXTEEN_BITS),
    )
    return [(picture, labels[path]) for path, picture in found]

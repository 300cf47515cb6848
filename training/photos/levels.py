"""Which numbers of deep photos are black and white, for a whole set of photos.

A camera of 12 bits writes files of 16, and measuring instruments write numbers without a fixed
range. Taken as they are, such photos are nearly black, with 16 levels left of 4,096.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from models.bundle import writing
from models.decoding.deep_pixels import Levels, join, may_be_deep
from models.errors import ImageError
from models.images import Limits, measure_levels
from training.photos.listing import Listing, Photo
from training.places.place import Place, read_range
from training.places.reading import read_photo
from training.settings.config import FitConfig
from training.settings.console import Stages

CHUNK = 4096  # photos in flight: a million would take a kilobyte each
_NEVER_DEEP = (".jpg", ".jpeg", ".webp", ".gif", ".bmp")


def settle_levels(listing: Listing, config: FitConfig, stages: Stages) -> FitConfig:
    """Give the config the levels that its photos use; most photos have eight bits and need none."""
    levels = _kept_levels(listing.photos, config)
    if levels is None:
        return config
    low, high = levels
    stages.say(
        f"pixels of more than 8 bits use {low:,.6g} to {high:,.6g}: these are taken for black "
        "and white, in training and by the saved model"
    )
    return replace(config, levels=levels)


def _kept_levels(photos: Sequence[Photo], config: FitConfig) -> Levels | None:
    """Find the levels; those of photos elsewhere are kept, or each run would ask for each of them.

    Raises:
        StorageError: they cannot be kept.
    """
    asked = [photo.path for photo in photos if isinstance(photo.path, Place) and _asks(photo.path)]
    if not asked:
        return find_levels(photos, config.limits, config.workers)
    key = hashlib.sha256(repr(config.limits).encode())
    for path in asked:
        key.update(os.fsencode(f"{path} {tuple(path.fact)}"))
    file = config.cache / f"levels-{key.hexdigest()[:24]}.json"
    with suppress(OSError, ValueError, TypeError):
        kept = json.loads(file.read_bytes())
        return None if kept is None else (float(kept[0]), float(kept[1]))
    found = find_levels(photos, config.limits, config.workers)
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found and [float(level) for level in found]), encoding="utf-8")
    return found


def _asks(path: Path) -> bool:
    """Whether a photo must be looked into; elsewhere, names are believed, to save requests."""
    return not isinstance(path, Place) or path.suffix.lower() not in _NEVER_DEEP


def find_levels(photos: Sequence[Photo], limits: Limits, workers: int) -> Levels | None:
    """The range that the deep ones among some photos use together.

    Returns:
        None: there are none, or they use more than half of their 16 bits.
    """

    def measured(photo: Photo) -> tuple[Levels, bool] | None:
        try:
            if not _asks(photo.path) or not may_be_deep(
                read_range(photo.path, 0, 32), limits.formats
            ):
                return None
            return measure_levels(read_photo(photo.path, limits), limits)
        except (ImageError, OSError):  # said when it is read for its features
            return None

    with ThreadPoolExecutor(workers) as pool:
        chunks = (photos[start : start + CHUNK] for start in range(0, len(photos), CHUNK))
        found = [each for chunk in chunks for each in pool.map(measured, chunk) if each]
    if not found:
        return None
    return join([levels for levels, _ in found], fixed=all(sixteen for _, sixteen in found))

"""Which numbers of deep photos are black and white, for a whole set of photos.

A camera of 12 bits writes files of 16, and measuring instruments write numbers without a fixed
range. Taken as they are, such photos are nearly black, with 16 levels left of 4,096.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from models.decoding.deep_pixels import Levels, join, may_be_deep
from models.errors import ImageError
from models.images import Limits, measure_levels
from training.photos.listing import Listing, Photo
from training.places.place import Place, read_range
from training.places.reading import read_photo
from training.settings.config import FitConfig
from training.settings.console import Stages

_NEVER_DEEP = (".jpg", ".jpeg", ".webp", ".gif", ".bmp")  # elsewhere, names save requests


def settle_levels(listing: Listing, config: FitConfig, stages: Stages) -> FitConfig:
    """Give the config the levels that its photos use; most photos have eight bits and need none."""
    levels = find_levels(listing.photos, config.limits, config.workers)
    if levels is None:
        return config
    low, high = levels
    stages.say(
        f"pixels of more than 8 bits use {low:,.6g} to {high:,.6g}: these are taken for black "
        "and white, in training and by the saved model"
    )
    return replace(config, levels=levels)


def find_levels(photos: Sequence[Photo], limits: Limits, workers: int) -> Levels | None:
    """The range that the deep ones among some photos use together.

    Returns:
        None: there are none, or they use more than half of their 16 bits.
    """

    def measured(photo: Photo) -> tuple[Levels, bool] | None:
        try:
            if isinstance(photo.path, Place) and photo.path.suffix.lower() in _NEVER_DEEP:
                return None
            if not may_be_deep(read_range(photo.path, 0, 32), limits.formats):
                return None
            return measure_levels(read_photo(photo.path, limits), limits)
        except (ImageError, OSError):  # said when it is read for its features
            return None

    with ThreadPoolExecutor(workers) as pool:
        found = [each for each in pool.map(measured, photos) if each]
    if not found:
        return None
    return join([levels for levels, _ in found], fixed=all(sixteen for _, sixteen in found))

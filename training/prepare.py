"""From a folder to a data set: listing -> features -> copies -> sides -> checkup.

What can be refused is refused before the long work; what is left out is named.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from models.errors import PhotosError
from models.runtime import Graph
from training.doctor.examine import examine
from training.doctor.exclusions import leave_out
from training.doctor.near_copies import near_copies_of
from training.doctor.suspects import suspects_of
from training.features.backbone import Compiled
from training.features.cache import FeatureCache
from training.features.compute import Features, compute_features
from training.features.summaries import LayerSummaries
from training.insight.write import choose_layers
from training.photos.find import Listing, find_photos
from training.photos.sides import read_sides, split_settings
from training.photos.split import class_indices, split_photos
from training.photos.units import number_units
from training.results import Dataset
from training.settings.config import FitConfig
from training.settings.console import Stages

REMEMBERED = 1500  # training photos that go through a fine-tuned network, to know others by


def list_photos(source: Path, config: FitConfig, stages: Stages) -> Listing:
    """List the labelled photos of `source`, without those that are to be left out.

    Raises:
        PhotosError: no photos there, fewer than two classes, or an unusable list.
    """
    listing = find_photos(source)
    if config.exclude:
        listing = leave_out(listing, source, config.exclude)
    trained = sorted({p.label for p in listing.photos if p.side in (None, "train")})
    if len(trained) < 2:
        only = ", ".join(trained) or "none"
        raise PhotosError(f"found one class or fewer ({only}): two are needed to tell apart")
    stages.say(f"{len(listing.photos):,} files in {source}")
    return listing


def open_cache(compiled: Compiled, config: FitConfig, folder: Path | None = None) -> FeatureCache:
    """Open the cache of a backbone's features, in the config's folder or another.

    Raises:
        StorageError: it cannot be read or written.
    """
    place = config.cache if folder is None else folder
    return FeatureCache(place, config.row.name, compiled.identity, config.framing, config.limits)


@contextmanager
def temporary_cache(compiled: Compiled, config: FitConfig) -> Iterator[FeatureCache]:
    """Open a cache for a network whose weights no other run will have."""
    with (
        TemporaryDirectory(prefix="tuned-", dir=config.cache) as folder,
        closing(open_cache(compiled, config, Path(folder))) as cache,
    ):
        yield cache


def prepare(
    listing: Listing,
    out: Path,
    compiled: Compiled,
    cache: FeatureCache,
    config: FitConfig,
    stages: Stages,
) -> Dataset:
    """Compute features of all photos, find copies, deal out sides, and examine what is there.

    Args:
        out: the bundle that will be replaced; photos keep the sides it recorded.

    Raises:
        PhotosError: none can be read, or they cannot be divided.
    """
    features = features_of(listing, compiled, cache, config, stages)
    with stages.stage("look for copies and deal out sides"):
        near = near_copies_of(features, cache)
        pairs = [(pair.one, pair.other) for pair in near]
        known = read_sides(out, split_settings(config))
        split = split_photos(
            features.photos,
            features.digests,
            config.seed,
            config.validation_share,
            config.test_share,
            near=pairs,
            known=known,
        )
    for note in split.notes:
        stages.say(note)
    skipped = listing.skipped + features.skipped + split.skipped
    for item in skipped:
        stages.say(f"skipped {item.path}: {item.reason}")
    checkup = None
    if config.check:
        with stages.stage("examine photos and labels"):
            suspects = suspects_of(features, near, cache)
            size = config.framing.size
            checkup = examine(listing, features, cache.appearances(), near, size, suspects)
    class_names, labels = class_indices(split, features.photos)
    return Dataset(
        features=features,
        split=split,
        known=known,
        class_names=class_names,
        labels=labels,
        units=number_units(features.photos, features.digests, pairs),
        skipped=skipped,
        checkup=checkup,
        remembered=split.train,
    )


def prepare_again(
    data: Dataset, compiled: Compiled, cache: FeatureCache, config: FitConfig, stages: Stages
) -> Dataset:
    """Replace the features of a data set by those of a fine-tuned network.

    Without insight, only as many training photos as are remembered go through it again.

    Raises:
        PhotosError: a photo can no longer be read.
    """
    split, photos = data.split, data.features.photos
    step = 1 if config.insight else max(1, len(split.train) // REMEMBERED)
    remembered = split.train[::step]
    rows = sorted([*remembered, *split.validation, *split.test])
    again = features_of(Listing([photos[row] for row in rows]), compiled, cache, config, stages)
    vector_of = dict(zip(again.digests, again.vectors, strict=True))
    gone = [photos[row].path for row in rows if data.features.digests[row] not in vector_of]
    if gone:
        raise PhotosError(f"{gone[0]} can no longer be read: was it moved? Run it again")
    vectors = np.zeros((len(photos), again.vectors.shape[1]), np.float32)
    for row in rows:
        vectors[row] = vector_of[data.features.digests[row]]
    features = replace(data.features, vectors=vectors)
    return replace(data, features=features, remembered=remembered)


def features_of(
    listing: Listing, compiled: Compiled, cache: FeatureCache, config: FitConfig, stages: Stages
) -> Features:
    """Compute features for every readable photo. Raises PhotosError if there is none."""
    if cache.renewed:
        stages.say(f"the cache {cache.path.name} could not be read and was made anew")
    watched = choose_layers(compiled.layers, config.layers) if config.insight else []
    graph = Graph(compiled.graph_with(["features", *(layer.name for layer in watched)]))
    with stages.counted("compute features", len(listing.photos), "photos") as advance:
        summaries = LayerSummaries(watched) if watched else None
        features = compute_features(
            listing.photos, graph, cache, config.workers, advance, summaries
        )
    if not features.photos:
        reason = features.skipped[0].reason
        raise PhotosError(f"none of {len(listing.photos)} photos can be read; the first: {reason}")
    return features

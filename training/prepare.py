"""From a folder to a data set: listing -> features -> copies -> sides -> checkup.

What can be refused is refused before the long work; what is left out is named.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from models.errors import PhotosError, SettingError
from training.doctor.examine import examine
from training.doctor.exclusions import leave_out
from training.doctor.near_copies import near_copies_of
from training.doctor.neighbours import require_index
from training.doctor.suspects import suspects_of
from training.evaluation.layer_distances import Pooled
from training.features.backbone import Compiled
from training.features.cache import FeatureCache
from training.features.compute import Features, compute_features
from training.features.rows import refuse_beyond_memory, rows_in_memory
from training.features.summaries import LayerSummaries
from training.insight.write import choose_layers
from training.photos.find import find_photos, refuse_among_photos
from training.photos.listing import LEFT_OUT, Listing, say_left_out, say_notes
from training.results import Dataset
from training.scale.choose import choose_workers, open_network
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.sides.remembered import read_sides, shares_of, split_settings
from training.sides.split import class_indices, refuse_untrained, split_photos
from training.sides.units import number_units

REMEMBERED = 1500  # training photos that go through a fine-tuned network, to know others by


def list_photos(source: Path, out: Path, config: FitConfig, stages: Stages) -> Listing:
    """List the labelled photos of `source`, without those that are to be left out.

    Raises:
        PhotosError: no photos there, fewer than two classes, or an unusable list.
        StorageError: the bundle `out` or the cache would lie among the photos.
    """
    refuse_among_photos(out, source, "--out")
    refuse_among_photos(config.cache, source, "the cache")
    if config.tensorboard:
        refuse_among_photos(config.tensorboard, source, "--tensorboard")
    if config.mlflow and "://" not in config.mlflow:
        refuse_among_photos(Path(config.mlflow), source, "--mlflow")
    listing = find_photos(source, config.merge_names)
    if config.exclude:
        listing = leave_out(listing, source, config.exclude)
    say_notes(stages, listing)
    trained = sorted({p.label for p in listing.photos if p.side in (None, "train")})
    if len(trained) < 2:
        only = ", ".join(trained) or "none"
        empty = [s.path.name for s in listing.skipped if s.kind in ("empty-class", "no-photos")]
        hint = f"; without photos: {', '.join(empty[:5])}" if empty else ""
        around = next(
            (p.path.parent for p in listing.photos if p.path.parent.name != p.label), None
        )
        if not trained and listing.photos:
            hint += "; all photos stand on sides that test: training needs train/"
        if around and around.parent.name == only:
            hint += f"; if the folders in {around.parent} are the classes, give that folder"
        raise PhotosError(f"found one class or fewer ({only}): two are needed to tell apart{hint}")
    for side in ("test", "validation"):
        tested = {photo.label for photo in listing.photos if photo.side == side}
        refuse_untrained(side, tested, set(trained))
    stages.say(f"{len(listing.photos):,} files in {source}")
    return listing


def open_cache(compiled: Compiled, config: FitConfig, folder: Path | None = None) -> FeatureCache:
    """Open the cache of a backbone's features, in the config's folder or another.

    Raises:
        StorageError: it cannot be read or written.
    """
    place = config.cache if folder is None else folder
    identity = compiled.identity + (f" {compiled.views} views" if compiled.views > 1 else "")
    return FeatureCache(place, config.row.name, identity, config.framing, config.limits)


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
        PhotosError: none can be read, or they cannot be divided, or they need an index that is
            not installed. SettingError: they are too many to fine-tune on.
    """
    refuse_too_many(len(listing.photos), compiled.features.shape[1], config)
    features = features_of(listing, compiled, cache, config, stages)
    skipped = listing.skipped + features.skipped
    reasons = {item.path: item.reason for item in features.skipped}
    readable = {photo.label for photo in features.photos}
    with stages.stage("look for copies and deal out sides"):
        near = near_copies_of(features, cache)
        pairs = [(pair.one, pair.other) for pair in near]
        known = read_sides(out, split_settings(config))
        try:
            split = split_photos(
                features.photos,
                features.digests,
                shares_of(config),
                near=pairs,
                known=known,
                lost={p.label: reasons[p.path] for p in listing.photos if p.label not in readable},
            )
        except PhotosError:
            say_left_out(stages, skipped, listing.source)
            raise
    for note in split.notes:
        stages.say(note)
    skipped += split.skipped
    say_left_out(stages, skipped, listing.source, out / LEFT_OUT)
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


def refuse_too_many(count: int, width: int, config: FitConfig) -> None:
    """Refuse, before the long work, more photos than can be finished.

    Args:
        width: numbers that the backbone answers for each.

    Raises:
        PhotosError: they need more memory, or an index that is not installed. SettingError:
            they are too many to fine-tune on.
    """
    refuse_beyond_memory(count)
    require_index(count)
    most = rows_in_memory(width)
    if config.fine_tune != "no" and count > most:
        raise SettingError(
            f"--fine-tune {config.fine_tune} takes up to {most:,} photos here, whose features are "
            f"a sixteenth of the memory; there are {count:,}: leave it out, or train on fewer"
        )


def prepare_again(
    data: Dataset,
    compiled: Compiled,
    cache: FeatureCache,
    config: FitConfig,
    stages: Stages,
    everything: bool = False,
) -> Dataset:
    """Replace the features of a data set by those of a fine-tuned network, or another framing.

    Without insight, only as many training photos as are remembered go through it again, unless
    `everything` is asked for: a head will be trained on it.

    Raises:
        PhotosError: a photo can no longer be read.
    """
    split, photos = data.split, data.features.photos
    all_of_them = everything or config.insight
    step = 1 if all_of_them else max(1, len(split.train) // REMEMBERED)
    remembered = split.train[::step]
    rows = sorted([*remembered, *split.validation, *split.test])
    again = features_of(Listing([photos[row] for row in rows]), compiled, cache, config, stages)
    vector_of = dict(zip(again.digests, again.vectors[:], strict=True))
    gone = [photos[row].path for row in rows if data.features.digests[row] not in vector_of]
    if gone:
        raise PhotosError(f"{gone[0]} can no longer be read: was it moved? Run it again")
    vectors = np.zeros((len(photos), again.vectors.shape[1]), np.float32)
    for row in rows:
        vectors[row] = vector_of[data.features.digests[row]]
    width = compiled.features.shape[1]
    features, pooled = replace(data.features, vectors=vectors[:, -width:]), None
    if compiled.compared:
        channels = {layer.name: layer.channels for layer in compiled.layers}
        widths = [*(channels[name] for name in compiled.compared), width]
        pooled = Pooled([*compiled.compared, "features"], widths, vectors)
    return replace(data, features=features, remembered=remembered, pooled=pooled)


def features_of(
    listing: Listing, compiled: Compiled, cache: FeatureCache, config: FitConfig, stages: Stages
) -> Features:
    """Compute features for every readable photo.

    Raises:
        PhotosError: there is none. SettingError: the device cannot be used.
    """
    if cache.renewed:
        stages.say(f"the cache {cache.path.name} could not be read and was made anew")
    watched = choose_layers(compiled.layers, config.layers) if config.insight else []
    asked = compiled.graph_with([compiled.vector, *(layer.name for layer in watched)])
    graph, workers = open_network(asked, compiled.vector, config, stages), choose_workers(config)
    with stages.counted("compute features", len(listing.photos), "photos") as advance:
        summaries = LayerSummaries(watched) if watched else None
        features = compute_features(
            listing.photos, graph, cache, workers, advance, summaries, compiled.vector
        )
    if not features.photos:
        reason = features.skipped[0].reason
        raise PhotosError(f"none of {len(listing.photos)} photos can be read; the first: {reason}")
    return features

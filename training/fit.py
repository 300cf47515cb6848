"""The whole run: photos -> features -> split -> head -> network -> bundle.

Each stage is timed and shown. Everything that can be refused is refused before the long
stage begins, and the bundle appears only when it is whole.
"""

import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import Manifest, check_target
from models.errors import PhotosError
from models.runtime import Graph
from training.belief import Belief, believe
from training.cache import FeatureCache
from training.compiled import Compiled, build, compile_backbone, compile_network
from training.config import FitConfig
from training.console import Stages
from training.doctor import Checkup, examine
from training.evaluate import measure
from training.exclusions import leave_out
from training.features import Features, compute_features
from training.forward import apply_head
from training.heads import FittedHead
from training.held_out import Sides
from training.insight import choose_layers
from training.near_copies import near_copies_of
from training.photos import Listing, Skipped, find_photos
from training.searched import Searched
from training.sides import read_sides, split_settings
from training.split import Split, class_indices, split_photos
from training.summaries import Record
from training.suspects import suspects_of
from training.tracking import Tracker, tracking
from training.train_head import train_head
from training.write import write_bundle

REMEMBERED = 1500  # training photos that go through a fine-tuned network, to know others by


@dataclass(frozen=True)
class Dataset:
    """Photos, what the frozen backbone says of them, and where each stands."""

    features: Features
    split: Split
    known: dict[bytes, str]  # sides that an earlier bundle recorded
    class_names: list[str]
    labels: np.ndarray  # (N,) class index of each photo
    skipped: list[Skipped]
    checkup: Checkup | None  # what the data doctor found

    def side(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(n, F) float32 features and (n,) int labels of train, validation or test."""
        return self.some(getattr(self.split, name))

    def some(self, rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """The same of some photos."""
        return self.features.vectors[rows], self.labels[rows]


@dataclass(frozen=True)
class Trained:
    """All that the bundle and the report are written from."""

    compiled: Compiled
    data: Dataset
    head: FittedHead
    belief: Belief
    probabilities: np.ndarray  # (T, K) of the test photos
    metrics: dict[str, Any]
    tuned: dict[str, Any] | None = None  # how the upper blocks were trained
    searched: Searched | None = None  # how the head was found


def fit(source: Path, out: Path, config: FitConfig, stages: Stages) -> Manifest:
    """Train on the photos of `source` and write the bundle `out`.

    Raises:
        LayerscopeError: a setting, the photos, the weights or a place is unusable; nothing
            is left at `out` that was not there.
    """
    began = time.monotonic()
    check_target(out)
    listing = find_photos(source)
    if config.exclude:
        listing = leave_out(listing, source, config.exclude)
    check_listing(listing)
    stages.say(f"{len(listing.photos):,} files in {source}")
    with tracking(out.name, config.tensorboard, config.mlflow, stages.say) as tracker:
        tracker.settings(config.as_json())
        compiled = compile_backbone(listing, config, stages)
        with closing(open_cache(compiled, config)) as cache:
            data = gather(listing, out, compiled, cache, config, stages)
            sides = Sides(*data.side("train"), *data.side("validation"), config.seed)
            head = train_head(sides, len(data.class_names), config, stages, tracker)
            if config.fine_tune == "no":
                trained = judge(compiled, data, data.split.train, head, config, stages)
                manifest = write_bundle(source, out, config, stages, trained, cache)
        if config.fine_tune != "no":
            run = Run(source, out, config, stages, tracker, began)
            manifest = _fit_blocks(run, compiled, data, head)
        test = manifest.metrics["test"]
        tracker.result({name: v for name, v in test.items() if isinstance(v, float)})
    return manifest


def open_cache(compiled: Compiled, config: FitConfig) -> FeatureCache:
    """The features of this backbone. Raises StorageError."""
    return FeatureCache(
        config.cache, config.row.name, compiled.identity, config.framing, config.limits
    )


def check_listing(listing: Listing) -> None:
    """Refuse what no amount of reading can mend. Raises PhotosError."""
    trained = sorted({p.label for p in listing.photos if p.side in (None, "train")})
    if len(trained) < 2:
        only = ", ".join(trained) or "none"
        raise PhotosError(f"found one class or fewer ({only}): two are needed to tell apart")


def features_of(
    listing: Listing, compiled: Compiled, cache: FeatureCache, config: FitConfig, stages: Stages
) -> Features:
    """Of every photo that can be read. Raises PhotosError if none can."""
    if cache.renewed:
        stages.say(f"the cache {cache.path.name} could not be read and was made anew")
    watched = choose_layers(compiled.layers, config.layers) if config.insight else []
    graph = Graph(compiled.answering(["features", *(layer.name for layer in watched)]))
    with stages.counted("compute features", len(listing.photos), "photos") as advance:
        features = compute_features(
            *(listing.photos, graph, config.framing, config.limits),
            *(cache, config.workers, advance, Record(watched) if watched else None),
        )
    if not features.photos:
        reason = features.skipped[0].reason
        raise PhotosError(f"none of {len(listing.photos)} photos can be read; the first: {reason}")
    return features


def gather(
    listing: Listing,
    out: Path,
    compiled: Compiled,
    cache: FeatureCache,
    config: FitConfig,
    stages: Stages,
) -> Dataset:
    """Features of all photos, copies found, sides dealt out; what is left out is named."""
    features = features_of(listing, compiled, cache, config, stages)
    with stages.stage("look for copies and deal out sides"):
        near = near_copies_of(features, cache)
        known = read_sides(out, split_settings(config))
        split = split_photos(
            *(features.photos, features.digests, config.seed),
            *(config.validation_share, config.test_share),
            near=[(pair.one, pair.other) for pair in near],
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
            checkup = examine(
                *(listing, features, cache.looks(), near, config.framing.size), suspects
            )
    class_names, labels = class_indices(split, features.photos)
    return Dataset(features, split, known, class_names, labels, skipped, checkup)


def judge(
    compiled: Compiled,
    data: Dataset,
    remembered: list[int],
    head: FittedHead,
    config: FitConfig,
    stages: Stages,
) -> Trained:
    """Calibrate, then measure on the test photos.

    Args:
        remembered: training photos that new ones are compared with.
    """
    with stages.stage("calibrate and measure"):
        test, labels = data.side("test")
        validation = data.side("validation")
        belief = believe(head, *data.some(remembered), *validation, config.seed, config.coverage)
        belief = belief.measured(test, labels)
        probabilities = apply_head(belief.layers, test)
        metrics = measure(probabilities, labels, data.class_names)
    return Trained(compiled, data, head, belief, probabilities, metrics)


@dataclass(frozen=True)
class Run:
    """What a run was asked for."""

    source: Path
    out: Path
    config: FitConfig
    stages: Stages
    tracker: Tracker
    began: float  # time.monotonic()


def _fit_blocks(run: Run, compiled: Compiled, data: Dataset, head: FittedHead) -> Manifest:
    """The rest of a run whose upper blocks are trained too; with `auto`, if validation gains."""
    source, out, config, stages = run.source, run.out, run.config, run.stages
    with stages.stage("load Keras"):
        from training.fine_tune import Start, fine_tune

        backbone = build(config)
    start = Start(
        *(backbone, compiled.layers, compiled.identity, data.features, data.split),
        *(data.labels, head.layers, run.began),
    )
    tuned = fine_tune(start, config, stages, run.tracker)
    if config.fine_tune == "auto" and tuned.curves.best < 0:
        stages.say("fine-tuning did not pay on validation photos: the frozen backbone is kept")
        with closing(open_cache(compiled, config)) as cache:
            trained = judge(compiled, data, data.split.train, head, config, stages)
            trained = replace(trained, tuned=tuned.as_json() | {"kept": False})
            manifest = write_bundle(source, out, config, stages, trained, cache)
        tuned.discard()
        return manifest
    with stages.stage("compile the trained network"):
        fresh = build(config)  # training has called the layers of the other a second time
        fresh.set_weights(backbone.get_weights())
        compiled = compile_network(fresh, tuned.identity, compiled.photos)
    settings = {"kind": "fine-tuned", "name": "fine-tuned", "from": head.settings}
    head = FittedHead(tuned.head, settings)
    with (
        tempfile.TemporaryDirectory(prefix="tuned-", dir=config.cache) as folder,
        closing(open_cache(compiled, replace(config, cache=Path(folder)))) as cache,
    ):
        data, remembered = _ask_again(data, compiled, cache, config, stages)
        trained = judge(compiled, data, remembered, head, config, stages)
        trained = replace(trained, tuned=tuned.as_json() | {"kept": True})
        manifest = write_bundle(source, out, config, stages, trained, cache)
    tuned.discard()
    return manifest


def _ask_again(
    data: Dataset, compiled: Compiled, cache: FeatureCache, config: FitConfig, stages: Stages
) -> tuple[Dataset, list[int]]:
    """The trained network's features, from the photos themselves; and which are remembered.

    Without insight, only as many training photos as are remembered go through it again.
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
    return replace(data, features=replace(data.features, vectors=vectors)), remembered

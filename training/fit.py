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
from training import pictures
from training.cache import FeatureCache
from training.checkpoint import Checkpoint
from training.compiled import Compiled, CompiledStore, compile_network
from training.config import FitConfig
from training.console import Stages
from training.evaluate import measure
from training.features import Features, compute_features
from training.heads import STRENGTHS, FittedHead, apply_head, fit_logistic
from training.insight import choose_layers
from training.photos import Listing, Skipped, find_photos
from training.report import Searched
from training.split import Split, class_indices, split_photos
from training.summaries import Record
from training.write import write_bundle


@dataclass(frozen=True)
class Prepared:
    """Labelled features on their sides: all that a head is trained on."""

    compiled: Compiled
    features: Features
    split: Split
    class_names: list[str]
    labels: np.ndarray  # (N,) class index of each photo
    skipped: list[Skipped]

    def side(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(M, F) float32 features and (M,) int labels of train, validation or test."""
        rows = getattr(self.split, name)
        return self.features.vectors[rows], self.labels[rows]


@dataclass(frozen=True)
class Trained:
    """All that the bundle and the report are written from."""

    compiled: Compiled
    features: Features
    split: Split
    class_names: list[str]
    labels: np.ndarray  # (N,) class index of each photo
    head: FittedHead
    metrics: dict[str, Any]
    probabilities: np.ndarray  # (T, K) of the test photos
    skipped: list[Skipped]
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
    check_listing(listing)
    stages.say(f"{len(listing.photos):,} files in {source}")
    compiled = compile_backbone(listing, config, stages)
    with closing(open_cache(compiled, config)) as cache:
        trained = train_head(listing, compiled, cache, config, stages)
        if config.fine_tune == "no":
            return write_bundle(source, out, config, stages, trained, cache)
    trained, checkpoint = tune(trained, config, stages, began)
    with (
        tempfile.TemporaryDirectory(prefix="tuned-", dir=config.cache) as folder,
        closing(open_cache(trained.compiled, replace(config, cache=Path(folder)))) as cache,
    ):
        trained = measure_again(trained, cache, config, stages)
        manifest = write_bundle(source, out, config, stages, trained, cache)
    checkpoint.discard()
    return manifest


def compile_backbone(listing: Listing, config: FitConfig, stages: Stages) -> Compiled:
    """The backbone, from the cache or from Keras."""
    store = CompiledStore(config)
    if kept := store.load():
        return kept
    if store.path.exists():
        stages.say(f"the cache {store.path.name} was not whole and is made anew")
    with stages.stage("build and compile the backbone"):
        compiled = compile_network(
            build(config),
            store.identity,
            pictures.for_parity(listing.photos, config.framing, config.limits),
        )
    store.save(compiled)
    return compiled


def build(config: FitConfig) -> Any:
    """The backbone in Keras."""
    from models import network  # TensorFlow takes seconds

    return network.build_backbone(
        config.row, config.framing.size, config.weights_source, config.seed
    )


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


def train_head(
    listing: Listing, compiled: Compiled, cache: FeatureCache, config: FitConfig, stages: Stages
) -> Trained:
    """Features, split, head and test numbers."""
    prepared = prepare(listing, compiled, cache, config, stages)
    with stages.counted("train the head", len(STRENGTHS), "heads") as advance:
        head = fit_logistic(
            *prepared.side("train"),
            *prepared.side("validation"),
            classes=len(prepared.class_names),
            progress=advance,
        )
    return with_head(prepared, head)


def prepare(
    listing: Listing, compiled: Compiled, cache: FeatureCache, config: FitConfig, stages: Stages
) -> Prepared:
    """Features and split; says which photos were skipped."""
    features = features_of(listing, compiled, cache, config, stages)
    split = split_photos(
        features.photos, features.digests, config.seed, config.validation_share, config.test_share
    )
    skipped = listing.skipped + features.skipped + split.skipped
    for item in skipped:
        stages.say(f"skipped {item.path}: {item.reason}")
    class_names, labels = class_indices(split, features.photos)
    return Prepared(compiled, features, split, class_names, labels, skipped)


def with_head(prepared: Prepared, head: FittedHead) -> Trained:
    """The same with a head, measured once on the test photos."""
    features, labels = prepared.side("test")
    probabilities = apply_head(head.layers, features)
    metrics = measure(probabilities, labels, prepared.class_names)
    return Trained(**vars(prepared), head=head, metrics=metrics, probabilities=probabilities)


def tune(
    trained: Trained, config: FitConfig, stages: Stages, began: float
) -> tuple[Trained, Checkpoint]:
    """The same with the upper blocks trained too; with `auto`, only where validation gains."""
    with stages.stage("load Keras"):
        from training.fine_tune import Start, fine_tune

        backbone = build(config)
    start = Start(
        backbone,
        trained.compiled.layers,
        trained.compiled.identity,
        trained.features,
        trained.split,
        trained.labels,
        trained.head.layers,
        began,
    )
    tuned = fine_tune(start, config, stages)
    if config.fine_tune == "auto" and tuned.curves.best < 0:
        stages.say("fine-tuning did not pay on validation photos: the frozen backbone is kept")
        return replace(trained, tuned=tuned.as_json()), tuned.checkpoint
    with stages.stage("compile the trained network"):
        fresh = build(config)  # training has called the layers of the other a second time
        fresh.set_weights(backbone.get_weights())
        compiled = compile_network(fresh, tuned.identity, trained.compiled.photos)
    head = replace(trained.head, layers=tuned.head)
    done = replace(trained, compiled=compiled, head=head, tuned=tuned.as_json())
    return done, tuned.checkpoint


def measure_again(
    trained: Trained, cache: FeatureCache, config: FitConfig, stages: Stages
) -> Trained:
    """Features and test numbers of the trained network, from the photos themselves."""
    listing = Listing(trained.features.photos)
    features = features_of(listing, trained.compiled, cache, config, stages)
    probabilities = apply_head(trained.head.layers, features.vectors[trained.split.test])
    metrics = measure(probabilities, trained.labels[trained.split.test], trained.class_names)
    return replace(trained, features=features, probabilities=probabilities, metrics=metrics)

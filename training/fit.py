"""The whole run: photos -> features -> split -> head -> network -> bundle.

Each stage is timed and shown. Everything that can be refused is refused before the long
stage begins, and the bundle appears only when it is whole.
"""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import ImageEntry, LayerEntry, Manifest, check_target, new_bundle, seal
from models.cores import usable_cores
from models.errors import PhotosError
from models.runtime import Graph
from training import pictures
from training.cache import FeatureCache
from training.config import FitConfig
from training.console import Stages
from training.contents import write_contents
from training.evaluate import measure
from training.features import Features, compute_features
from training.heads import STRENGTHS, FittedHead, apply_head, fit_logistic
from training.insight import Material, choose_layers, write_insight
from training.photos import Listing, Skipped, find_photos
from training.provenance import library_versions, peak_memory_mib
from training.report import Cost, Mistake, write_report
from training.split import Split, class_indices, fingerprint, split_photos
from training.summaries import Record

EPOCHS_END_TO_END = 10  # of the run that `fit` is compared with in the report
STEP_PER_PASS = 18  # core seconds of Keras' training step to those of a compiled forward pass


@dataclass
class Trained:
    """All that the bundle and the report are written from."""

    features: Features
    split: Split
    class_names: list[str]
    labels: np.ndarray  # (N,) class index of each photo
    head: FittedHead
    metrics: dict[str, Any]
    probabilities: np.ndarray  # (T, K) of the test photos
    skipped: list[Skipped]


@dataclass
class Built:
    """The backbone, and what it was compiled into."""

    backbone: Any  # Keras
    identity: str  # of its weights
    layers: list[LayerEntry]
    watched: list[LayerEntry]  # those that are looked into
    graph: Graph  # photos -> features and the watched layers


def fit(source: Path, out: Path, config: FitConfig, stages: Stages) -> Manifest:
    """Train on the photos of `source` and write the bundle `out`.

    Raises:
        LayerscopeError: a setting, the photos, the weights or a place is unusable; nothing
            is left at `out` that was not there.
    """
    check_target(out)
    listing = find_photos(source)
    check_listing(listing)
    stages.say(f"{len(listing.photos):,} files in {source}")
    with stages.stage("build the backbone"):
        built = _build(config)
    cache = FeatureCache(
        config.cache, config.row.name, built.identity, config.framing, config.limits
    )
    with closing(cache):
        trained = train_head(listing, built, cache, config, stages)
        return _write(source, out, config, stages, built, trained, cache)


def _build(config: FitConfig) -> Built:
    """The backbone in Keras and compiled."""
    from models import export, graph, network  # TensorFlow takes seconds: refuse first

    backbone = network.build_backbone(
        config.row, config.framing.size, config.weights_source, config.seed
    )
    layers = [LayerEntry(**layer.as_json()) for layer in graph.mapped_layers(backbone)]
    watched = choose_layers(layers, config.layers) if config.insight else []
    maps = {layer.name: backbone.get_layer(layer.name).output for layer in watched}
    return Built(
        backbone,
        network.weights_identity(config.row, config.weights_source, config.seed),
        layers,
        watched,
        Graph(export.to_onnx(backbone, {"features": backbone.output} | maps)),
    )


def _write(
    source: Path,
    out: Path,
    config: FitConfig,
    stages: Stages,
    built: Built,
    trained: Trained,
    cache: FeatureCache,
) -> Manifest:
    """The trained network, compiled and compared, with all that belongs to it."""
    from models import export, network

    photos, split = trained.features.photos, trained.split
    validation = [photos[index] for index in split.validation]
    with stages.stage("write and check the network"):
        classifier = network.add_head(built.backbone, trained.head.layers)
        graphs = export.export_network(classifier)
        parity = export.measure_parity(
            classifier, graphs, pictures.for_parity(validation, config.framing, config.limits)
        )
    with new_bundle(out) as folder:
        samples = write_contents(
            folder, classifier, graphs, pictures.for_samples(validation, config.limits)
        )
        insight = None
        if built.watched:
            material = Material(trained.features, split, config.framing, config)
            insight = write_insight(folder, built.watched, material, cache, stages)
        cost = estimate_cost(stages.seconds, parity.onnx_ms, len(split.train))
        manifest = Manifest(
            name=out.name,
            class_names=trained.class_names,
            image=ImageEntry(**vars(config.framing)),
            backbone={"name": config.row.name, "weights": built.identity},
            head=trained.head.settings,
            layers=built.layers,
            training=config.as_json()
            | {"seconds": cost.seconds, "peak_memory_mib": peak_memory_mib()},
            data=_describe_data(trained) | {"samples": samples},
            metrics={"test": trained.metrics},
            parity=parity.as_json(),
            libraries=library_versions(),
        )
        skipped = [_below(source, item) for item in trained.skipped]
        mistakes = _mistakes(trained, config)
        write_report(folder / "report.html", manifest, cost, skipped, mistakes, insight)
        return seal(folder, manifest, out)


def estimate_cost(seconds: dict[str, float], onnx_ms: float, photos: int) -> Cost:
    """What the run took, and what training the whole network on its photos would have.

    Measured with EfficientNet-Lite0 on two cores: 127 ms a photo in a training step of Keras
    (batches of 32), 14.3 ms in a compiled forward pass on one of them.
    """
    step_s = onnx_ms / 1000 * STEP_PER_PASS / usable_cores()
    return Cost(dict(seconds), step_s * photos * EPOCHS_END_TO_END, EPOCHS_END_TO_END)


def check_listing(listing: Listing) -> None:
    """Refuse what no amount of reading can mend. Raises PhotosError."""
    trained = sorted({p.label for p in listing.photos if p.side in (None, "train")})
    if len(trained) < 2:
        only = ", ".join(trained) or "none"
        raise PhotosError(f"found one class or fewer ({only}): two are needed to tell apart")


def train_head(
    listing: Listing, built: Built, cache: FeatureCache, config: FitConfig, stages: Stages
) -> Trained:
    """Features, split, head and test numbers."""
    if cache.renewed:
        stages.say(f"the cache {cache.path.name} could not be read and was made anew")
    with stages.counted("compute features", len(listing.photos), "photos") as advance:
        features = compute_features(
            *(listing.photos, built.graph, config.framing, config.limits),
            *(cache, config.workers, advance, Record(built.watched) if built.watched else None),
        )
    if not features.photos:
        reason = features.skipped[0].reason
        raise PhotosError(f"none of {len(listing.photos)} photos can be read; the first: {reason}")
    split = split_photos(
        features.photos, features.digests, config.seed, config.validation_share, config.test_share
    )
    skipped = listing.skipped + features.skipped + split.skipped
    for item in skipped:
        stages.say(f"skipped {item.path}: {item.reason}")
    class_names, labels = class_indices(split, features.photos)
    with stages.counted("train the head", len(STRENGTHS), "heads") as advance:
        head = fit_logistic(
            *(features.vectors[split.train], labels[split.train]),
            *(features.vectors[split.validation], labels[split.validation]),
            classes=len(class_names),
            progress=advance,
        )
    probabilities = apply_head(head.layers, features.vectors[split.test])
    metrics = measure(probabilities, labels[split.test], class_names)
    return Trained(features, split, class_names, labels, head, metrics, probabilities, skipped)


def _below(source: Path, item: Skipped) -> Skipped:
    """The same with a path below `source`: a report may be shown to others."""
    inside = item.path.is_relative_to(source)
    return Skipped(item.path.relative_to(source) if inside else Path(item.path.name), item.reason)


def _describe_data(trained: Trained) -> dict[str, Any]:
    """How many photos stood where, and which they were."""
    split, features = trained.split, trained.features
    return {
        "photos": {
            "train": len(split.train),
            "validation": len(split.validation),
            "test": len(split.test),
        },
        "skipped": len(trained.skipped),
        "fingerprint": fingerprint(split, features.photos, features.digests),
    }


def _mistakes(trained: Trained, config: FitConfig) -> list[Mistake]:
    """The test photos the network was most sure and most wrong about."""
    tested = [trained.features.photos[index] for index in trained.split.test]
    truth = trained.labels[trained.split.test]
    return pictures.worst_mistakes(
        tested, truth, trained.probabilities, trained.class_names, config.limits
    )

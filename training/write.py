"""What was trained, written as a bundle: network, samples, insight, manifest, report."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.bundle import ImageEntry, Manifest, new_bundle, seal
from models.cores import usable_cores
from training import pictures
from training.cache import FeatureCache
from training.compiled import attach
from training.config import FitConfig
from training.console import Stages
from training.contents import write_contents
from training.insight import Material, choose_layers, write_insight
from training.photos import Skipped
from training.provenance import library_versions, peak_memory_mib
from training.report import Cost, Mistake, write_report
from training.split import fingerprint

if TYPE_CHECKING:
    from training.fit import Trained

EPOCHS_END_TO_END = 10  # of the run that `fit` is compared with in the report
STEP_PER_PASS = 18  # core seconds of Keras' training step to those of a compiled forward pass


def write_bundle(
    source: Path,
    out: Path,
    config: FitConfig,
    stages: Stages,
    trained: "Trained",
    cache: FeatureCache,
) -> Manifest:
    """Write `out`. Raises ParityError, StorageError; nothing half written is left."""
    photos, split = trained.features.photos, trained.split
    validation = [photos[index] for index in split.validation]
    with stages.stage("write and check the network"):
        files, parity = attach(trained.compiled, trained.head.layers)
    with new_bundle(out) as folder:
        samples = write_contents(folder, files, pictures.for_samples(validation, config.limits))
        if trained.searched:
            (folder / "search").mkdir()
            for name, content in trained.searched.files.items():
                (folder / "search" / name).write_bytes(content)
        insight = None
        if config.insight:
            material = Material(trained.features, split, config.framing, config)
            watched = choose_layers(trained.compiled.layers, config.layers)
            insight = write_insight(folder, watched, material, cache, stages)
        cost = estimate_cost(stages.seconds, parity.onnx_ms, len(split.train))
        manifest = Manifest(
            name=out.name,
            class_names=trained.class_names,
            image=ImageEntry(**vars(config.framing)),
            backbone={"name": config.row.name, "weights": trained.compiled.identity},
            head=trained.head.settings,
            layers=trained.compiled.layers,
            training=config.as_json()
            | {"seconds": cost.seconds, "peak_memory_mib": peak_memory_mib()}
            | ({"fine_tuning": trained.tuned} if trained.tuned else {})
            | ({"search": trained.searched.summary} if trained.searched else {}),
            data=_describe_data(trained) | {"samples": samples},
            metrics={"test": trained.metrics},
            parity=parity.as_json(),
            libraries=library_versions(),
        )
        skipped = [_below(source, item) for item in trained.skipped]
        mistakes = _mistakes(trained, config)
        write_report(
            *(folder / "report.html", manifest, cost, skipped, mistakes, insight),
            searched=trained.searched,
        )
        return seal(folder, manifest, out)


def estimate_cost(seconds: dict[str, float], onnx_ms: float, photos: int) -> Cost:
    """What the run took, and what training the whole network on its photos would have.

    Measured with EfficientNet-Lite0 on two cores: 127 ms a photo in a training step of Keras
    (batches of 32), 14.3 ms in a compiled forward pass on one of them.
    """
    step_s = onnx_ms / 1000 * STEP_PER_PASS / usable_cores()
    return Cost(dict(seconds), step_s * photos * EPOCHS_END_TO_END, EPOCHS_END_TO_END)


def _below(source: Path, item: Skipped) -> Skipped:
    """The same with a path below `source`: a report may be shown to others."""
    inside = item.path.is_relative_to(source)
    return Skipped(item.path.relative_to(source) if inside else Path(item.path.name), item.reason)


def _describe_data(trained: "Trained") -> dict[str, Any]:
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


def _mistakes(trained: "Trained", config: FitConfig) -> list[Mistake]:
    """The test photos the network was most sure and most wrong about."""
    tested = [trained.features.photos[index] for index in trained.split.test]
    truth = trained.labels[trained.split.test]
    return pictures.worst_mistakes(
        tested, truth, trained.probabilities, trained.class_names, config.limits
    )

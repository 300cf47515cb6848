"""What was trained, written as a bundle: network, samples, insight, manifest, report, card."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.bundle import ImageEntry, Manifest, new_bundle, seal
from training import pictures
from training.cache import FeatureCache
from training.compiled import attach
from training.config import FitConfig
from training.console import Stages
from training.contents import write_contents
from training.cost import estimate_cost
from training.epochs import Curves
from training.gallery import Gallery, gather
from training.hyperparameters import BLOCKS
from training.insight import Material, choose_layers, write_insight
from training.mistakes import Explainer, Mistake, worst_mistakes
from training.model_card import write_model_card
from training.photos import Skipped
from training.provenance import library_versions, peak_memory_mib
from training.report import Descended, Extras, write_report
from training.split import fingerprint

if TYPE_CHECKING:
    from training.fit import Trained

SIDES = ("train", "validation", "test")


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
        insight = None
        if config.insight:
            material = Material(trained.features, split, config.framing, config)
            watched = choose_layers(trained.compiled.layers, config.layers)
            insight = write_insight(folder, watched, material, cache, stages)
        with stages.stage("gather what the report shows"):
            mistakes, gallery = _pictures(trained, files, config)
        seconds, cpu_seconds = stages.seconds, stages.cpu_seconds
        cost = estimate_cost(seconds, parity.onnx_ms, len(split.train), cpu_seconds)
        manifest = Manifest(
            name=out.name,
            class_names=trained.class_names,
            image=ImageEntry(**vars(config.framing)),
            backbone={"name": config.row.name, "weights": trained.compiled.identity},
            head=trained.head.settings,
            layers=trained.compiled.layers,
            training=config.as_json()
            | {"seconds": cost.seconds, "cpu_seconds": cost.cpu_seconds}
            | {"peak_memory_mib": peak_memory_mib()}
            | ({"fine_tuning": trained.tuned} if trained.tuned else {}),
            data=_describe_data(trained) | {"samples": samples},
            metrics={"test": trained.metrics},
            parity=parity.as_json(),
            libraries=library_versions(),
        )
        skipped = [_below(source, item) for item in trained.skipped]
        extras = Extras(insight, gallery, _descents(trained, config))
        write_report(folder / "report.html", manifest, cost, skipped, mistakes, extras)
        write_model_card(folder / "model_card.md", manifest, skipped)
        return seal(folder, manifest, out)


def _below(source: Path, item: Skipped) -> Skipped:
    """The same with a path below `source`: a report may be shown to others."""
    inside = item.path.is_relative_to(source)
    return Skipped(item.path.relative_to(source) if inside else Path(item.path.name), item.reason)


def _describe_data(trained: "Trained") -> dict[str, Any]:
    """How many photos of which class stood where, and which they were."""
    split, features = trained.split, trained.features
    sides = {side: getattr(split, side) for side in SIDES}
    counts = {
        side: np.bincount(trained.labels[rows], minlength=len(trained.class_names)).tolist()
        for side, rows in sides.items()
    }
    return {
        "photos": {side: len(rows) for side, rows in sides.items()},
        "classes": {
            label: {side: counts[side][index] for side in SIDES}
            for index, label in enumerate(trained.class_names)
        },
        "skipped": len(trained.skipped),
        "fingerprint": fingerprint(split, features.photos, features.digests),
    }


def _pictures(
    trained: "Trained", files: dict[str, bytes], config: FitConfig
) -> tuple[list[Mistake], Gallery]:
    """The worst mistakes, explained; and the test photos behind the confusion matrix."""
    tested = [trained.features.photos[index] for index in trained.split.test]
    truth = trained.labels[trained.split.test]
    asked = (tested, truth, trained.probabilities, trained.class_names, config.limits)
    explainer = Explainer(files, trained.compiled.layers, config.framing, config.workers)
    return worst_mistakes(*asked, explainer), gather(*asked, config.workers)


def _descents(trained: "Trained", config: FitConfig) -> list[Descended]:
    """What was trained by gradient descent."""
    if not trained.tuned:
        return []
    curves = Curves.from_json(trained.tuned)
    return [Descended("The upper blocks and the head", curves, config.descent(BLOCKS))]

"""Write results as a bundle: network, samples, insight, manifest, report, model card."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from models.bundle import Manifest, new_bundle, seal
from training.contents import library_versions, peak_memory_mib, write_contents
from training.doctor.page import render_section
from training.features.backbone import attach
from training.features.cache import FeatureCache
from training.insight.write import Material, choose_layers, write_insight
from training.photos import pictures
from training.photos.listing import (
    LEFT_OUT,
    QUIET,
    Skipped,
    left_out_as_json,
    need_list,
    write_left_out,
)
from training.quantise import quantise_network
from training.report.cost import estimate_cost
from training.report.gallery import ClassifiedPhotos, Gallery, build_gallery
from training.report.learning import LearningRun
from training.report.mistakes import Explainer, Mistake, worst_mistakes
from training.report.model_card import write_model_card
from training.report.page import Extras, Section, environment, write_report
from training.report.reliability import calibration_section
from training.results import Dataset, Trained
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.settings.printable import printable
from training.sides.remembered import split_settings, write_sides
from training.sides.split import fingerprint

DOCTOR_PICTURES = 12  # of each problem
SIDES = ("train", "validation", "test")


def write_bundle(
    source: Path,
    out: Path,
    config: FitConfig,
    stages: Stages,
    trained: Trained,
    cache: FeatureCache,
) -> Manifest:
    """Write `out`. Raises ParityError, StorageError; nothing half written is left."""
    data, calibrated = trained.data, trained.calibrated
    photos, split = data.features.photos, data.split
    validation = [photos[index] for index in split.validation]
    with stages.stage("write and check the network"):
        asked = pictures.for_parity(photos, config.framing, config.limits)
        files, parity = attach(trained.compiled, calibrated.layers, asked)
    int8 = quantise_network(trained, config, stages)
    files |= int8.files
    with new_bundle(out) as folder:
        samples = write_contents(
            folder, files, pictures.for_samples(validation, config.framing, config.limits)
        )
        calibrated.write(folder)
        write_sides(folder, split, data.features.digests, data.known, split_settings(config))
        _write_search(folder, trained)
        insight = None
        if config.insight:
            material = Material(data.features, split, config.framing, config, data.class_names)
            watched = choose_layers(trained.compiled.layers, config.layers)
            insight = write_insight(folder, watched, material, cache, stages)
        with stages.stage("gather what the report shows"):
            mistakes, gallery = _pictures(trained, files, config)
        cost = estimate_cost(stages.seconds, parity.onnx_ms, len(split.train), stages.cpu_seconds)
        manifest = Manifest(
            name=out.name,
            class_names=data.class_names,
            image=config.framing,
            backbone={"name": config.row.name, "weights": trained.compiled.identity},
            head=trained.head.record.as_json(),
            layers=trained.compiled.layers,
            training=config.as_json()
            | {"seconds": cost.seconds, "cpu_seconds": cost.cpu_seconds}
            | {"peak_memory_mib": peak_memory_mib()}
            | ({"fine_tuning": trained.tuned.as_json()} if trained.tuned else {})
            | ({"search": trained.searched.summary} if trained.searched else {}),
            data=_describe_data(data) | {"samples": samples},
            metrics={"test": trained.metrics},
            calibration=calibrated.calibration,
            thresholds=calibrated.thresholds,
            int8=int8.facts,
            parity=parity,
            libraries=library_versions(),
        )
        skipped = _list_skipped(folder, source, data.skipped)
        sections = _sections(source, manifest, trained, config)
        extras = Extras(insight, gallery, _learning(trained), sections)
        write_report(folder / "report.html", manifest, cost, skipped, mistakes, extras)
        write_model_card(folder / "model_card.md", manifest, skipped)
        return seal(folder, manifest, out)


def _write_search(folder: Path, trained: Trained) -> None:
    """Write the trials and pictures of a search, if there was one."""
    if trained.searched:
        (folder / "search").mkdir()
        for name, content in trained.searched.files.items():
            (folder / "search" / name).write_bytes(content)


def _list_skipped(folder: Path, source: Path, skipped: Sequence[Skipped]) -> list[Skipped]:
    """Shorten paths to what is below `source`, photos first; write the list if it is long.

    A report may be shown to others: where the photos lie is nobody's business.
    """
    shown, base = [], source if source.is_dir() else source.parent
    for item in skipped:
        inside = item.path.is_relative_to(base)
        path = item.path.relative_to(base) if inside else Path(item.path.name)
        reason = item.reason.replace(f"{base}/", "")
        shown.append(replace(item, path=Path(printable(path)), reason=printable(reason)))
    shown.sort(key=lambda item: item.kind in QUIET)
    if need_list(shown):
        write_left_out(folder / LEFT_OUT, shown)
    return shown


def _describe_data(data: Dataset) -> dict[str, Any]:
    """Count the photos of each class on each side, and name the whole by a fingerprint."""
    split, features = data.split, data.features
    sides = {side: getattr(split, side) for side in SIDES}
    counts = {
        side: np.bincount(data.labels[rows], minlength=len(data.class_names)).tolist()
        for side, rows in sides.items()
    }
    return {
        "photos": {side: len(rows) for side, rows in sides.items()},
        "classes": {
            label: {side: counts[side][index] for side in SIDES}
            for index, label in enumerate(data.class_names)
        },
        "skipped": len(data.skipped),
        "left_out": left_out_as_json(data.skipped),
        "fingerprint": fingerprint(split, features.photos, features.digests),
    }


def _pictures(
    trained: Trained, files: dict[str, bytes], config: FitConfig
) -> tuple[list[Mistake], Gallery]:
    """Explain the worst mistakes, and collect the test photos behind the confusion matrix."""
    data = trained.data
    tested = ClassifiedPhotos(
        photos=[data.features.photos[index] for index in data.split.test],
        truth=data.labels[data.split.test],
        probabilities=trained.probabilities,
        class_names=data.class_names,
    )
    explainer = Explainer(files, trained.compiled.layers, config.framing, config.workers)
    mistakes = worst_mistakes(tested, config.limits, explainer)
    return mistakes, build_gallery(tested, config.limits, config.workers)


def _learning(trained: Trained) -> list[LearningRun]:
    """Collect every training by gradient descent that ended at least one epoch."""
    runs = []
    if neural := trained.head.record.trained.neural:
        runs.append(
            LearningRun("The head", neural.curves, neural.hyperparameters, neural.rate_search)
        )
    if tuned := trained.tuned:
        title = "The upper blocks and the head"
        runs.append(LearningRun(title, tuned.curves, tuned.hyperparameters, tuned.searched))
    return [run for run in runs if run.curves.epochs]


def _sections(
    source: Path, manifest: Manifest, trained: Trained, config: FitConfig
) -> list[Section]:
    """Render the parts of the report that other files make."""
    sections = [calibration_section(manifest)]
    if trained.searched:
        search = environment().get_template("search.html.j2").render(search=trained.searched)
        sections.append(Section("The search", "search", Markup(search)))
    if trained.data.checkup:
        content = render_section(
            trained.data.checkup, source, config.limits, pictured=DOCTOR_PICTURES
        )
        sections.append(Section("Data doctor", "doctor", content))
    return sections

"""The steps of a run after its features, on photos that do not exist."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.scale.made_rows import MadePhotos, MadeSummaries, layer_of
from training.doctor.examine import examine
from training.doctor.near_copies import NearCopy, find_near_copies
from training.doctor.suspects import find_suspects
from training.features.compute import Features
from training.features.summaries import LayerSummaries
from training.heads.train import train_head
from training.insight.write import Material, describe_layer
from training.optimisation.tracking import Trackers
from training.photos.listing import Listing
from training.results import Dataset, measure_head
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.sides.split import Shares, class_indices, split_photos
from training.sides.units import join_units, number_units


@dataclass
class Step:
    """One step: seconds, those of all cores, peak memory in MiB, and what came out."""

    name: str
    seconds: float = 0.0
    core_seconds: float = 0.0
    peak: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


@contextmanager
def measured(name: str, show: Callable[[Step], None]) -> Iterator[Step]:
    """Measure what happens inside: the peak is of resident memory, files read not included."""
    Path("/proc/self/clear_refs").write_text("5")  # begins a new peak
    step, started, cores = Step(name), time.perf_counter(), time.process_time()
    yield step
    step.seconds = time.perf_counter() - started
    step.core_seconds = time.process_time() - cores
    status = Path("/proc/self/status").read_text()
    step.peak = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    show(step)


def run_steps(made: MadePhotos, without: set[str], show: Callable[[Step], None]) -> None:
    """Run copies, sides, doctor, head and exemplars, one after another."""
    features = Features(made.photos, made.rows, made.digests, [], 0)
    pairs: list[NearCopy] = []
    if "near" not in without:
        with measured("near copies", show) as step:
            appearances = made.appearances()
            pairs = find_near_copies(made.rows, made.digests, appearances, made.thumbnails)
            step.facts = {"pairs": len(pairs), "planted found": _recall(made, pairs)}
    joined = [(pair.one, pair.other) for pair in pairs]
    with measured("split", show) as step:
        split = split_photos(made.photos, made.digests, Shares(0, 0.15, 0.15), near=joined)
        names, labels = class_indices(split, made.photos)
        units = number_units(made.photos, made.digests, joined)
        step.facts = {side: len(getattr(split, side)) for side in ("train", "validation", "test")}
    checkup = None
    if "doctor" not in without:
        with measured("doctor: labels and findings", show) as step:
            groups, _ = join_units(made.photos, made.digests, joined)
            suspects = find_suspects(made.rows, made.photos, made.digests, groups)
            listing = Listing(made.photos)
            checkup = examine(listing, features, made.appearances(), pairs, 224, suspects)
            right = np.isin([each.place for each in suspects], made.wrong)
            step.facts = {
                "findings": len(checkup.findings),
                "suspects": len(suspects),
                "of them wrong": float(right.mean()),
                "wrong": len(made.wrong),
            }
    data = Dataset(features, split, {}, names, labels, units, split.skipped, checkup, split.train)
    if "head" not in without:
        with measured("head, calibrated and measured", show) as step:
            config, stages = FitConfig(), Stages(quiet=True)
            head = train_head(data.sides(0), config, stages, Trackers())
            trained = measure_head(cast(Any, None), data, head, config, stages)
            step.facts = {"accuracy": trained.metrics["accuracy"], "by": head.record.judged_by}
    if "exemplars" not in without:
        with measured(f"exemplars and probe, {made.rows.shape[1]:,} channels", show) as step:
            layer = layer_of(made.rows.shape[1])
            config = FitConfig()
            material = Material(features, split, config.framing, config, names)
            summaries = cast(Any, MadeSummaries(made))
            facts = describe_layer(layer, LayerSummaries([layer]), material, summaries)
            step.facts = {"probe": facts.summary["probe_accuracy"]}


def _recall(made: MadePhotos, pairs: list[NearCopy]) -> float:
    """Return which share of planted near copies was found with any photo of the same picture."""
    seen = {index for pair in pairs for index in pair[:2]}
    return (
        float(np.mean([index in seen for index in made.near.tolist()])) if len(made.near) else 1.0
    )

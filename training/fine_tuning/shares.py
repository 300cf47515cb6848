"""Which photos each worker computes and reads the feature maps of: every nth, or all if alone."""

import hashlib
from typing import Any, NamedTuple

import numpy as np

from models.errors import PhotosError, SettingError
from training.fine_tuning.budget import Plan
from training.fine_tuning.map_store import MapStore
from training.fine_tuning.plan import Planned
from training.fine_tuning.start import Start, view_recipe
from training.fine_tuning.views import PhotoViews, compute_views
from training.optimisation.workers import Workers, own, who_differs
from training.scale.choose import choose_workers
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.settings.hyperparameters import BLOCKS


class Readable(NamedTuple):
    """Rows of photos whose maps are there, with some worker, and which of them are here."""

    train: np.ndarray  # (N,) int
    validation: np.ndarray  # (V,) int
    train_mine: np.ndarray | None  # (N,) bool; None: all
    validation_mine: np.ndarray | None  # (V,) bool


def refuse_others(start: Start, config: FitConfig, made: Any, workers: Workers) -> None:
    """Refuse workers that would train something else, before any of them begins.

    Args:
        made: plan and cut, in whatever form shows as text.

    Raises:
        SettingError: on all workers alike. WorkerLost.
    """
    if workers.count == 1:
        return
    photos = (start.features.digests, start.split.train, start.split.validation)
    trained = (config.hyperparameters(BLOCKS), config.fine_tune, config.precision, config.seed)
    together = repr((photos, start.labels.tolist(), trained, made))
    others = who_differs(workers, hashlib.sha256(together.encode()).digest())
    if others:
        names = ", ".join(str(rank + 1) for rank in others)
        raise SettingError(
            f"worker {names} of {workers.count} has other photos or settings than worker 1: give "
            "all of them the same command and the same photos"
        )
    count = min(len(start.split.train), len(start.split.validation))
    if count < workers.count:
        raise SettingError(f"{workers.count} workers for {count} photos of a side: start fewer")


def compute_share(
    start: Start,
    config: FitConfig,
    stages: Stages,
    planned: Planned,
    store: MapStore,
    workers: Workers,
) -> None:
    """Fill the store with what this worker will read in training. Raises StorageError."""
    features = start.features
    counts = {
        row: views
        for rows, views in _sides(start, planned.plan)
        for row, is_own in zip(rows, own(workers, len(rows)), strict=True)
        if is_own
    }
    keys = [key for row, count in counts.items() for key in start.keys(row, count)]
    space = store.check_space(len(store.missing(keys)))
    stages.say(f"feature maps of {len(keys):,} views: {space}")
    views = [
        PhotoViews(features.photos[row], features.digests[row], range(count))
        for row, count in counts.items()
    ]
    with stages.counted("compute views", len(keys), "views") as advance:
        recipe, lower = view_recipe(config), planned.upper.lower
        compute_views(views, recipe, lower, store, choose_workers(config), progress=advance)


def find_readable(start: Start, plan: Plan, store: MapStore, workers: Workers) -> Readable:
    """Find out which photos could be read; each worker knows that of its share.

    Raises:
        PhotosError: a worker can read none of its share; on all workers alike. WorkerLost.
    """
    sides = _sides(start, plan)
    mine = [own(workers, len(rows)) for rows, _ in sides]
    there = [
        np.array([not store.missing(start.keys(row, views)) for row in rows], bool) & ours
        for (rows, views), ours in zip(sides, mine, strict=True)
    ]
    found = [array.astype(bool) for array in workers.add([array.astype(int) for array in there])]
    rows = [np.array(side, int)[kept] for (side, _), kept in zip(sides, found, strict=True)]
    if workers.count == 1:
        return Readable(rows[0], rows[1], None, None)
    blind = [r for r in range(workers.count) if not any(f[r :: workers.count].any() for f in found)]
    if blind:
        names = ", ".join(str(rank + 1) for rank in blind)
        raise PhotosError(
            f"worker {names} of {workers.count} can read none of its photos: let every worker "
            "see the photos at the same path"
        )
    shares = [ours[kept] for ours, kept in zip(mine, found, strict=True)]
    return Readable(rows[0], rows[1], shares[0], shares[1])


def _sides(start: Start, plan: Plan) -> list[tuple[list[int], int]]:
    """List the rows of both sides that training reads, each with its number of views."""
    return [(list(start.split.train), plan.views), (list(start.split.validation), 1)]

"""Fine-tuning from a cached cut: the upper blocks learn, the lower ones have spoken already.

The part of the backbone below the cut is frozen, so each view of a photo goes through it once
(views.py); epochs start at the cut and pay only for what is trained. BatchNorm keeps its
ImageNet statistics and scales: small batches would overwrite them. The head is trained first,
on the plain features (Kumar et al. 2022, arXiv:2202.10054), then blocks and head together.
"""

import hashlib
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from models.building.head import DenseLayer, Head
from models.bundle import LayerEntry
from models.runtime import Graph
from training.features.compute import Features
from training.fine_tuning.budget import Plan, measure_step, measure_view, plan_within
from training.fine_tuning.cut import Upper, choose_cut, cut_network, later_cut
from training.fine_tuning.map_store import Key, MapStore, forget_old
from training.fine_tuning.views import Augmentation, compute_views
from training.heads.fit import FittedHead
from training.heads.neural import read_head
from training.optimisation.checkpoint import Checkpoint
from training.optimisation.epochs import RateSearch
from training.optimisation.find_rate import find_rate
from training.optimisation.loop import Curves, Lesson, descend, numbers
from training.optimisation.tracking import Tracker, observer
from training.photos.split import Split
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.settings.hyperparameters import BLOCKS
from training.settings.recipe import name_of

VIEWS = 4  # of each training photo, the plain one among them
SMALLEST_AREA = 0.45  # of a photo, that a random view keeps
ENOUGH_EPOCHS = 3  # where fewer fit into the time, less is trained


@dataclass(frozen=True)
class Tuned:
    """What fine-tuning came to."""

    backbone: keras.Model  # with its changed weights
    identity: str  # of those weights
    head: Head
    curves: Curves
    cut: str
    plan: Plan
    kept: bool  # whether the network is to be used: with `auto`, if validation photos gained
    states: Sequence[Checkpoint]  # to discard when the result is safe
    searched: RateSearch | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain types, for the manifest."""
        told = {"cut": self.cut, "views": self.plan.views, "kept": self.kept}
        told |= self.curves.as_json()
        return told | ({"rate_search": self.searched.as_json()} if self.searched else {})

    def fitted_head(self, before: FittedHead) -> FittedHead:
        """Return the trained head, with how the one it began from was found."""
        settings = {"kind": "fine-tuned", "name": "fine-tuned", "from": before.settings}
        return FittedHead(self.head, settings)

    def discard(self) -> None:
        """Forget the states that a killed run would have gone on from."""
        for state in self.states:
            state.discard()


@dataclass(frozen=True)
class Start:
    """Where fine-tuning begins: a backbone, photos with their sides, and a trained head."""

    backbone: keras.Model  # with its pretrained weights
    layers: Sequence[LayerEntry]
    identity: str  # of those weights
    features: Features
    split: Split
    labels: np.ndarray  # (N,) class index of each photo
    head: Head  # trained on the plain features
    began: float  # time.monotonic() when the run began; `minutes` count from there


def fine_tune(start: Start, config: FitConfig, stages: Stages, tracker: Tracker) -> Tuned:
    """Train the blocks above the cut, in place, and the head, on cached views.

    Raises:
        SettingError, UnknownLayer: the cut is not a layer that every path passes through.
        StorageError: the views do not fit on the disk.
        Diverged: the loss is no longer a number.
    """
    upper, plan, kept = _plan(start, config, stages)
    name = _store_name(start, config, upper.cut)
    forget_old(config.cache, name)
    with closing(MapStore(config.cache, name, upper.tensor.shape[1:])) as store:
        if store.renewed:
            stages.say(f"the cache {store.path.name} was not whole and was made anew")
        _compute(start, config, stages, plan, upper.lower, store)
        lesson = _lesson(start, config, plan, store)
        settings = plan.settings(config.descent(BLOCKS))
        told = (config.find_rate, settings, plan, store.path.name, config.seed)
        checkpoint = Checkpoint(config.cache, ("blocks", told, _content(start)))
        searched = None
        if config.find_rate:
            with stages.stage("try learning rates"):
                searched = find_rate(upper.model, lesson, settings)
            settings = replace(settings, learning_rate=searched.suggested)
        steps = settings.epochs * -(-len(lesson.labels) // settings.batch)
        with stages.counted("train the upper blocks", steps, "steps") as advance:
            watch = observer(tracker, "blocks")
            curves = descend(upper.model, lesson, settings, checkpoint, advance, watch)
    for layer in upper.model.layers:
        layer.trainable = True  # as it was: whoever loads the network may train it all
    return Tuned(
        backbone=start.backbone,
        identity=_identity(start, upper.model),
        head=read_head(upper.dense),
        curves=curves,
        cut=upper.cut,
        plan=plan,
        kept=config.fine_tune != "auto" or curves.best >= 0,
        states=(checkpoint, *kept),
        searched=searched,
    )


def _plan(
    start: Start, config: FitConfig, stages: Stages
) -> tuple[Upper, Plan, Sequence[Checkpoint]]:
    """Cut, views and epochs: as set, or what fits; a run that was stopped keeps its plan."""
    usual = config.descent(BLOCKS)
    cut = choose_cut(start.layers, config.cut)
    if config.minutes is None:
        plan = Plan(config.views or VIEWS, usual.epochs)
        return cut_network(start.backbone, start.head, cut, usual.dropout, config.seed), plan, ()
    name = _store_name(start, config, cut)
    kept = Checkpoint(config.cache, ("plan", config.minutes, usual, name, _content(start)))
    if found := kept.load([]):
        facts = found.facts
        upper = cut_network(
            start.backbone, start.head, facts.pop("cut"), usual.dropout, config.seed
        )
        return upper, Plan(**facts), (kept,)
    with stages.stage("see what fits into the time"):
        upper, plan = _fitting(start, config, cut)
    stages.say(
        f"in {config.minutes:g} minutes: {plan.views} views and {plan.epochs} epochs "
        f"of what follows {upper.cut}"
    )
    kept.save(vars(plan) | {"cut": upper.cut}, [])
    return upper, plan, (kept,)


def _fitting(start: Start, config: FitConfig, cut: str) -> tuple[Upper, Plan]:
    """What fits; where that is too few epochs at the first cut, a later one may fit more."""
    usual, minutes = config.descent(BLOCKS), config.minutes or 0
    choices = [cut]
    if config.cut is None and (after := later_cut(start.layers, cut)):
        choices.append(after)
    for name in choices:
        upper = cut_network(start.backbone, start.head, name, usual.dropout, config.seed)
        view_s = measure_view(upper.lower, config.workers)
        step_s = measure_step(upper.model, usual.batch)
        left_s = minutes * 60 - (time.monotonic() - start.began)
        photos, asked = len(start.split.train), len(start.split.validation)
        plan = plan_within(left_s, photos, asked, view_s, step_s)
        if plan.epochs >= ENOUGH_EPOCHS:
            break
    return upper, plan


def _keys(start: Start, row: int, views: int) -> list[Key]:
    return [(start.features.digests[row], view) for view in range(views)]


def _compute(
    start: Start, config: FitConfig, stages: Stages, plan: Plan, lower: Graph, store: MapStore
) -> None:
    """Fill the store with what training will read."""
    split, features = start.split, start.features
    rows = [*split.train, *split.validation]
    counts = [plan.views] * len(split.train) + [1] * len(split.validation)
    keys = [key for row, n in zip(rows, counts, strict=True) for key in _keys(start, row, n)]
    stages.say(
        f"feature maps of {len(keys):,} views: {store.check_space(len(store.missing(keys)))}"
    )
    with stages.counted("compute views", sum(counts), "views") as advance:
        compute_views(
            [features.photos[row] for row in rows],
            [features.digests[row] for row in rows],
            [range(n) for n in counts],
            lower,
            store,
            config.framing,
            config.limits,
            Augmentation(config.smallest_area or SMALLEST_AREA, config.seed),
            config.workers,
            advance,
        )


def _lesson(start: Start, config: FitConfig, plan: Plan, store: MapStore) -> Lesson:
    """Each epoch reads another view of each photo, in an order of its own."""
    views = [_keys(start, row, plan.views) for row in start.split.train]
    whole = [keys for keys in views if not store.missing(keys)]
    label_of = dict(zip(start.features.digests, start.labels, strict=True))
    plain = [key for row in start.split.validation for key in _keys(start, row, 1)]
    plain = [key for key in plain if key in store.rows]
    first = np.random.default_rng(config.seed).integers(plan.views, size=len(whole))

    def read(rows: np.ndarray, epoch: int) -> np.ndarray:
        return store.read([whole[row][(first[row] + epoch) % plan.views] for row in rows])

    return Lesson(
        read,
        np.array([label_of[keys[0][0]] for keys in whole]),
        lambda rows: store.read([plain[row] for row in rows]),
        np.array([label_of[key[0]] for key in plain]),
        int(start.labels.max()) + 1,
        config.seed,
    )


def _store_name(start: Start, config: FitConfig, cut: str) -> str:
    area = config.smallest_area or SMALLEST_AREA
    parts = (start.identity, cut, config.framing, config.limits, area, config.seed)
    return f"views-{config.row.name}-{name_of(parts)}"


def _content(start: Start) -> str:
    """The photos, their sides and labels, and the head that training begins with."""
    together = hashlib.sha256(repr((start.split.train, start.split.validation)).encode())
    together.update(b"".join(start.features.digests) + start.labels.tobytes())
    for part in start.head:
        if isinstance(part, DenseLayer):
            together.update(part.kernel.tobytes() + part.bias.tobytes())
    return together.hexdigest()


def _identity(start: Start, model: keras.Model) -> str:
    """Another name for other weights."""
    together = hashlib.sha256(start.identity.encode())
    for weight in model.weights:
        together.update(numbers(weight).tobytes())
    return together.hexdigest()

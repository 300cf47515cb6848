"""Fine-tuning from a cached cut: the upper blocks learn, the lower ones are run once.

The part of the backbone below the cut is frozen, so each view of a photo goes through it once
(views.py); epochs start at the cut and pay only for what is trained. BatchNorm keeps its
ImageNet statistics, which small batches would overwrite, and learns its scales and offsets.

The head begins at zero and learns together with the blocks: one that tells the training photos
apart already leaves the blocks hardly a gradient. In fewer than FEW_STEPS steps a head from zero
spoils the blocks before it is of use: few photos are gone through more often, and where a person
asks for fewer, the head begins as it was trained on the plain features (Kumar et al. 2022,
arXiv:2202.10054).
"""

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

import keras
import numpy as np

from models.building.head import Head
from training.evaluation.calibrate import calibrated_losses
from training.fine_tuning.budget import Plan
from training.fine_tuning.cut import Upper
from training.fine_tuning.map_store import MapStore, forget_old
from training.fine_tuning.plan import Planned, plan_tuning
from training.fine_tuning.start import Start, view_recipe
from training.fine_tuning.views import PhotoViews, compute_views
from training.heads.fitted_head import FittedHead, HeadRecord
from training.heads.forward import head_logits
from training.heads.neural import read_head
from training.optimisation.checkpoint import Checkpoint
from training.optimisation.epochs import Curves, RateSearch
from training.optimisation.find_rate import find_rate
from training.optimisation.loop import train, validation_logits
from training.optimisation.optimiser import numbers
from training.optimisation.tracking import Tracker, observer
from training.optimisation.training_set import TrainingSet
from training.scale.choose import choose_workers
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.settings.hyperparameters import (
    BLOCKS,
    BLOCKS_FEW_STEPS,
    FEW_A_CLASS,
    FEW_STEPS,
    Hyperparameters,
)


@dataclass(frozen=True)
class Tuned:
    """The network that fine-tuning made, and how."""

    backbone: keras.Model  # with its changed weights
    identity: str  # of those weights
    head: Head
    cut: str
    plan: Plan
    hyperparameters: Hyperparameters
    curves: Curves
    searched: RateSearch | None
    kept: bool  # whether the network is to be used: with `auto`, if validation photos gained
    states: Sequence[Checkpoint]  # to discard when the result is safe

    def as_json(self) -> dict[str, Any]:
        """Plain types, for the manifest."""
        found = {"cut": self.cut, "views": self.plan.views, "kept": self.kept}
        found |= {"hyperparameters": asdict(self.hyperparameters)} | self.curves.as_json()
        return found | ({"rate_search": self.searched.as_json()} if self.searched else {})

    def fitted_head(self, before: FittedHead) -> FittedHead:
        """Return the trained head, with the record of the one it began from."""
        return FittedHead(self.head, HeadRecord("fine-tuned", "fine-tuned", before=before.record))

    def discard(self) -> None:
        """Remove the states that a killed run would have gone on from."""
        for state in self.states:
            state.discard()


def fine_tune(start: Start, config: FitConfig, stages: Stages, tracker: Tracker) -> Tuned:
    """Train the blocks above the cut, in place, and the head, on cached views.

    Raises:
        SettingError, UnknownLayer: the cut is not a layer that every path passes through.
        StorageError: the views do not fit on the disk.
        Diverged: the loss is no longer a number.
    """
    planned = plan_tuning(start, config, stages)
    upper, plan = planned.upper, planned.plan
    name = start.store_name(config, upper.cut)
    forget_old(config.cache, name)
    with closing(MapStore(config.cache, name, upper.tensor.shape[1:])) as store:
        if store.renewed:
            stages.say(f"the cache {store.path.name} was not whole and was made anew")
        _compute(start, config, stages, planned, store)
        training_set = _training_set(start, config.seed, plan, store)
        hyperparameters = plan.hyperparameters(config.hyperparameters(BLOCKS))
        few = hyperparameters.epochs * training_set.steps(hyperparameters.batch) < FEW_STEPS
        if few:
            usual = config.hyperparameters(BLOCKS_FEW_STEPS)
            hyperparameters = plan.hyperparameters(usual)
        else:
            upper.forget_head()
        recipe = (config.find_rate, hyperparameters, plan, store.path.name, config.seed)
        checkpoint = Checkpoint(config.cache, ("blocks", recipe, start.content()))
        searched = None
        if config.find_rate:
            with stages.stage("try learning rates"):
                searched = find_rate(upper.model, training_set, hyperparameters)
            hyperparameters = replace(hyperparameters, learning_rate=searched.suggested)
        steps = hyperparameters.epochs * training_set.steps(hyperparameters.batch)
        with stages.counted("train the upper blocks", steps, "steps") as advance:
            observe = observer(tracker, "blocks")
            curves = train(upper.model, training_set, hyperparameters, checkpoint, advance, observe)
        kept = config.fine_tune != "auto" or _pays(start, upper, training_set, store)
    return Tuned(
        backbone=start.backbone,
        identity=_identity(start, upper.model),
        head=read_head(upper.dense),
        cut=upper.cut,
        plan=plan,
        hyperparameters=hyperparameters,
        curves=curves,
        searched=searched,
        kept=kept,
        states=(checkpoint, *planned.states),
    )


def _compute(
    start: Start, config: FitConfig, stages: Stages, planned: Planned, store: MapStore
) -> None:
    """Fill the store with what training will read."""
    split, features = start.split, start.features
    counts = dict.fromkeys(split.train, planned.plan.views) | dict.fromkeys(split.validation, 1)
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


def _training_set(start: Start, seed: int, plan: Plan, store: MapStore) -> TrainingSet:
    """Let each epoch read another view of each photo, in an order of its own."""
    views = [start.keys(row, plan.views) for row in start.split.train]
    whole = [keys for keys in views if not store.missing(keys)]
    label_of = dict(zip(start.features.digests, start.labels, strict=True))
    plain = [key for row in start.split.validation for key in start.keys(row, 1)]
    plain = [key for key in plain if key in store.rows]
    first = np.random.default_rng(seed).integers(plan.views, size=len(whole))

    def read(rows: np.ndarray, epoch: int) -> np.ndarray:
        return store.read([whole[row][(first[row] + epoch) % plan.views] for row in rows])

    return TrainingSet(
        read=read,
        labels=np.array([label_of[keys[0][0]] for keys in whole]),
        read_validation=lambda rows: store.read([plain[row] for row in rows]),
        validation_labels=np.array([label_of[key[0]] for key in plain]),
        classes=int(start.labels.max()) + 1,
        seed=seed,
    )


def _pays(start: Start, upper: Upper, training_set: TrainingSet, store: MapStore) -> bool:
    """Compare with the frozen backbone on validation photos, photo by photo."""
    rows = [row for row in start.split.validation if start.keys(row, 1)[0] in store.rows]
    truth = training_set.validation_labels
    frozen = calibrated_losses(head_logits(start.head, start.features.vectors[rows]), truth)
    tuned = calibrated_losses(validation_logits(upper.model, training_set), truth)
    few = len(training_set.labels) < FEW_A_CLASS * training_set.classes
    return are_worth_keeping(frozen - tuned, few)


def are_worth_keeping(gains: np.ndarray, few: bool) -> bool:
    """Decide by the fall of the log loss of each validation photo, (V,), whether blocks are kept.

    A difference of less than one standard error says nothing. Then the trained blocks are kept,
    as they gain on most sets of photos; with few training photos a class they may lose, and the
    frozen backbone is.
    """
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.inf
    return bool(gains.mean() > error if few else gains.mean() >= -error)


def _identity(start: Start, model: keras.Model) -> str:
    """Name the weights that training has made."""
    together = hashlib.sha256(start.identity.encode())
    for weight in model.weights:
        together.update(numbers(weight).tobytes())
    return together.hexdigest()

"""The whole run, stage by stage: photos -> features -> sides -> head -> network -> bundle.

Each stage is timed and shown. Everything that can be refused is refused before the long
stage begins, and the bundle appears only when it is whole.
"""

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from models.bundle import Manifest, check_target
from training.evaluation.layer_distances import choose_compared
from training.features.backbone import Compiled, build, compile_backbone, compile_network
from training.features.cache import FeatureCache
from training.fine_tuning.start import Start
from training.heads.fitted_head import FittedHead
from training.heads.train import train_head
from training.optimisation.tracking import OnceTracker, Tracker, tracking
from training.optimisation.workers import ALONE, Workers
from training.photos.levels import settle_levels
from training.places.bundles import published
from training.prepare import list_photos, open_cache, prepare, prepare_again, temporary_cache
from training.results import Dataset, measure_head
from training.settings.cluster import Cluster, refuse_unshared
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.settings.quiet import load_keras
from training.write import write_bundle

if TYPE_CHECKING:
    from training.fine_tuning.fine_tune import Tuned  # needs Keras, which most runs do not


@published()
def fit(
    source: Path,
    out: Path,
    config: FitConfig,
    stages: Stages,
    cluster: Cluster | None = None,
) -> Manifest:
    """Train on the photos of `source` and write the bundle `out`.

    Args:
        cluster: workers to fine-tune with, of which this process is the chief.

    Raises:
        LayerscopeError: a setting, the photos, the weights or a place is unusable; nothing
            is left at `out` that was not there.
    """
    check_target(out)
    with ExitStack() as opened:
        run = _begin(source, out, config, stages, cluster, opened)
        config, compiled, cache = run.config, run.compiled, run.cache
        data, head, tracker = run.data, run.head, run.tracker
        tuned = None
        if config.fine_tune != "no":
            tuned = _tune_blocks(run, stages)
            if tuned.kept:
                compiled = _compile_again(tuned, compiled, config, stages)
                cache = opened.enter_context(temporary_cache(compiled, config))
                data = prepare_again(data, compiled, cache, config, stages)
                head = tuned.fitted_head(head)
            elif config.frozen.framing != config.framing or config.views_served > 1:
                config = config.frozen
                compiled = replace(compiled, views=config.views_served)
                cache = opened.enter_context(closing(open_cache(compiled, config)))
                data = prepare_again(data, compiled, cache, config, stages, everything=True)
                head = train_head(data.sides(config.seed), config, stages, tracker)
        trained = measure_head(compiled, data, head, config, stages)
        trained = replace(trained, tuned=tuned)
        manifest = write_bundle(source, out, config, stages, trained, cache)
        if tuned:
            tuned.discard()
        test = manifest.metrics["test"]
        tracker.result({name: v for name, v in test.items() if isinstance(v, float)})
    return manifest


def train_share(
    source: Path, out: Path, config: FitConfig, stages: Stages, cluster: Cluster
) -> None:
    """Fine-tune with the others of a cluster as a worker that is not the chief; writes nothing.

    Args:
        out: the bundle that the chief will write; photos keep the sides that one there recorded.

    Raises:
        LayerscopeError: as `fit`.
    """
    untracked = replace(config, tensorboard=None, mlflow="")  # the chief records the run
    with ExitStack() as opened:
        _tune_blocks(_begin(source, out, untracked, stages, cluster, opened), stages)


@dataclass(frozen=True)
class _Begun:
    """What a run with a frozen backbone has made: fine-tuning begins there."""

    config: FitConfig  # with the levels of these photos
    workers: Workers
    tracker: Tracker
    compiled: Compiled
    cache: FeatureCache
    data: Dataset
    head: FittedHead
    began: float  # time.monotonic()


def _begin(
    source: Path,
    out: Path,
    config: FitConfig,
    stages: Stages,
    cluster: Cluster | None,
    opened: ExitStack,
) -> _Begun:
    """Train a head on features of the frozen backbone; `opened` closes tracker and cache."""
    began = time.monotonic()
    listing = list_photos(source, out, config, stages)
    config = settle_levels(listing, config, stages)
    workers = _join(cluster, config, stages)
    tracker = opened.enter_context(
        tracking(out.name, config.tensorboard, config.mlflow, stages.say)
    )
    tracker.settings(config.as_json())
    compiled = compile_backbone(config, stages)
    if config.fine_tune == "no":  # else the blocks are trained on one view
        compiled = replace(compiled, views=config.views_served)
    cache = opened.enter_context(closing(open_cache(compiled, config)))
    data = prepare(listing, out, compiled, cache, config, stages)
    head = train_head(data.sides(config.seed), config, stages, tracker)
    return _Begun(config, workers, tracker, compiled, cache, data, head, began)


def _join(cluster: Cluster | None, config: FitConfig, stages: Stages) -> Workers:
    """Wait for the other workers, before TensorFlow is used for anything else."""
    if cluster is None:
        return ALONE
    refuse_unshared(cluster, config)
    with stages.stage(f"{cluster}: wait for the others"):
        load_keras(config.device)
        from training.optimisation.together import open_workers

        return open_workers(cluster)


def _tune_blocks(run: _Begun, stages: Stages) -> "Tuned":
    """Train the upper blocks too; with `auto`, they are kept only if validation photos gain."""
    config = run.config
    with stages.stage("load Keras"):
        load_keras(config.device)
        from training.fine_tuning.fine_tune import fine_tune
        from training.fine_tuning.on_nodes import tune_on_nodes

        backbone = build(config)
    start = Start(
        backbone=backbone,
        layers=run.compiled.layers,
        identity=run.compiled.identity,
        features=run.data.features,
        split=run.data.split,
        labels=run.data.labels,
        head=run.head.layers,
        began=run.began,
    )
    tuned, tracker = None, OnceTracker(run.tracker)
    if config.engine == "ray" and run.workers.count == 1:
        tuned = tune_on_nodes(start, config, stages, tracker)
    if tuned is None:
        tuned = fine_tune(start, config, stages, tracker, run.workers)
    if not tuned.kept:
        stages.say("fine-tuning did not pay on validation photos: the frozen backbone is kept")
    return tuned


def _compile_again(
    tuned: "Tuned", compiled: Compiled, config: FitConfig, stages: Stages
) -> Compiled:
    """Compile the trained network; training has called the layers of its own a second time."""
    with stages.stage("compile the trained network"):
        fresh = build(config)
        fresh.set_weights(list(tuned.weights))
        again = compile_network(fresh, tuned.identity, compiled.photos)
        again = replace(again, views=config.views_served)
        return again.comparing(choose_compared(again.layers, tuned.cut))

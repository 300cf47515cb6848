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
from training.heads.fitted_head import FittedHead
from training.heads.train import train_head
from training.optimisation.tracking import Tracker, tracking
from training.photos.levels import settle_levels
from training.places.bundles import published
from training.prepare import list_photos, open_cache, prepare, prepare_again, temporary_cache
from training.results import Dataset, measure_head
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.settings.quiet import load_keras
from training.write import write_bundle

if TYPE_CHECKING:
    from training.fine_tuning.fine_tune import Tuned  # needs Keras, which most runs do not


@published()
def fit(source: Path, out: Path, config: FitConfig, stages: Stages) -> Manifest:
    """Train on the photos of `source` and write the bundle `out`.

    Raises:
        LayerscopeError: a setting, the photos, the weights or a place is unusable; nothing
            is left at `out` that was not there.
    """
    began = time.monotonic()
    check_target(out)
    listing = list_photos(source, out, config, stages)
    config = settle_levels(listing, config, stages)
    with ExitStack() as opened:
        tracker = opened.enter_context(
            tracking(out.name, config.tensorboard, config.mlflow, stages.say)
        )
        tracker.settings(config.as_json())
        compiled = compile_backbone(config, stages)
        cache = opened.enter_context(closing(open_cache(compiled, config)))
        data = prepare(listing, out, compiled, cache, config, stages)
        head = train_head(data.sides(config.seed), config, stages, tracker)
        tuned = None
        if config.fine_tune != "no":
            tuned = _tune_blocks(_Frozen(compiled, data, head), began, config, stages, tracker)
            if tuned.kept:
                compiled = _compile_again(tuned, compiled, config, stages)
                cache = opened.enter_context(temporary_cache(compiled, config))
                data = prepare_again(data, compiled, cache, config, stages)
                head = tuned.fitted_head(head)
            elif config.frozen.framing != config.framing:
                config = config.frozen
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


@dataclass(frozen=True)
class _Frozen:
    """What a run with a frozen backbone has made: fine-tuning begins there."""

    compiled: Compiled
    data: Dataset
    head: FittedHead


def _tune_blocks(
    frozen: _Frozen, began: float, config: FitConfig, stages: Stages, tracker: Tracker
) -> "Tuned":
    """Train the upper blocks too; with `auto`, they are kept only if validation photos gain."""
    with stages.stage("load Keras"):
        load_keras()
        from training.fine_tuning.fine_tune import fine_tune
        from training.fine_tuning.start import Start

        backbone = build(config)
    start = Start(
        backbone=backbone,
        layers=frozen.compiled.layers,
        identity=frozen.compiled.identity,
        features=frozen.data.features,
        split=frozen.data.split,
        labels=frozen.data.labels,
        head=frozen.head.layers,
        began=began,
    )
    tuned = fine_tune(start, config, stages, tracker)
    if not tuned.kept:
        stages.say("fine-tuning did not pay on validation photos: the frozen backbone is kept")
    return tuned


def _compile_again(
    tuned: "Tuned", compiled: Compiled, config: FitConfig, stages: Stages
) -> Compiled:
    """Compile the trained network; training has called the layers of its own a second time."""
    with stages.stage("compile the trained network"):
        fresh = build(config)
        fresh.set_weights(tuned.backbone.get_weights())
        again = compile_network(fresh, tuned.identity, compiled.photos)
        return again.comparing(choose_compared(again.layers, tuned.cut))

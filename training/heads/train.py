"""The head of a run, of the kind that its config asks for."""

from dataclasses import replace

from training.heads.choose import choose_head
from training.heads.fit import FittedHead, fit_head, steps
from training.heads.forward import apply_head
from training.heads.held_out import Sides, judged
from training.heads.kinds import KINDS
from training.optimisation.checkpoint import Checkpoint
from training.optimisation.tracking import Tracker, observer
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.settings.hyperparameters import HEAD
from training.settings.quiet import load_keras
from training.settings.recipe import hash_of


def train_head(
    sides: Sides, classes: int, config: FitConfig, stages: Stages, tracker: Tracker
) -> FittedHead:
    """Fit the head that `config.head` names; with `auto`, the best kind.

    Raises:
        PhotosError: too few photos for that kind. Diverged: a neural head that does not learn.
    """
    balanced = config.class_weights == "balanced"
    if config.head == "neural":
        return _neural(sides, classes, config, stages, tracker)
    photos = (sides.train, sides.train_labels, sides.validation, sides.validation_labels)
    kinds = tuple(KINDS) if config.head == "auto" else (config.head,)
    with stages.counted("train the head", steps(kinds), "heads") as advance:
        if config.head == "auto":
            return choose_head(kinds, *photos, classes, config.seed, advance, balanced)
        return fit_head(config.head, *photos, classes, config.seed, advance, balanced)


def _neural(
    sides: Sides, classes: int, config: FitConfig, stages: Stages, tracker: Tracker
) -> FittedHead:
    """Layers of neurons, learnt by gradient descent; with Keras."""
    with stages.stage("load Keras"):
        load_keras()
        from training.heads.neural import fit_neural

    settings, shape = config.descent(HEAD), config.hidden_layers
    photos = (sides.train, sides.train_labels, sides.validation, sides.validation_labels)
    content = [hash_of(array.tobytes()) for array in photos]
    recipe = ("head", config.find_rate, settings, shape, config.seed, *content)
    total = settings.epochs * -(-len(sides.train) // settings.batch)
    checkpoint = Checkpoint(config.cache, recipe)
    with stages.counted("train the head", total, "steps") as advance:
        head, curves = fit_neural(
            *(*photos, classes, shape, settings, config.seed, checkpoint, advance),
            observe=observer(tracker, "head"),
            try_rates=config.find_rate,
        )
    checkpoint.discard()
    facts = judged(apply_head(head.layers, sides.validation), sides.validation_labels)
    words = {"name": f"neural, {len(shape.widths)} hidden", "judged_by": "validation photos"}
    told = {"curves": curves.as_json(), "temperature": 1.0, "balanced": False}
    return replace(head, settings=head.settings | words | facts | told)

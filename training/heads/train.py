"""The head of a run, of the kind that its config names. Begin here."""

from training.heads.choose import choose_head
from training.heads.fit import count_fits, fit_head
from training.heads.fitted_head import FittedHead
from training.heads.held_out import Sides
from training.heads.kinds import KINDS
from training.heads.out_of_core import fit_on_all
from training.optimisation.checkpoint import Checkpoint
from training.optimisation.tracking import Tracker, observer
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.settings.hyperparameters import HEAD
from training.settings.quiet import load_keras
from training.settings.recipe import hash_of


def train_head(sides: Sides, config: FitConfig, stages: Stages, tracker: Tracker) -> FittedHead:
    """Fit the head that `config.head` names; with `auto`, the best kind.

    Where `sides` are a sample, it is chosen there, and then fitted on all training photos.

    Raises:
        PhotosError: too few photos for that kind. Diverged: a neural head that does not learn.
    """
    if config.head == "neural":
        return _train_neural(sides, config, stages, tracker)
    balanced = config.class_weights == "balanced"
    kinds = tuple(KINDS) if config.head == "auto" else (config.head,)
    with stages.counted("train the head", count_fits(kinds), "heads") as advance:
        if config.head == "auto":
            head = choose_head(kinds, sides, balanced=balanced, progress=advance)
        else:
            head = fit_head(config.head, sides, balanced=balanced, progress=advance)
    if sides.everything:
        with stages.stage("fit the head on all photos"):
            head = fit_on_all(head, sides)
        stages.say(f"features are more than memory holds: {head.record.judged_by}")
    return head


def _train_neural(sides: Sides, config: FitConfig, stages: Stages, tracker: Tracker) -> FittedHead:
    """Train layers of neurons by gradient descent, with Keras."""
    with stages.stage("load Keras"):
        load_keras(config.device)
        from training.heads.neural import fit_neural

    hyperparameters, shape = config.hyperparameters(HEAD), config.hidden_layers
    photos = (sides.train, sides.train_labels, sides.validation, sides.validation_labels)
    content = [hash_of(array.tobytes()) for array in photos]
    recipe = ("head", config.find_rate, hyperparameters, shape, config.seed, *content)
    checkpoint = Checkpoint(config.cache, recipe)
    steps = hyperparameters.epochs * -(-len(sides.train) // hyperparameters.batch)
    with stages.counted("train the head", steps, "steps") as advance:
        head = fit_neural(
            sides,
            shape,
            hyperparameters,
            checkpoint=checkpoint,
            progress=advance,
            observe=observer(tracker, "head"),
            try_rates=config.find_rate,
        )
    checkpoint.discard()
    return head

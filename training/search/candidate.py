"""One candidate of a search, trained and judged on validation photos.

Every kind is judged alike: by its log loss at its best temperature, which its head is divided
by. TensorFlow is imported when the first neural candidate comes.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from models.classifier import softmax
from training.evaluation.calibrate import fit_temperature
from training.heads.fit import fit_head
from training.heads.fitted_head import FittedHead
from training.heads.held_out import ENOUGH, Sides, score_probabilities
from training.optimisation.epochs import Epoch
from training.search.space import Candidate, NeuralCandidate
from training.settings.config import FitConfig
from training.settings.quiet import load_keras

Observe = Callable[[int, float], None]  # epoch, from 0; its log loss on validation photos


@dataclass(frozen=True)
class TrainedCandidate:
    """A candidate's head, and how it does on the validation photos at its best temperature."""

    head: FittedHead
    loss: float  # log loss
    accuracy: float


def train_candidate(
    candidate: Candidate, sides: Sides, observe: Observe = lambda epoch, loss: None
) -> TrainedCandidate:
    """Train `candidate` on the training side and judge it on the validation side.

    Args:
        sides: with `ENOUGH` validation photos or more.
        observe: called after each epoch of a neural head; what it raises ends the training.

    Raises:
        Diverged: the loss of a neural head is no longer a number.
    """
    labels = sides.validation_labels
    if len(labels) < ENOUGH:
        raise ValueError(f"{len(labels)} validation photos; {ENOUGH} can judge a head")
    if isinstance(candidate, NeuralCandidate):
        head = _train_neural(candidate, sides, observe)
    else:
        values = None if candidate.strength is None else [candidate.strength]
        head = fit_head(candidate.kind, sides, balanced=candidate.balanced, values=values)
    head = head.divided_by(fit_temperature(head.logits(sides.validation), labels))
    scores = score_probabilities(softmax(head.logits(sides.validation)), labels)
    head = replace(head, record=replace(head.record, scores=scores))
    return TrainedCandidate(head, scores.validation_log_loss, scores.validation_accuracy)


def config_for(candidate: Candidate, config: FitConfig) -> FitConfig:
    """Make the settings with which `fit` trains a head of this kind; a neural one: this head."""
    if not isinstance(candidate, NeuralCandidate):
        return replace(config, head=candidate.kind)
    shape, hyperparameters = candidate.shape, asdict(candidate.hyperparameters)
    return replace(
        config,
        head=candidate.kind,
        hidden=shape.widths,
        activation=shape.activation,
        initialiser=shape.initialiser,
        **hyperparameters,
    )


def _train_neural(candidate: NeuralCandidate, sides: Sides, observe: Observe) -> FittedHead:
    load_keras()
    import keras

    from training.heads.neural import fit_neural

    epochs = 0

    def watch(epoch: Epoch) -> None:
        nonlocal epochs
        epochs += 1
        observe(epochs - 1, epoch.judged)

    keras.backend.clear_session()  # of the graphs of the candidates before
    return fit_neural(sides, candidate.shape, candidate.hyperparameters, observe=watch)

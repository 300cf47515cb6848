"""One candidate of a search, trained and judged on validation photos.

Every kind is judged alike: by its log loss at its best temperature, which becomes part of the
head. TensorFlow is imported when the first neural candidate comes.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from training.evaluation.calibrate import scale_head
from training.heads.fit import FittedHead, fit_head
from training.heads.held_out import ENOUGH, score
from training.results import Dataset
from training.search.space import Candidate, Neural
from training.settings.config import FitConfig
from training.settings.quiet import load_keras

Observe = Callable[[int, float], None]  # epoch, from 0; its log loss on validation photos


@dataclass(frozen=True)
class Judged:
    """A trained candidate."""

    head: FittedHead
    loss: float  # log loss on validation photos, at the best temperature
    accuracy: float  # on the same


def train_candidate(
    candidate: Candidate, prepared: Dataset, seed: int, observe: Observe = lambda epoch, loss: None
) -> Judged:
    """Train `candidate` on the training side and judge it on the validation side.

    Args:
        prepared: with `ENOUGH` validation photos or more.
        observe: called after each epoch of a neural head; what it raises ends the training.

    Raises:
        Diverged: the loss of a neural head is no longer a number.
    """
    validation, labels = prepared.side("validation")
    classes = len(prepared.class_names)
    if len(labels) < ENOUGH:
        raise ValueError(f"{len(labels)} validation photos; {ENOUGH} can judge a head")
    if isinstance(candidate, Neural):
        head = _train_neural(candidate, prepared, seed, observe)
    else:
        values = None if candidate.strength is None else [candidate.strength]
        head = fit_head(
            *(candidate.kind, *prepared.side("train"), validation, labels, classes, seed),
            balanced=candidate.balanced,
            values=values,
        )
    temperature, facts = score(head.logits(validation), labels)
    scaled = FittedHead(scale_head(head.layers, temperature or 1.0), head.settings | facts)
    return Judged(scaled, facts["validation_log_loss"], facts["validation_accuracy"])


def told_to_fit(candidate: Candidate, config: FitConfig) -> FitConfig:
    """The settings with which `fit` trains a head of this kind; for a neural one, this head."""
    if not isinstance(candidate, Neural):
        return replace(config, head=candidate.kind)
    shape, descent = candidate.shape, asdict(candidate.descent)
    descent |= {"hidden": shape.widths, "initialiser": shape.initialiser}
    return replace(config, head=candidate.kind, activation=shape.activation, **descent)


def _train_neural(candidate: Neural, prepared: Dataset, seed: int, observe: Observe) -> FittedHead:
    load_keras()
    import keras

    from training.heads.neural import fit_neural

    seen: list[Any] = []

    def watch(epoch: Any) -> None:
        seen.append(epoch)
        observe(len(seen) - 1, epoch.judged)

    keras.backend.clear_session()  # of the graphs of the candidates before
    head, curves = fit_neural(
        *(*prepared.side("train"), *prepared.side("validation"), len(prepared.class_names)),
        *(candidate.shape, candidate.descent, seed),
        observe=watch,
    )
    told = {"name": "neural head", "descent": asdict(candidate.descent), "epochs": len(seen)}
    return replace(head, settings=head.settings | told | {"stopped": curves.stopped})

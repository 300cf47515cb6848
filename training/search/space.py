"""What a search tries: every kind of head, with all that can be set of it, turn by turn.

A trial's parameters are plain values by name, as Optuna keeps them; a candidate is the same
as the settings of a head. Each kind is searched on its own, in turns: in one common space a
head with two settings is tuned to the last digit while one with seventeen is hardly begun.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.trial import BaseTrial, FixedTrial

from training.heads.kinds import KINDS
from training.settings.hyperparameters import (
    ACTIVATIONS,
    HEAD,
    INITIALISERS,
    OPTIMISERS,
    SCHEDULES,
    Descent,
    HiddenLayers,
)

NEURAL = "neural"
VERSION = 1  # another space, another study
DEFAULT_RATES = {"sgd": 0.1, "momentum": 0.01, "adam": 1e-3, "adamw": 1e-3}
TURNS = 20  # of a kind with a strength and class weights only: they are settled by then
STRENGTH_RANGES = {"logistic": (1e-5, 1.0), "svm": (1e-3, 30.0), "lda": (1e-3, 0.99)}
BATCHES = (16, 32, 64, 128, 256)
AVERAGINGS = (0.0, 0.9, 0.99, 0.999)


@dataclass(frozen=True)
class Plain:
    """A head of one of the `KINDS`, to be trained."""

    kind: str
    strength: float | None = None  # the kind's setting; None: chosen as `fit` does, or it has none
    balanced: bool = False


@dataclass(frozen=True)
class Neural:
    """A neural head, to be trained."""

    shape: HiddenLayers
    descent: Descent
    kind: str = NEURAL


Candidate = Plain | Neural


def kinds_for(photos: int, classes: int) -> list[str]:
    """The kinds of head that so many training photos allow; the first is that of `fit`."""
    return [kind for kind, row in KINDS.items() if photos >= row.fewest * classes] + [NEURAL]


def defaults(kinds: Sequence[str]) -> list[Candidate]:
    """What is tried first: the head of `fit`, then every other kind as it comes."""
    return [Neural(HiddenLayers(), HEAD) if kind == NEURAL else Plain(kind) for kind in kinds]


def next_kind(number: int, kinds: Sequence[str]) -> str:
    """Whose turn trial `number` is: every second one is neural, the others take turns.

    A kind without settings has its default only; one with few has `TURNS` in all.
    """
    if number < len(kinds):
        return kinds[number]
    turn, plain = divmod(number - len(kinds), 2)
    tuned = [kind for kind in kinds if kind in STRENGTH_RANGES]
    return tuned[turn % len(tuned)] if plain and turn < len(tuned) * (TURNS - 1) else NEURAL


def suggest(trial: BaseTrial, kind: str) -> Candidate:
    """The candidate that a trial's parameters stand for; those that are missing are drawn."""
    if kind == NEURAL:
        return Neural(_suggest_shape(trial), _suggest_descent(trial))
    setting = KINDS[kind].setting
    if not setting:
        return Plain(kind)
    low, high = STRENGTH_RANGES[kind]
    strength = trial.suggest_float(setting, low, high, log=True)
    return Plain(kind, strength, balanced=_suggest_weights(trial) == "balanced")


def parameters(candidate: Candidate, settings: dict[str, Any]) -> dict[str, Any]:
    """The parameters that a trial of this candidate has: what `suggest` reads.

    `settings`: those of the trained head, which know the strength where it was chosen.
    """
    if isinstance(candidate, Plain):
        if not (setting := KINDS[candidate.kind].setting):
            return {}
        weights = "balanced" if candidate.balanced else "none"
        return {setting: settings[setting], "class_weights": weights}
    shape, descent = candidate.shape, candidate.descent
    told = {name: getattr(descent, name) for name in DESCENT_NAMES}
    told |= {"depth": len(shape.widths), "initialiser": shape.initialiser}
    if shape.widths:
        told |= {"width": shape.widths[0], "activation": shape.activation}
    told["relative_rate"] = descent.learning_rate / DEFAULT_RATES[descent.optimiser]
    return told


def recall(params: dict[str, Any], kind: str) -> tuple[Candidate, FixedTrial]:
    """The candidate of known parameters, and a trial that has their distributions."""
    trial = FixedTrial(params)
    return suggest(trial, kind), trial


DESCENT_NAMES = (
    *("optimiser", "schedule", "warm_up", "batch", "epochs", "weight_decay", "label_smoothing"),
    *("mixup", "class_weights", "dropout", "averaging"),
)


def _suggest_weights(trial: BaseTrial) -> str:
    return str(trial.suggest_categorical("class_weights", ("none", "balanced")))


def _suggest_shape(trial: BaseTrial) -> HiddenLayers:
    """Hidden layers of one width; `zeros` is left out, as no hidden layer learns from it."""
    depth = trial.suggest_int("depth", 0, 3)
    initialisers = tuple(name for name in INITIALISERS if name != "zeros")
    shape = HiddenLayers((), initialiser=trial.suggest_categorical("initialiser", initialisers))
    if not depth:
        return shape
    width = trial.suggest_int("width", 32, 1024, log=True)
    activation = trial.suggest_categorical("activation", ACTIVATIONS)
    return replace(shape, widths=(width,) * depth, activation=activation)


def _suggest_descent(trial: BaseTrial) -> Descent:
    """The learning rate is drawn as a share of what suits the optimiser."""
    optimiser = trial.suggest_categorical("optimiser", OPTIMISERS)
    relative = trial.suggest_float("relative_rate", 0.03, 10, log=True)
    return replace(
        HEAD,
        optimiser=optimiser,
        learning_rate=relative * DEFAULT_RATES[optimiser],
        schedule=trial.suggest_categorical("schedule", SCHEDULES),
        warm_up=trial.suggest_float("warm_up", 0, 0.2),
        batch=trial.suggest_categorical("batch", BATCHES),
        epochs=trial.suggest_int("epochs", 8, 60, log=True),
        weight_decay=trial.suggest_float("weight_decay", 1e-6, 0.1, log=True),
        label_smoothing=trial.suggest_float("label_smoothing", 0, 0.2),
        mixup=trial.suggest_float("mixup", 0, 0.6, step=0.1),
        class_weights=_suggest_weights(trial),
        dropout=trial.suggest_float("dropout", 0, 0.7),
        averaging=trial.suggest_categorical("averaging", AVERAGINGS),
    )

"""What a search tries: every kind of head with its hyperparameters, in turns.

A trial's parameters are plain values by name, as Optuna keeps them; a candidate is the same
as the settings of a head. Each kind is searched on its own, in turns: in one common space a
head with two settings is tuned to the last digit while one with seventeen is hardly begun.
To search another hyperparameter, add it to `SEARCHED`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from optuna.trial import BaseTrial, FixedTrial

from training.heads.kinds import KINDS
from training.settings.hyperparameters import (
    ACTIVATIONS,
    CLASS_WEIGHTS,
    HEAD,
    INITIALISERS,
    OPTIMISERS,
    SCHEDULES,
    HiddenLayers,
    Hyperparameters,
)

NEURAL = "neural"
VERSION = 1  # another space, another study
DEFAULT_RATES = {"sgd": 0.1, "momentum": 0.01, "adam": 1e-3, "adamw": 1e-3}
TURNS = 20  # of a kind with a strength and class weights only: they are settled by then
STRENGTH_RANGES = {"logistic": (1e-5, 1.0), "svm": (1e-3, 30.0), "lda": (1e-3, 0.99)}


@dataclass(frozen=True)
class LinearCandidate:
    """A head of one of the `KINDS`, to be trained."""

    kind: str
    strength: float | None = None  # the kind's setting; None: chosen as `fit` does, or it has none
    balanced: bool = False


@dataclass(frozen=True)
class NeuralCandidate:
    """A neural head, to be trained."""

    shape: HiddenLayers
    hyperparameters: Hyperparameters
    kind: str = NEURAL


Candidate = LinearCandidate | NeuralCandidate


def kinds_for(photos: int, classes: int) -> list[str]:
    """List the kinds of head that so many training photos allow; the first is that of `fit`."""
    return [kind for kind, row in KINDS.items() if photos >= row.fewest * classes] + [NEURAL]


def defaults(kinds: Sequence[str]) -> list[Candidate]:
    """List what is tried first: the head of `fit`, then every other kind as it comes."""
    neural = NeuralCandidate(HiddenLayers(), HEAD)
    return [neural if kind == NEURAL else LinearCandidate(kind) for kind in kinds]


def next_kind(number: int, kinds: Sequence[str]) -> str:
    """Choose the kind that trial `number` tries: every second one neural, the others in turns.

    A kind without settings has its default only; one with few has `TURNS` in all.
    """
    if number < len(kinds):
        return kinds[number]
    turn, plain = divmod(number - len(kinds), 2)
    tuned = [kind for kind in kinds if kind in STRENGTH_RANGES]
    return tuned[turn % len(tuned)] if plain and turn < len(tuned) * (TURNS - 1) else NEURAL


def suggest_candidate(trial: BaseTrial, kind: str) -> Candidate:
    """Make the candidate of a trial's parameters; those that are missing are drawn."""
    if kind == NEURAL:
        return NeuralCandidate(_suggest_shape(trial), _suggest_hyperparameters(trial))
    setting = KINDS[kind].setting
    if not setting:
        return LinearCandidate(kind)
    low, high = STRENGTH_RANGES[kind]
    strength = trial.suggest_float(setting, low, high, log=True)
    weights = trial.suggest_categorical("class_weights", CLASS_WEIGHTS)
    return LinearCandidate(kind, strength, balanced=weights == "balanced")


def parameters(candidate: Candidate, setting: Mapping[str, float]) -> dict[str, Any]:
    """List the parameters that a trial of this candidate has: what `suggest_candidate` reads.

    Args:
        setting: of the trained head's record, for a strength that training chose.
    """
    if isinstance(candidate, LinearCandidate):
        if not (name := KINDS[candidate.kind].setting):
            return {}
        weights = "balanced" if candidate.balanced else "none"
        return {name: setting[name], "class_weights": weights}
    shape, hyperparameters = candidate.shape, candidate.hyperparameters
    found = {name: getattr(hyperparameters, name) for name in ("optimiser", *SEARCHED)}
    found |= {"depth": len(shape.widths), "initialiser": shape.initialiser}
    if shape.widths:
        found |= {"width": shape.widths[0], "activation": shape.activation}
    rate = hyperparameters.learning_rate / DEFAULT_RATES[hyperparameters.optimiser]
    return found | {"relative_rate": rate}


def recall(params: dict[str, Any], kind: str) -> tuple[Candidate, FixedTrial]:
    """Make the candidate of known parameters, and a trial that has their distributions."""
    trial = FixedTrial(params)
    return suggest_candidate(trial, kind), trial


# What is drawn for each hyperparameter of a neural head. Another line, another `VERSION`.
SEARCHED: dict[str, Callable[[BaseTrial, str], Any]] = {
    "schedule": lambda trial, name: trial.suggest_categorical(name, SCHEDULES),
    "warm_up": lambda trial, name: trial.suggest_float(name, 0, 0.2),
    "batch": lambda trial, name: trial.suggest_categorical(name, (16, 32, 64, 128, 256)),
    "epochs": lambda trial, name: trial.suggest_int(name, 8, 60, log=True),
    "weight_decay": lambda trial, name: trial.suggest_float(name, 1e-6, 0.1, log=True),
    "label_smoothing": lambda trial, name: trial.suggest_float(name, 0, 0.2),
    "mixup": lambda trial, name: trial.suggest_float(name, 0, 0.6, step=0.1),
    "class_weights": lambda trial, name: trial.suggest_categorical(name, CLASS_WEIGHTS),
    "dropout": lambda trial, name: trial.suggest_float(name, 0, 0.7),
    "averaging": lambda trial, name: trial.suggest_categorical(name, (0.0, 0.9, 0.99, 0.999)),
}


def _suggest_shape(trial: BaseTrial) -> HiddenLayers:
    """Draw hidden layers of one width, without `zeros`: no hidden layer learns from it."""
    depth = trial.suggest_int("depth", 0, 3)
    initialisers = tuple(name for name in INITIALISERS if name != "zeros")
    shape = HiddenLayers((), initialiser=trial.suggest_categorical("initialiser", initialisers))
    if not depth:
        return shape
    width = trial.suggest_int("width", 32, 1024, log=True)
    activation = trial.suggest_categorical("activation", ACTIVATIONS)
    return replace(shape, widths=(width,) * depth, activation=activation)


def _suggest_hyperparameters(trial: BaseTrial) -> Hyperparameters:
    """Draw hyperparameters; the learning rate is drawn as a share of what suits the optimiser."""
    optimiser = trial.suggest_categorical("optimiser", OPTIMISERS)
    relative = trial.suggest_float("relative_rate", 0.03, 10, log=True)
    rate = relative * DEFAULT_RATES[optimiser]
    drawn = {name: draw(trial, name) for name, draw in SEARCHED.items()}
    return replace(HEAD, optimiser=optimiser, learning_rate=rate, **drawn)

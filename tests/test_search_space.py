"""What a search tries: every candidate is one that `fit` could be config to train."""

import optuna
import pytest

from training.heads.kinds import KINDS
from training.search.candidate import config_for
from training.search.space import (
    NEURAL,
    STRENGTH_RANGES,
    TURNS,
    LinearCandidate,
    NeuralCandidate,
    defaults,
    kinds_for,
    next_kind,
    parameters,
    recall,
    suggest_candidate,
)
from training.settings.config import FitConfig
from training.settings.hyperparameters import HEAD, HiddenLayers, Hyperparameters

KINDS_ALL = kinds_for(photos=100, classes=4)


def drawn(kind: str, count: int):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [suggest_candidate(study.ask(), kind) for _ in range(count)]


def test_the_defaults_of_every_kind_come_first_and_that_of_fit_before_them():
    first = defaults(KINDS_ALL)
    assert [candidate.kind for candidate in first] == [*KINDS, "neural"]
    assert first[0] == LinearCandidate(FitConfig().head)
    assert first[-1] == NeuralCandidate(HiddenLayers(), HEAD)


@pytest.mark.parametrize(
    "candidate",
    [
        LinearCandidate("svm", 0.3, balanced=True),
        LinearCandidate("prototypes"),
        NeuralCandidate(HiddenLayers(), HEAD),
        NeuralCandidate(
            HiddenLayers(()), Hyperparameters(optimiser="sgd", learning_rate=0.05, mixup=0.2)
        ),
        NeuralCandidate(
            HiddenLayers((64, 64, 64), "gelu", "he_normal"), Hyperparameters(averaging=0.99)
        ),
    ],
)
def test_parameters_bring_back_the_candidate_they_were_made_from(candidate):
    setting = KINDS[candidate.kind].setting if isinstance(candidate, LinearCandidate) else ""
    settings = {setting: candidate.strength} if setting else {}
    again, trial = recall(parameters(candidate, settings), candidate.kind)
    assert again == candidate
    assert set(trial.distributions) == set(trial.params)  # as a study wants to keep them


def test_every_neural_candidate_is_one_that_fit_could_train():
    candidates = drawn(NEURAL, 200)
    for candidate in candidates:
        config = config_for(candidate, FitConfig())  # refuses what contradicts itself
        assert config.hyperparameters(HEAD) == candidate.hyperparameters
        assert config.hidden_layers.widths == candidate.shape.widths
    assert {len(candidate.shape.widths) for candidate in candidates} == {0, 1, 2, 3}
    assert {candidate.hyperparameters.optimiser for candidate in candidates} == {
        *("sgd", "momentum", "adam", "adamw")
    }


@pytest.mark.parametrize("kind", STRENGTH_RANGES)
def test_strengths_reach_beyond_those_that_fit_tries(kind):
    low, high = STRENGTH_RANGES[kind]
    assert low < min(KINDS[kind].values)
    assert high > max(KINDS[kind].values)
    assert {candidate.balanced for candidate in drawn(kind, 20)} == {False, True}


def test_every_second_trial_is_neural_until_the_plain_kinds_are_settled():
    turns = [next_kind(number, KINDS_ALL) for number in range(300)]
    assert turns[:6] == KINDS_ALL
    assert turns[6:12] == ["neural", "logistic", "neural", "svm", "neural", "lda"]
    for kind in STRENGTH_RANGES:
        assert turns.count(kind) == TURNS
    assert turns.count("centroid") == turns.count("prototypes") == 1  # nothing of them can be set
    assert set(turns[6 + 2 * 3 * (TURNS - 1) :]) == {"neural"}


def test_lda_is_left_out_where_photos_are_too_few_for_it():
    assert "lda" not in kinds_for(photos=5, classes=4)
    assert "lda" not in [next_kind(number, kinds_for(5, 4)) for number in range(300)]

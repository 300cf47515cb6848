"""Each setting has one range: what is out of it is refused, and help shows it."""

import re
from dataclasses import fields

import pytest
from click import Option
from click.testing import CliRunner

from models.errors import SettingError
from training.__main__ import training
from training.heads.forward import ACTIVATIONS
from training.heads.kinds import KINDS as KINDS_OF_HEAD
from training.search.space import STRENGTH_RANGES
from training.settings.config import FitConfig, PredictConfig, SearchBudget
from training.settings.hyperparameters import BLOCKS, HEAD, HiddenLayers, Hyperparameters, Views
from training.settings.setting import option_name, settings_of

# These make the others obeyed, so that nothing but the range can refuse them.
OBEYED = {"head": "neural", "fine_tune": "yes", "backbone": "tiny"}
KINDS = (FitConfig, SearchBudget, PredictConfig)
RANGED = [(kind, name) for kind in KINDS for name, s in settings_of(kind).items() if s.range]


def make(kind, name, value):
    given = {name: (value,) if name == "hidden" else value}
    return kind(**(OBEYED if kind is FitConfig else {}) | given)


@pytest.mark.parametrize(("kind", "name"), RANGED)
def test_both_ends_of_a_range_are_taken_and_what_lies_beyond_is_refused(kind, name):
    known = settings_of(kind)[name]
    assert known.low is not None
    make(kind, name, known.low)
    beyond = [known.low - 1, float("nan")]
    if known.high is not None:
        make(kind, name, known.high)
        beyond.append(known.high + 1)
    for value in beyond:
        refusal = f"--{option_name(name)} is {value}; expected {known.range}"
        with pytest.raises(SettingError, match=f"^{re.escape(refusal)}$"):
            make(kind, name, value)


@pytest.mark.parametrize(
    "words",
    [
        ("fit", "--fine-tune", "yes", "--views", "0"),
        ("fit", "--fine-tune", "yes", "--minutes", "0"),
        ("fit", "--fine-tune", "yes", "--smallest-area", "0"),
        ("search", "--minutes", "0"),
        ("search", "--trials", "0"),
        ("predict", "--top", "0"),
    ],
)
def test_nought_is_a_value_and_refused_where_it_makes_no_sense(words, tmp_path):
    command, *options = words
    places = [str(tmp_path)] * (2 if command == "predict" else 1) + ["--out", str(tmp_path / "b")]
    result = CliRunner().invoke(training, [command, *places, *options], catch_exceptions=False)
    assert result.exit_code == 2
    assert re.match(rf"error: {options[-2]} is 0(\.0)?; expected ", result.output)


@pytest.mark.parametrize("command", ["fit", "search", "predict", "check", "insight", "imagenet"])
def test_every_setting_shows_its_default_and_its_range(command):
    kind = PredictConfig if command == "predict" else FitConfig
    known = settings_of(kind) | (settings_of(SearchBudget) if command == "search" else {})
    named = {option_name(name): setting for name, setting in known.items()}
    options = {
        option.opts[0].removeprefix("--"): str(option.help)
        for option in training.commands[command].params
        if isinstance(option, Option)
    }
    shown = set(options) & set(named)
    assert shown
    for name in shown:
        assert options[name].startswith(named[name].help)
        assert re.fullmatch(r"[A-Z].*\. \[default: .+\]", options[name])
        assert named[name].range in options[name]


def test_a_hyperparameter_is_offered_with_the_range_it_is_checked_with():
    for kind in (Hyperparameters, HiddenLayers, Views):
        for name, known in settings_of(kind).items():
            offered = settings_of(FitConfig)[known.option or name]
            assert (offered.range, offered.choices) == (known.range, known.choices)


def test_what_is_not_given_is_completed_by_the_stage():
    config = FitConfig(head="neural", fine_tune="yes", dropout=0.0, views=1)
    assert (config.hyperparameters(HEAD).dropout, config.hyperparameters(BLOCKS).dropout) == (0, 0)
    assert config.hyperparameters(BLOCKS).epochs == BLOCKS.epochs
    assert config.random_views == Views(views=1)


def test_every_field_but_the_cache_and_the_levels_is_an_option():
    assert {f.name for f in fields(FitConfig)} - set(settings_of(FitConfig)) == {"cache", "levels"}


def test_every_kind_of_head_and_every_activation_can_be_chosen():
    choices = settings_of(FitConfig)["head"].choices
    assert choices == (*KINDS_OF_HEAD, "neural", "auto")
    assert {kind for kind, row in KINDS_OF_HEAD.items() if row.setting} == set(STRENGTH_RANGES)
    assert set(settings_of(HiddenLayers)["activation"].choices) == set(ACTIVATIONS) - {"linear"}

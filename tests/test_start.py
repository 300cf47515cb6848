"""Trials begin before what serves is loaded: they are waited for, and none is left behind."""

import pytest

from models.errors import SettingError
from service.__main__ import load_server
from service.settings import Settings
from service.versions.keeper import Keeper
from service.versions.sources import ModelFolder, NamedBundles
from tests.making import colour_bundle


def test_a_trial_that_has_begun_is_waited_for_and_not_begun_again(tmp_path):
    colour_bundle(tmp_path / "birds")
    keeper = Keeper(ModelFolder(tmp_path))
    keeper.begin()
    (trial,) = keeper._trials.values()
    assert keeper.names == []
    keeper.start()
    assert keeper.names == ["birds"]
    assert keeper.catalogue.editions[0].number == trial._number


def test_no_trial_goes_on_where_a_setting_is_refused(tmp_path):
    keeper = Keeper(NamedBundles([colour_bundle(tmp_path / "birds")]))
    keeper.begin()
    (trial,) = keeper._trials.values()
    with pytest.raises(SettingError, match="api-keys"):
        load_server(keeper, Settings(api_keys=tmp_path / "none"), "127.0.0.1", 1)
    assert trial._process.returncode is not None  # killed, unless it was quicker
    assert trial._process.stdout.closed
    assert not keeper.busy

"""Compiling in a process of its own: the same backbone, and silence where it cannot be done."""

import numpy as np
import pytest

from training.apart import compile_apart
from training.compiled import CompiledStore, build, compile_network
from training.config import FitConfig


@pytest.mark.slow
def test_a_backbone_compiled_apart_is_the_one_compiled_here(tmp_path):
    config = FitConfig(backbone="tiny", seed=3, cache=tmp_path / "cache")
    photos = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    compile_apart(config, photos)
    apart, here = CompiledStore(config).load(), compile_network(build(config), "same", photos)
    assert apart is not None
    assert np.array_equal(apart.photos, photos)
    assert np.array_equal(apart.features, here.features)
    assert apart.graph == here.graph
    assert apart.layers == here.layers


def test_what_cannot_be_compiled_apart_is_left_to_whoever_asked(tmp_path, capfd):
    config = FitConfig(backbone="tiny", weights="gone.h5", cache=tmp_path / "cache")
    compile_apart(config, np.zeros((1, 32, 32, 3), np.uint8))
    assert not (tmp_path / "cache").exists()
    assert capfd.readouterr() == ("", "")

"""Two runs of `fit` at once on a cache that begins empty: both end well, with the same model."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.bundle import Bundle
from models.classifier import Classifier
from tests.making import COLOURS, picture, write_classes
from tests.serving import ROOT, WAIT_S
from training.features.backbone import CompiledStore
from training.features.cache import FeatureCache
from training.settings.config import FitConfig

pytestmark = pytest.mark.pairs


def run(*words: object, cache: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "training", *map(str, words)],
        cwd=ROOT,
        env=os.environ | {"LAYERSCOPE_CACHE": cache},
        capture_output=True,
        text=True,
        timeout=5 * WAIT_S,
    )
    return done.returncode, done.stderr


def test_two_fits_at_once_on_a_fresh_cache_both_succeed(tmp_path):
    photos = write_classes(tmp_path / "photos", 14)
    outs = [tmp_path / "one", tmp_path / "other"]
    with ThreadPoolExecutor(2) as pool:
        words = [("fit", photos, "--out", out, "--backbone", "tiny", "--quiet") for out in outs]
        runs = [pool.submit(run, *each, cache=str(tmp_path / "cache")) for each in words]
    assert [each.result() for each in runs] == [(0, ""), (0, "")]
    one, other = (Classifier(Bundle(out)) for out in outs)
    pixels = one.decode(picture(COLOURS["red"]))[None]
    np.testing.assert_allclose(one.predict(pixels), other.predict(pixels), atol=1e-5)


def test_many_threads_open_one_fresh_cache_and_find_the_same_among_photos(tmp_path):
    def open_and_write(number: int) -> list[tuple[int, str]]:
        cache = FeatureCache(tmp_path, "tiny", "w", FitConfig(backbone="tiny").framing)
        try:
            cache.add([(bytes([number]), np.zeros(4))], [])
            return cache.kept_rows("pairs", [b"a"], lambda: [(1, "x")])
        finally:
            cache.close()

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(open_and_write, range(32))) == [[(1, "x")]] * 32


def test_a_compiled_backbone_that_another_run_has_just_kept_is_no_error(tmp_path):
    store = CompiledStore(FitConfig(backbone="tiny", cache=tmp_path))
    for content in ("first", "second"):  # the second replaces it, as where the first is damaged
        folder = tmp_path / f".{content}"
        folder.mkdir()
        (folder / "facts.json").write_text(content)
        store._put(folder)
        assert (store.path / "facts.json").read_text() == content

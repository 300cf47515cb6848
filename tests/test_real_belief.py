"""What is said of real photos can be calibrated: the clothing photos, and photos of other things.

Needs the folder `clothing` in $LAYERSCOPE_DATASETS.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from benchmarks import foreign
from models.images import Framing, decode_image
from models.runtime import Graph
from tests.conftest import encode_photo
from tests.real import dataset
from training.features.backbone import compile_backbone
from training.heads.calibrated_head import CalibratedHead, calibrate_head
from training.heads.choose import choose_head
from training.heads.fit import fit_head
from training.heads.fitted_head import FittedHead
from training.heads.forward import apply_head
from training.heads.held_out import Sides
from training.heads.kinds import KINDS
from training.photos.find import find_photos
from training.prepare import features_of, open_cache
from training.settings.config import FitConfig
from training.settings.console import Stages

pytestmark = [pytest.mark.photos, pytest.mark.slow, pytest.mark.nodes]

SIZE = 224  # px
Side = tuple[np.ndarray, np.ndarray]  # features (N, F), labels (N,)


class Clothing:
    """The features of the clothing photos, and the backbone that gives them."""

    def __init__(self, folder: Path):
        config, stages = FitConfig(insight=False), Stages(quiet=True)
        listing = find_photos(folder)
        compiled = compile_backbone(config, stages)
        with closing(open_cache(compiled, config)) as cache:
            found = features_of(listing, compiled, cache, config, stages)
        assert found.computed == 0  # kept since the bundle was trained
        self.graph = Graph(compiled.graph_with(["features"]))
        names = sorted({photo.label for photo in found.photos})
        labels = np.array([names.index(photo.label) for photo in found.photos])
        sides = np.array([photo.side for photo in found.photos])
        self.train, self.validation, self.test = (
            (found.vectors[sides == side], labels[sides == side])
            for side in ("train", "validation", "test")
        )
        self.sides = Sides(*self.train, *self.validation, classes=len(names))

    def features(self, encoded: list[bytes]) -> np.ndarray:
        """(N, F) float32."""

        def answer(data: bytes) -> np.ndarray:
            pixels = decode_image(data, Framing(SIZE, "crop", 0.875))
            return self.graph.run(pixels[None], ["features"])[0][0]

        with ThreadPoolExecutor(2) as pool:
            return np.stack(list(pool.map(answer, encoded)))


@pytest.fixture(scope="module")
def known(clothing: Path) -> Clothing:
    """`clothing` has left the features in the cache."""
    return Clothing(dataset("clothing"))


@pytest.fixture(scope="module")
def head(known: Clothing) -> FittedHead:
    return fit_head("logistic", known.sides)


@pytest.fixture(scope="module")
def calibrated(known: Clothing, head: FittedHead) -> CalibratedHead:
    return calibrate_head(head, known.sides).measured(*known.test)


def test_auto_is_at_least_as_accurate_as_promised(known):
    features, labels = known.test
    chosen = choose_head(list(KINDS), known.sides)
    assert (apply_head(chosen.layers, features).argmax(1) == labels).mean() >= 0.88


def test_the_calibration_error_falls_on_the_test_photos(calibrated):
    test = calibrated.calibration.test
    before, after = (each.expected_calibration_error for each in (test.before, test.after))
    assert after < before
    assert after < 0.04


def test_prediction_sets_of_nine_in_ten_hold_the_truth_for_87_to_93_in_100(calibrated):
    assert 0.87 <= calibrated.calibration.test.prediction_sets.coverage <= 0.93


@pytest.mark.parametrize("kind", foreign.KINDS)
def test_what_is_no_photo_of_clothing_is_called_unlike_the_training_photos(known, calibrated, kind):
    photos = foreign.KINDS[kind](np.random.default_rng(0))
    scores = calibrated.familiarity.familiarity.score(
        known.features([encode_photo(each) for each in photos])
    )
    assert (scores < calibrated.familiarity.familiarity.least).mean() >= 0.95


def test_its_own_test_photos_are_not(calibrated):
    assert calibrated.calibration.test.familiarity.like_training >= 0.93

"""INT8 keeps its promises on real photos: the clothing photos, and pictures of other things.

Needs the folder `clothing` in $LAYERSCOPE_DATASETS.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from benchmarks import foreign
from models.bundle import Bundle
from models.classifier import Classifier
from tests.conftest import encode_photo
from tests.real import dataset
from training.evaluation.evaluate import evaluate_bundle

pytestmark = [pytest.mark.photos, pytest.mark.slow, pytest.mark.nodes]


@pytest.fixture(scope="module")
def int8(clothing) -> Classifier:
    return Classifier(Bundle(clothing), precision="int8")


@pytest.fixture(scope="module")
def tested(int8):
    return evaluate_bundle(int8, dataset("clothing"), workers=2)


def test_validation_accuracy_is_within_half_a_point_and_so_are_the_answers(int8):
    facts = int8.manifest.int8
    assert facts.photos == 341
    assert facts.accuracy >= facts.accuracy_fp32 - 0.005
    assert facts.mean_difference <= 0.05


def test_test_accuracy_is_about_that_of_float32(int8, tested):
    fp32 = int8.manifest.metrics["test"]["accuracy"]
    assert tested["accuracy"] >= fp32 - 0.015  # 372 photos: five of them by chance


def test_prediction_sets_and_familiarity_hold_for_the_test_photos(tested):
    assert 0.87 <= tested["prediction_sets"]["coverage"] <= 0.94
    assert tested["familiarity"]["like_training"] >= 0.93


@pytest.mark.parametrize("kind", foreign.KINDS)
def test_what_is_no_photo_of_clothing_is_called_unlike_the_training_photos(int8, kind):
    pictures = foreign.KINDS[kind](np.random.default_rng(0))

    def familiar(picture: np.ndarray) -> bool:
        reading = int8.read(int8.decode(encode_photo(picture)))
        return bool(reading.familiarity >= int8.familiarity.least)

    with ThreadPoolExecutor(2) as pool:
        assert np.mean(list(pool.map(familiar, pictures))) <= 0.05

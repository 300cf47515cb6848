"""The worst mistakes: which they are, and that their saliency is that of the network."""

import io

import numpy as np
import pytest
from PIL import Image

from models.bundle import Bundle
from models.images import Limits
from tests.making import COLOURS, picture
from training.photos.find import Photo
from training.report.gallery import ClassifiedPhotos
from training.report.mistakes import Explainer, worst_mistakes

NAMES = ["blue", "green", "red"]


@pytest.fixture
def tested(tmp_path):
    """Three photos: one recognised, two not, the second with more confidence."""
    photos = []
    for number, name in enumerate(NAMES):
        path = tmp_path / f"{name}.png"
        path.write_bytes(picture(COLOURS[name], number))
        photos.append(Photo(path, name))
    probabilities = np.array([[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.2, 0.7, 0.1]])
    return ClassifiedPhotos(photos, np.array([0, 1, 2]), probabilities, NAMES)


@pytest.fixture
def explainer(insight_bundle):
    bundle = Bundle(insight_bundle)
    files = {name: bundle.read(name) for name in ("layers.onnx", "head.onnx")}
    return Explainer(files, bundle.manifest.layers, bundle.manifest.framing)


def test_the_most_confident_mistake_comes_first(tested):
    found = worst_mistakes(tested, Limits())
    assert [(each.truth, each.predicted) for each in found] == [("red", "green"), ("green", "blue")]
    assert [each.probability for each in found] == [0.7, 0.6]
    assert found[0].speaks_for_predicted is None  # nobody was asked


def test_each_mistake_shows_what_spoke_for_the_answer_and_for_the_truth(tested, explainer):
    for each in worst_mistakes(tested, Limits(), explainer):
        sizes = [
            Image.open(io.BytesIO(content or b"")).size
            for content in (each.speaks_for_predicted, each.speaks_for_truth)
        ]
        assert sizes == [(32, 32), (32, 32)]  # what the network saw
        assert each.speaks_for_predicted != each.speaks_for_truth


def test_the_maps_glow_where_the_class_is(explainer):
    photo = np.zeros((32, 32, 3), np.uint8)
    photo[:, :16] = COLOURS["red"]
    photo[:, 16:] = COLOURS["blue"]
    red, blue = (
        np.asarray(Image.open(io.BytesIO(content))).astype(float)
        for content in explainer.draw(photo, [NAMES.index("red"), NAMES.index("blue")])
    )
    # what is laid over both photos is the same but for the maps
    assert (red - blue)[:, 2:12].mean() > (red - blue)[:, 20:30].mean()


def test_a_network_without_saliency_shows_its_mistakes_bare(tested, insight_bundle):
    bundle = Bundle(insight_bundle)
    explainer = Explainer({}, [], bundle.manifest.framing)
    found = worst_mistakes(tested, Limits(), explainer)
    assert len(found) == 2
    assert found[0].speaks_for_predicted is None

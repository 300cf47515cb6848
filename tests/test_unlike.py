"""The benchmark of foreign pictures: what it draws, and what it counts."""

import numpy as np
import pytest

from benchmarks.foreign import KINDS
from benchmarks.unlike import as_png, unlike
from models.bundle import Bundle
from models.classifier import Classifier
from tests.making import believe_colours, colour_bundle


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_as_photos_are_and_alike_each_time(kind):
    once, again = (KINDS[kind](np.random.default_rng(0)) for _ in range(2))
    assert len(once) >= 60
    assert all(each.dtype == np.uint8 and each.shape[2] == 3 for each in once)
    assert all(np.array_equal(one, other) for one, other in zip(once, again, strict=True))
    assert len({each.tobytes() for each in once}) == len(once)


def test_it_counts_the_pictures_that_are_called_unlike_and_leaves_out_what_is_none(tmp_path):
    plain = colour_bundle(tmp_path / "plain")
    classifier = Classifier(Bundle(believe_colours(plain, tmp_path / "known")))
    red, grey = (as_png(np.full((8, 8, 3), c, np.uint8)) for c in ((200, 5, 5), (90, 90, 90)))
    assert unlike(classifier, [red, grey, b"no picture", grey]) == [False, True, True]

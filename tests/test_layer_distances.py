"""A fine-tuned network knows foreign photos by several layers: by hand, in a file, end to end."""

import shutil

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial.distance import cdist

from models.bundle import Bundle, LayerEntry, seal
from models.bundles.calibration import FamiliarityThreshold
from models.bundles.names import MANIFEST
from models.classifier import Classifier
from models.errors import BundleError
from models.familiarity import FILE, read_familiarity
from tests.making import colour_bundle
from training.evaluation import layer_distances
from training.evaluation.layer_distances import (
    Pooled,
    choose_compared,
    fit_distances,
    fit_layer,
    weigh,
)

CLASSES = 3


def pooled(photos: int, seed: int, textures: float = 0.0) -> tuple[Pooled, np.ndarray]:
    """Photos whose features lie at their classes, whatever they show, and a lower layer.

    Args:
        textures: how far the lower layer is from where training photos have it.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(photos) % CLASSES
    low = rng.normal(size=(photos, 20)) + np.eye(20)[-1] * textures
    features = 5 * np.eye(10)[labels] + 0.3 * rng.normal(size=(photos, 10))
    vectors = np.concatenate([low, features], axis=1).astype("f4")
    return Pooled(["cut", "features"], [20, 10], vectors), labels


@pytest.fixture(scope="module")
def fitted():
    return fit_distances(*pooled(300, 0), pooled(200, 1)[0])


def test_the_distance_is_mahalanobis_to_the_nearest_class(monkeypatch):
    monkeypatch.setattr(layer_distances, "SHRINKAGE", 0.0)
    photos, labels = pooled(300, 0)
    points = photos.parts()[1]
    others = pooled(50, 1)[0].parts()[1] + 1
    centres = np.stack([points[labels == label].mean(axis=0) for label in range(CLASSES)])
    covariance = np.cov((points - centres[labels]).T, bias=True)
    expected = cdist(others, centres, "mahalanobis", VI=np.linalg.inv(covariance)).min(axis=1) ** 2
    found = fit_layer(points, labels).parts(others)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-3)
    np.testing.assert_allclose(found[:, 1], 0, atol=2e-3)  # every direction was kept


def test_what_lies_outside_the_directions_counts_by_its_variance(monkeypatch):
    monkeypatch.setattr(layer_distances, "DIRECTIONS", 4)
    photos, labels = pooled(300, 0)
    layer = fit_layer(photos.parts()[0], labels)
    held = layer.parts(pooled(300, 1)[0].parts()[0])
    weighed = weigh(layer, held)
    assert held[:, 1].mean() == pytest.approx(16, rel=0.1)  # of 20 channels with a variance of 1
    assert weighed.weights[1] / weighed.weights[0] == pytest.approx(16 / held[:, 1].mean())
    assert (held @ weighed.weights).mean() == pytest.approx(1)
    strange = (photos.parts()[0] + 12 * np.eye(20)[3]).astype("f4")
    assert (layer.parts(strange) @ weighed.weights).min() > 2  # wherever its channel counts


def test_a_photo_bent_to_a_class_is_known_by_the_lower_layer(fitted):
    known = fitted.familiarity
    own, foreign = pooled(300, 2)[0].vectors, pooled(300, 3, textures=9)[0].vectors
    assert (known.score(own) >= known.least).mean() > 0.93
    assert (known.score(foreign) < known.least).mean() > 0.97
    alone = fit_layer(pooled(300, 0)[0].parts()[1], pooled(300, 0)[1])
    bent = alone.parts(foreign[:, 20:])[:, 0].mean() / alone.parts(own[:, 20:])[:, 0].mean()
    assert bent == pytest.approx(1, abs=0.1)  # by the features alone nothing is to be seen


def test_a_photo_as_far_as_others_that_were_held_out_has_a_half(fitted):
    scores = fitted.familiarity.score(pooled(300, 2)[0].vectors)
    assert np.median(scores) == pytest.approx(0.5, abs=0.03)
    assert scores.max() <= 1
    assert fitted.threshold.least == fitted.familiarity.least < 0.5
    assert (fitted.threshold.layers, fitted.threshold.set_on) == (["cut", "features"], "validation")


def test_the_threshold_misses_the_share_that_was_asked_for():
    found = fit_distances(*pooled(300, 0), pooled(1000, 1)[0], missed=0.05).familiarity
    fresh = found.score(pooled(1000, 2)[0].vectors)
    assert (fresh < found.least).mean() == pytest.approx(0.05, abs=0.02)


def test_without_validation_photos_the_training_photos_judge_each_other():
    photos, labels = pooled(300, 0)
    found = fit_distances(photos, labels, photos.of([]))
    assert (found.threshold.set_on, found.threshold.photos) == ("train", 300)
    fresh = found.familiarity.score(pooled(1000, 2)[0].vectors)
    assert (fresh < found.familiarity.least).mean() == pytest.approx(0.03, abs=0.02)
    assert fit_distances(photos.of(range(9)), labels[:9], photos.of([])) is None  # too few


def test_one_photo_of_a_class_or_a_channel_that_never_varies_breaks_nothing():
    photos, labels = pooled(40, 0)
    vectors = photos.vectors.copy()
    vectors[:, 0] = 7  # as of a channel that is dead on these photos
    photos, labels = photos._replace(vectors=vectors), np.where(np.arange(40) == 5, 9, labels)
    found = fit_distances(photos, labels, photos.of([])).familiarity
    assert np.isfinite(found.score(vectors)).all()
    woken = vectors.copy()
    woken[:, 0] = 8
    assert (found.score(woken) < found.least).all()
    flat = photos._replace(vectors=np.ones_like(vectors))
    assert np.isfinite(fit_distances(flat, labels, flat).familiarity.score(vectors)).all()


@pytest.mark.parametrize("value", [3e38, -3e38, np.inf])
def test_maps_too_large_to_compare_are_familiar_to_nothing(fitted, value):
    assert fitted.familiarity.score(np.full((1, 30), value, np.float32)).tolist() == [0]


def layer(name: str, block: bool = True) -> LayerEntry:
    return LayerEntry(name=name, kind="Add", height=4, width=4, channels=8, stride=16,
                      receptive_field=9, trunk=True, block=block)  # fmt: skip


def test_the_cut_and_blocks_above_it_are_compared_evenly_but_for_the_last():
    names = [f"block{number}" for number in range(10)]
    layers = [layer("stem", block=False), *map(layer, names)]
    assert choose_compared(layers, "block3") == ["block3", "block5", "block8"]
    assert choose_compared(layers, "block7") == ["block7", "block8"]
    assert choose_compared(layers, "block8") == ["block8"]  # block9 gives the features
    assert choose_compared(layers, "stem") == ["stem", "block3", "block8"]


def believing(target, arrays, **changes):
    """A bundle that compares the mean colour, called `pooled`, with classes."""
    plain = colour_bundle(target.parent / f"plain-{target.name}", pooled=True)
    shutil.copytree(plain, target)
    manifest = Bundle(target).manifest
    (target / MANIFEST).unlink()
    np.savez(target / FILE, **arrays)
    known = FamiliarityThreshold(**{"layers": ["features"], "least": 0.3} | changes)
    thresholds = manifest.thresholds.model_copy(update={"familiarity": known})
    update = {"name": target.name, "files": {}, "thresholds": thresholds}
    seal(target, manifest.model_copy(update=update), target)
    return Bundle(target)


@pytest.fixture(scope="module")
def colours():
    """What photos of nearly pure red, green and blue have in common."""
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 3
    vectors = (200 * np.eye(3)[labels] + rng.uniform(0, 20, (90, 3))).astype("f4")
    photos = Pooled(["features"], [3], vectors)
    return fit_distances(photos, labels, photos)


def test_what_is_written_is_what_is_read_and_answered_by(colours, tmp_path):
    bundle = believing(tmp_path / "known", colours.familiarity.arrays(), least=0.3)
    classifier = Classifier(bundle)
    for colour, like in (((200, 10, 10), True), ((120, 120, 120), False)):
        answer = classifier.describe(classifier.read(np.full((8, 8, 3), colour, np.uint8)), top=1)
        assert answer["in_distribution"] is like
        expected = colours.familiarity.score(np.array([colour], np.float32))[0]
        assert answer["familiarity"] == pytest.approx(expected, abs=1e-4)


def test_arrays_that_make_no_sense_are_refused_when_the_bundle_is_opened(colours, tmp_path):
    good = colours.familiarity.arrays()
    broken = {
        "do not fit": good | {"spreads0": good["spreads0"][:2]},
        "arrays of shape .* do not fit": good | {"centres0": good["centres0"][:0]},
        "not finite": good | {"mean0": good["mean0"] * np.float32(np.nan)},
        "a scale that is not above 0": good | {"scale0": 0 * good["scale0"]},
        "a scale that is not above": good | {"spreads0": 0 * good["spreads0"]},
        "weights0 is not among its arrays": {k: v for k, v in good.items() if k != "weights0"},
    }
    for number, (reason, arrays) in enumerate(broken.items()):
        with pytest.raises(BundleError, match=f"{FILE} is not as expected: .*{reason}"):
            Classifier(believing(tmp_path / f"broken{number}", arrays))
    wide = believing(tmp_path / "wide", good)
    with pytest.raises(BundleError, match="3 mean maps; the network has 4"):
        read_familiarity(wide, wide.manifest.thresholds.familiarity, 4)


def test_a_graph_without_the_maps_is_refused_when_the_bundle_is_opened(colours, tmp_path):
    bundle = believing(tmp_path / "known", colours.familiarity.arrays())
    plain = Bundle(colour_bundle(tmp_path / "plain"))
    known = bundle.manifest.thresholds
    manifest = plain.manifest.model_copy(update={"thresholds": known, "files": {}})
    (plain.path / MANIFEST).unlink()
    (plain.path / FILE).write_bytes(bundle.read(FILE))
    seal(plain.path, manifest, plain.path)
    with pytest.raises(BundleError, match=r"predict\.onnx has no output 'pooled'"):
        Classifier(Bundle(plain.path))


@pytest.mark.parametrize("given", [{}, {"neighbours": 3, "layers": ["a"]}, {"layers": []}])
def test_a_threshold_is_of_one_way_to_compare(given):
    with pytest.raises(ValidationError, match=r"neighbours or layers|at least 1 item"):
        FamiliarityThreshold(least=0.5, **given)

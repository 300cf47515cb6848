"""Is a photo like those of training: by hand, from a file, over HTTP, and on made-up photos."""

import json
import shutil

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.neighbors import NearestNeighbors

from models.bundle import Bundle, Manifest, seal
from models.bundles.names import MANIFEST
from models.classifier import Classifier
from models.errors import BundleError
from models.familiarity import FILE, NearPhotos
from service.app import create_app
from service.settings import Settings
from tests.making import believe_colours, colour_bundle, picture
from training.evaluation import familiarity
from training.evaluation.evaluate import evaluate_bundle
from training.evaluation.familiarity import fit_familiarity
from training.predict import predict_folder
from training.settings.console import Stages

RED, GREY, YELLOWISH = (200, 5, 5), (120, 120, 120), (130, 120, 5)


@pytest.fixture(scope="module")
def believed(tmp_path_factory):
    place = tmp_path_factory.mktemp("bundles")
    return believe_colours(colour_bundle(place / "plain"), place / "believed")


def test_familiarity_is_the_cosine_to_the_kth_nearest_photo():
    photos = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    for neighbours, expected in ((1, [1, 0.8]), (2, [0.8, 0.6]), (3, [0, 0])):
        known = NearPhotos(np.eye(2, dtype=np.float32), photos, neighbours, 0.5)
        asked = np.array([[0, 7], [3, 0]], np.float32)  # the length does not count
        scores = known.score(asked)
        assert scores[0] == pytest.approx(expected[0])
        assert scores[1] == pytest.approx({1: 1, 2: 0.6, 3: 0}[neighbours])


def test_features_that_are_all_zero_are_familiar_to_nothing():
    known = NearPhotos(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), 1, 0.5)
    assert known.score(np.zeros((1, 2), np.float32)).tolist() == [0]


def clouds(count: int, seed: int, size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Two directions in 40 dimensions, with some noise."""
    labels = np.arange(count) % 2
    rng = np.random.default_rng(seed)
    return (5 * np.eye(size)[labels] + rng.normal(size=(count, size))).astype("f4"), labels


def test_it_equals_scikit_learns_neighbours_where_all_directions_are_kept():
    train, labels = clouds(80, 0)
    others, _ = clouds(60, 1)
    fitted = fit_familiarity(train, labels, others)
    model = NearestNeighbors(n_neighbors=5, metric="cosine").fit(train)
    expected = 1 - model.kneighbors(others)[0][:, 4]
    np.testing.assert_allclose(fitted.familiarity.score(others), expected, atol=1e-5)
    assert fitted.threshold.neighbours == 5
    assert fitted.threshold.set_on == "validation"


def test_the_threshold_misses_the_share_that_was_asked_for():
    train, labels = clouds(300, 0)
    fitted = fit_familiarity(train, labels, clouds(1000, 1)[0], missed=0.05)
    fresh = fitted.familiarity.score(clouds(1000, 2)[0])
    assert (fresh < fitted.familiarity.least).mean() == pytest.approx(0.05, abs=0.02)
    strange = np.random.default_rng(3).normal(size=(200, 40)).astype("f4")
    assert (fitted.familiarity.score(strange) < fitted.familiarity.least).mean() > 0.95


def test_few_directions_lose_little(monkeypatch):
    train, labels = clouds(300, 0)
    monkeypatch.setattr(familiarity, "DIRECTIONS", 2)  # the two the clouds lie in
    fitted = fit_familiarity(train, labels, clouds(200, 1)[0])
    assert fitted.familiarity.photos.shape == (300, 2)
    np.testing.assert_allclose(
        fitted.familiarity.directions.T @ fitted.familiarity.directions - np.eye(2), 0, atol=1e-5
    )
    strange = np.random.default_rng(3).normal(size=(200, 40)).astype("f4")
    assert (fitted.familiarity.score(strange) < fitted.familiarity.least).mean() > 0.95


def test_of_many_photos_every_class_keeps_its_share(monkeypatch):
    train, _ = clouds(100, 0)
    labels = np.array([0] * 96 + [1] * 4)
    monkeypatch.setattr(familiarity, "PHOTOS", 20)
    fitted = fit_familiarity(train, labels, train)
    assert len(fitted.familiarity.photos) == 20
    rare = fitted.familiarity.score(train[96:])
    assert fitted.familiarity.neighbours == 5
    nearest = (fitted.familiarity.photos @ fitted.familiarity.photos.T).max()
    assert nearest == pytest.approx(1, abs=1e-5)
    assert (rare > 0).all()


def test_without_validation_photos_the_training_photos_judge_each_other():
    train, labels = clouds(60, 0)
    fitted = fit_familiarity(train, labels, train[:0])
    assert fitted.threshold.set_on == "train"
    assert fitted.familiarity.least < 1  # none was compared with itself
    assert fit_familiarity(train[:4], labels[:4], train[:0]) is None  # too few to say anything


def test_answers_say_what_a_photo_may_be_and_whether_it_is_familiar(believed):
    classifier = Classifier(Bundle(believed))
    red = classifier.describe(classifier.read(classifier.decode(picture(RED))), top=5)
    assert red["predictions"][0]["label"] == "red"
    assert red["prediction_set"] == ["red"]
    assert red["in_distribution"] is True
    assert red["familiarity"] == pytest.approx(200 / np.hypot(200, np.hypot(5, 5)), abs=1e-3)
    grey = classifier.describe(classifier.read(classifier.decode(picture(GREY))), top=1)
    assert sorted(grey["prediction_set"]) == ["blue", "green", "red"]  # a third each
    assert grey["in_distribution"] is False
    assert grey["familiarity"] == pytest.approx(3**-0.5, abs=1e-3)


def test_a_prediction_set_is_never_empty(believed, tmp_path):
    sure = Classifier(Bundle(believe_colours(believed, tmp_path / "sure", least_probability=0.9)))
    answer = sure.describe(sure.read(sure.decode(picture(YELLOWISH))), top=5)
    assert answer["predictions"][0]["probability"] < 0.9
    assert answer["prediction_set"] == ["red"]


def test_the_service_and_predict_say_the_same(believed, tmp_path):
    (tmp_path / "grey.png").write_bytes(picture(GREY))
    predict_folder(Classifier(Bundle(believed)), tmp_path / "grey.png", tmp_path / "out.jsonl", 5,
                   Stages(quiet=True), workers=1)  # fmt: skip
    line = json.loads((tmp_path / "out.jsonl").read_text())
    client = create_app([believed], Settings()).test_client()
    answer = client.post("/predict", data=picture(GREY)).json
    assert {key: line[key] for key in answer} == answer
    assert set(answer) == {
        *("model", "version", "predictions", "prediction_set", "in_distribution", "familiarity"),
    }
    assert client.get("/models/believed").json["coverage"] == 0.9


def test_a_bundle_that_knows_nothing_of_this_answers_without_it(believed):
    plain = believed.parent / "plain"
    client = create_app([plain], Settings()).test_client()
    assert set(client.post("/predict", data=picture(RED)).json or {}) == {
        *("model", "version", "predictions"),
    }
    assert client.get("/models/plain").json["coverage"] is None


def test_evaluate_measures_sets_and_familiarity(believed, tmp_path):
    for label, colour in (("red", RED), ("green", GREY)):
        (tmp_path / label).mkdir()
        for seed in range(3):
            (tmp_path / label / f"{seed}.png").write_bytes(picture(colour, seed))
    numbers = evaluate_bundle(Classifier(Bundle(believed)), tmp_path, workers=1)
    assert numbers["familiarity"]["like_training"] == 0.5
    assert numbers["prediction_sets"]["promised"] == 0.9
    assert numbers["prediction_sets"]["mean_size"] <= 2


def corrupt(believed, target, arrays):
    """A copy of the bundle with other arrays, hashed anew."""
    shutil.copytree(believed, target)
    manifest = Bundle(target).manifest
    (target / MANIFEST).unlink()
    np.savez(target / FILE, **arrays)
    seal(target, manifest.model_copy(update={"name": target.name, "files": {}}), target)
    return Bundle(target)


EYE = np.eye(3, dtype=np.float32)
BROKEN = {
    "do not fit": {"directions": EYE, "photos": EYE[:, :2]},
    "not finite": {"directions": EYE, "photos": EYE * np.float32(np.nan)},
    "the network has 3": {"directions": np.eye(4, 3, dtype=np.float32), "photos": EYE},
    "photos is not among its arrays": {"directions": EYE},
    "Object arrays cannot be loaded": {"directions": EYE, "photos": np.array([{}], object)},
}


@pytest.mark.parametrize("reason", BROKEN)
def test_arrays_that_make_no_sense_are_refused_when_the_bundle_is_opened(
    believed, tmp_path, reason
):
    broken = corrupt(believed, tmp_path / "broken", BROKEN[reason])
    with pytest.raises(BundleError, match=f"{FILE} is not as expected: .*{reason}"):
        Classifier(broken)


@pytest.mark.parametrize(
    "thresholds",
    [
        {"prediction_set": {"coverage": 0.9, "least_probability": 1.5}},
        {"prediction_set": {"coverage": 0.9, "least_probability": "0.2"}},
        {"prediction_set": 0.2},
        {"familiarity": {"neighbours": 0, "least": 0.8}},
        {"familiarity": {"neighbours": 1, "least": float("inf")}},
        {"familiarity": {"neighbours": 1}},
    ],
)
def test_thresholds_that_make_no_sense_are_refused_by_their_place(believed, thresholds):
    fields = Bundle(believed).manifest.model_dump() | {"thresholds": thresholds}
    with pytest.raises(ValidationError, match=rf"thresholds\.{next(iter(thresholds))}"):
        Manifest.model_validate(fields)


def test_more_neighbours_than_photos_are_refused(believed, tmp_path):
    one = EYE[:0]
    with pytest.raises(BundleError, match=r"neighbours is 1; expected 1 to 0"):
        Classifier(corrupt(believed, tmp_path / "broken", {"directions": EYE, "photos": one}))


def test_an_altered_file_is_not_read(believed, tmp_path):
    shutil.copytree(believed, tmp_path / "altered")
    (tmp_path / "altered" / FILE).write_bytes(b"something else")
    with pytest.raises(BundleError, match=f"{FILE} was altered"):
        Classifier(Bundle(tmp_path / "altered"))

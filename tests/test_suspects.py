"""Likely wrong labels, on features whose truth is known."""

import hashlib
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.images import Framing
from training.doctor import suspects
from training.doctor.suspects import find_suspects, predict_held_out, suspects_of
from training.features.cache import FeatureCache
from training.features.compute import Features
from training.photos.find import Photo

LABELS = ("ape", "bee", "cat")


def clouds(count: int, spread: float = 1.0, seed: int = 0) -> tuple[np.ndarray, list[Photo]]:
    """`count` photos of each class around a point of its own, in 12 dimensions."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(5 * np.eye(3, 12), count, axis=0)
    vectors = (centres + rng.normal(0, spread, centres.shape)).astype(np.float32)
    photos = [Photo(Path(f"{label}{n}.png"), label) for label in LABELS for n in range(count)]
    return vectors, photos


def digests_of(photos: list[Photo]) -> list[bytes]:
    return [hashlib.sha256(str(index).encode()).digest() for index in range(len(photos))]


def alone(photos: list[Photo]) -> list[list[int]]:
    return [[index] for index in range(len(photos))]


def test_flipped_labels_come_first_with_the_label_they_look_like():
    vectors, photos = clouds(60)
    for index in (0, 70, 150):
        photos[index] = replace(photos[index], label="ape" if index else "bee")
    found = find_suspects(vectors, photos, digests_of(photos), alone(photos))
    assert {each.place for each in found[:3]} == {0, 70, 150}
    assert {each.place: each.likely for each in found[:3]} == {0: "ape", 70: "bee", 150: "cat"}
    assert max(each.chance for each in found[:3]) < 0.1


def test_suspects_are_found_once_for_the_same_photos_and_labels(tmp_path, monkeypatch):
    vectors, photos = clouds(20)
    photos[0] = replace(photos[0], label="bee")
    features = Features(photos, vectors, digests_of(photos), [], 0)
    with closing(FeatureCache(tmp_path, "tiny", "weights", Framing(32))) as cache:
        found = suspects_of(features, [], cache)
        assert found[0].place == 0
        monkeypatch.setattr(suspects, "find_suspects", lambda *asked: pytest.fail("found again"))
        assert suspects_of(features, [], cache) == found
        monkeypatch.setattr(suspects, "find_suspects", lambda *asked: [])
        photos[0] = replace(photos[0], label="ape")  # other labels: asked anew
        assert suspects_of(features, [], cache) == []


def test_labels_that_are_right_are_left_alone():
    vectors, photos = clouds(60, spread=0.5)
    assert find_suspects(vectors, photos, digests_of(photos), alone(photos)) == []


def test_a_copy_with_the_same_wrong_label_does_not_speak_for_it():
    vectors, photos = clouds(20)
    vectors[1:10] = vectors[0]  # ten copies of one bee, all called ape
    vectors[:10] += np.float32(5) * (
        np.eye(12, dtype=np.float32)[1] - np.eye(12, dtype=np.float32)[0]
    )
    units = [list(range(10)), *alone(photos)[10:]]
    found = {each.place for each in find_suspects(vectors, photos, digests_of(photos), units)}
    assert set(range(10)) <= found


def test_a_class_of_two_photos_is_not_judged():
    vectors, photos = clouds(30)
    photos[0] = replace(photos[0], label="rare")
    photos[1] = replace(photos[1], label="rare")
    found = find_suspects(vectors, photos, digests_of(photos), alone(photos))
    assert not {0, 1} & {each.place for each in found}


def test_nothing_is_said_of_one_class():
    vectors, photos = clouds(10)
    photos = [replace(photo, label="ape") for photo in photos]
    assert find_suspects(vectors, photos, digests_of(photos), alone(photos)) == []


def test_probabilities_mean_what_they_say():
    vectors, _ = clouds(300, spread=2.2)
    labels = np.repeat(range(3), 300)
    folds = np.arange(900) % 5
    probabilities = predict_held_out(vectors, labels, folds)
    assert probabilities.sum(axis=1) == pytest.approx(1)
    right = (probabilities.argmax(axis=1) == labels).mean()
    assert 0.6 < right < 0.95
    assert probabilities.max(axis=1).mean() == pytest.approx(right, abs=0.04)  # calibrated


def test_a_feature_that_never_changes_does_no_harm():
    vectors, _ = clouds(20)
    vectors[:, 3] = 7
    labels = np.repeat(range(3), 20)
    assert (
        predict_held_out(vectors, labels, np.arange(60) % 5).argmax(axis=1) == labels
    ).mean() > 0.9

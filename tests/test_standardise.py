"""Features are standardised in one place, and classes are dealt out evenly in another."""

import numpy as np

from training.evaluation.folds import turns
from training.heads.standardise import Standardisation

FEATURES = np.array([[1, 10, 3.7], [3, 30, 3.7], [5, 20, 3.7]], np.float32)


def test_features_get_mean_0_and_spread_1_and_a_constant_one_is_dropped():
    scaled = Standardisation.of(FEATURES).apply(FEATURES)
    step = np.sqrt(1.5)  # of three equal steps, in spreads
    np.testing.assert_allclose(scaled, [[-step, -step, 0], [0, step, 0], [step, 0, 0]], atol=1e-6)
    assert scaled.dtype == np.float32


def test_folded_weights_give_the_same_scores_for_features_as_they_are():
    scale = Standardisation.of(FEATURES)
    kernel, bias = np.array([[1.0, -1], [0.5, 2], [7, 7]]), np.array([0.25, -4.0])
    folded, shifted = scale.fold(kernel, bias)
    expected = scale.apply(FEATURES) @ kernel + bias
    np.testing.assert_allclose(FEATURES @ folded + shifted, expected, atol=1e-5)
    again, back = scale.unfold(folded, shifted)
    np.testing.assert_allclose(again, kernel * [[1], [1], [0]])  # of the constant one: nothing
    np.testing.assert_allclose(back, bias)


def test_the_photos_of_each_class_take_turns_in_the_order_given():
    labels = np.array([0, 1, 0, 0, 1])
    assert turns(labels, np.array([4, 3, 2, 1, 0])).tolist() == [2, 1, 1, 0, 0]
    names = np.array(["b", "a", "b"])
    assert turns(names, np.array([0, 1, 2])).tolist() == [0, 0, 1]
    assert turns(np.array([], str), np.array([], int)).tolist() == []

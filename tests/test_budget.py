"""Minutes become views and epochs."""

import keras
import numpy as np
import pytest

from training.fine_tuning.budget import (
    MARGIN,
    Plan,
    enough_epochs,
    measure_step,
    plan_within,
)
from training.settings.hyperparameters import FEW_STEPS, Hyperparameters


@pytest.mark.parametrize("left_s", [100, 300, 600, 1200, 3600])
def test_a_plan_fits_into_the_time_that_is_left(left_s):
    plan = plan_within(left_s, photos=3000, validation=300, view_s=0.006, step_s=0.013)
    cost = (plan.views * 3000 + 300) * 0.006 + plan.epochs * (3000 + 150) * 0.013
    assert cost <= MARGIN * left_s or plan == Plan(2, 1)


def test_more_time_means_more_epochs():
    epochs = [plan_within(left, 3000, 300, 0.006, 0.013).epochs for left in (60, 200, 400, 800)]
    assert epochs == sorted(epochs)
    assert epochs[0] == 1
    assert epochs[-1] > 10


def test_few_photos_are_trained_on_for_enough_steps():
    assert enough_epochs(8, photos=100, batch=32) == 75  # 4 steps an epoch
    assert enough_epochs(8, photos=5, batch=32) == FEW_STEPS
    assert enough_epochs(8, photos=3000, batch=32) == 8
    assert plan_within(600, 100, 20, 0.006, 0.013, most=75) == Plan(8, 75)


def test_many_validation_photos_leave_less_time_to_train():
    few, many = (plan_within(400, 3000, validation, 0.006, 0.013) for validation in (300, 9000))
    assert many.epochs < few.epochs


def test_even_without_time_something_is_trained():
    assert plan_within(-5, 3000, 300, 0.006, 0.013) == Plan(2, 1)


def test_a_plan_changes_the_epochs_only():
    assert Plan(4, 9).hyperparameters(Hyperparameters(mixup=0.3)) == Hyperparameters(
        mixup=0.3, epochs=9
    )


def test_measuring_a_step_leaves_the_network_as_it_is():
    image = keras.Input((4, 4, 2))
    x = keras.layers.Flatten()(keras.layers.Conv2D(3, 3)(image))
    model = keras.Model(image, keras.layers.Dense(2)(x))
    before = model.get_weights()
    assert 0 < measure_step(model, 4) < 5
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))

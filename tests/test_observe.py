"""The training loop reports each epoch when it is over, also those before a restart."""

import keras
import numpy as np
import pytest

from training.heads.neural import build_neural
from training.optimisation.checkpoint import Checkpoint
from training.optimisation.epochs import Epoch
from training.optimisation.loop import train
from training.optimisation.training_set import TrainingSet
from training.settings.hyperparameters import HiddenLayers, Hyperparameters

SETTINGS = Hyperparameters(epochs=4, batch=8, patience=0)


@pytest.fixture
def training_set() -> TrainingSet:
    points = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    labels = (points[:, 0] > 0).astype(int)

    def read(rows: np.ndarray, epoch: int = 0) -> np.ndarray:
        return points[rows]

    return TrainingSet(read, labels[:32], read, labels[:8], classes=2, seed=0)


def fresh() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_neural(5, 2, HiddenLayers((4,)), 0.1)[0]


def test_each_epoch_is_observed_when_it_is_over(training_set):
    seen: list[Epoch] = []
    curves = train(fresh(), training_set, SETTINGS, observe=seen.append)
    assert seen == curves.epochs
    assert len(seen) == 4
    assert curves.stopped == "all epochs were done"


def test_a_run_taken_up_again_reports_its_earlier_epochs_first(training_set, tmp_path):
    whole: list[Epoch] = []
    train(fresh(), training_set, SETTINGS, observe=whole.append)
    seen: list[Epoch] = []

    def killed(epoch: Epoch) -> None:
        seen.append(epoch)
        if len(seen) == 3:
            raise KeyboardInterrupt  # before the third epoch is written down

    checkpoint = Checkpoint(tmp_path, "recipe")
    with pytest.raises(KeyboardInterrupt):
        train(fresh(), training_set, SETTINGS, checkpoint, observe=killed)
    again: list[Epoch] = []
    train(fresh(), training_set, SETTINGS, checkpoint, observe=again.append)
    assert again == whole

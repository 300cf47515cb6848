"""The training loop learns, stops, names the step where it diverges, and goes on after a kill."""

import keras
import numpy as np
import pytest

from models.errors import Diverged, SettingError
from training.heads.neural import build_neural
from training.optimisation.checkpoint import Checkpoint
from training.optimisation.loop import train, validate
from training.optimisation.optimiser import make_optimiser
from training.optimisation.training_set import TrainingSet
from training.settings.hyperparameters import ACTIVATIONS, OPTIMISERS, HiddenLayers, Hyperparameters

CLASSES = 4
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(200, 16)).astype("float32")
LABELS = INPUTS[:, :CLASSES].argmax(1)
VALIDATION = RNG.normal(size=(80, 16)).astype("float32")
VALIDATION_LABELS = VALIDATION[:, :CLASSES].argmax(1)
TRAINING_SET = TrainingSet(
    lambda rows, epoch: INPUTS[rows],
    LABELS,
    lambda rows: VALIDATION[rows],
    VALIDATION_LABELS,
    CLASSES,
    seed=0,
)
QUICK = Hyperparameters(epochs=6, learning_rate=0.01, patience=0)


def network(dropout=0.3, activation="relu", widths=(32,)):
    keras.utils.set_random_seed(1)
    return build_neural(16, CLASSES, HiddenLayers(widths, activation), dropout)[0]


class Killed(Exception):
    """In the place of kill -9, for tests that need it at an exact step."""


def killed_after(steps):
    done = [0]

    def progress(count):
        done[0] += count
        if done[0] >= steps:
            raise Killed

    return progress


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_every_optimiser_lowers_the_loss(optimiser):
    rate = {"sgd": 0.3, "momentum": 0.05}.get(optimiser, 0.01)
    settings = Hyperparameters(optimiser=optimiser, learning_rate=rate, epochs=8, patience=0)
    curves = train(network(), TRAINING_SET, settings)
    assert curves.best_loss < 0.8 * curves.start_loss
    assert curves.epochs[curves.best].validation_accuracy > 0.6  # by chance: 0.25


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_can_be_learnt_through(activation):
    curves = train(network(0, activation), TRAINING_SET, QUICK)
    assert curves.best_loss < 0.9 * curves.start_loss


@pytest.mark.parametrize("settings", [
    QUICK,
    Hyperparameters(epochs=6, averaging=0.9, mixup=0.2, label_smoothing=0.1,
                    class_weights="balanced"),
    Hyperparameters(epochs=6, optimiser="momentum", schedule="constant", patience=2, min_gain=10),
])  # fmt: skip
def test_a_run_that_was_killed_ends_with_the_same_weights_as_an_unbroken_one(settings, tmp_path):
    whole = network()
    curves = train(whole, TRAINING_SET, settings)
    checkpoint, broken = Checkpoint(tmp_path, "recipe"), network()
    with pytest.raises(Killed):
        train(
            broken, TRAINING_SET, settings, checkpoint, killed_after(7 + 3)
        )  # in the second epoch
    keras.utils.set_random_seed(99)  # another process: nothing may hang on its random state
    resumed = network()
    again = train(resumed, TRAINING_SET, settings, checkpoint)
    assert again == curves
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_updates_that_are_compiled_are_those_that_are_not(optimiser, monkeypatch, tmp_path):
    settings = Hyperparameters(
        optimiser=optimiser, learning_rate=0.01, epochs=2, patience=0, averaging=0.9
    )
    plain, compiled = network(), network()
    train(plain, TRAINING_SET, settings)
    monkeypatch.setattr("training.optimisation.optimiser.MANY_WEIGHTS", 1)
    with pytest.raises(Killed):  # and a run that was killed goes on from its state
        train(network(), TRAINING_SET, settings, Checkpoint(tmp_path, "x"), killed_after(10))
    train(compiled, TRAINING_SET, settings, Checkpoint(tmp_path, "x"))
    assert type(compiled.optimizer).__name__ == "Compiled"
    for one, other in zip(plain.get_weights(), compiled.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_checkpoint_cut_short_is_passed_over(tmp_path):
    checkpoint = Checkpoint(tmp_path, "recipe")
    train(network(), TRAINING_SET, QUICK, checkpoint)
    content = checkpoint.path.read_bytes()
    checkpoint.path.write_bytes(content[: len(content) // 2])
    assert len(train(network(), TRAINING_SET, QUICK, checkpoint).epochs) == 6


def test_another_recipe_does_not_take_up_the_state(tmp_path):
    assert Checkpoint(tmp_path, (QUICK, 1)).path != Checkpoint(tmp_path, (QUICK, 2)).path


def test_the_best_epoch_is_kept_and_not_the_last():
    few = TrainingSet(
        TRAINING_SET.read, LABELS[:20], TRAINING_SET.read_validation, VALIDATION_LABELS, CLASSES, 0
    )
    model = network(0)
    settings = Hyperparameters(epochs=60, learning_rate=0.03, patience=0, schedule="constant")
    curves = train(model, few, settings)
    assert curves.best < 59  # it overfits 20 photos
    assert validate(model, few).calibrated_loss == pytest.approx(curves.best_judged)


def test_the_last_epoch_is_kept_where_that_is_set():
    few = TrainingSet(
        TRAINING_SET.read, LABELS[:20], TRAINING_SET.read_validation, VALIDATION_LABELS, CLASSES, 0
    )
    model = network(0)
    settings = Hyperparameters(
        epochs=60, learning_rate=0.03, patience=0, schedule="constant", keep="last"
    )
    curves = train(model, few, settings)
    assert curves.best == 59
    assert curves.lowest < 59  # it overfits 20 photos all the same
    assert validate(model, few).calibrated_loss == pytest.approx(curves.epochs[-1].judged)


def test_it_stops_when_nothing_is_gained_any_more():
    settings = Hyperparameters(epochs=50, patience=3, min_gain=10.0)  # nobody gains that much
    curves = train(network(), TRAINING_SET, settings)
    assert len(curves.epochs) == 3
    assert curves.stopped == "no gain of 10 in 3 epochs"


def test_it_stops_at_a_target_loss():
    curves = train(network(), TRAINING_SET, Hyperparameters(epochs=50, target_loss=1.2, patience=0))
    assert curves.epochs[-1].loss <= 1.2 < curves.epochs[-2].loss
    assert "reached 1.2" in curves.stopped


def test_a_loss_that_is_no_number_says_the_step_and_the_learning_rate():
    wild = Hyperparameters(optimiser="sgd", learning_rate=10, weight_decay=10, warm_up=0, epochs=60)
    with pytest.raises(Diverged, match=r"at step \d+, .* learning rate was .*--learning-rate 1,"):
        train(network(widths=(32, 32, 32)), TRAINING_SET, wild)


def test_the_rate_warms_up_and_falls_to_zero():
    optimiser = make_optimiser(Hyperparameters(learning_rate=0.5, warm_up=0.1), steps=100)
    rates = []
    for step in (0, 5, 10, 55, 100):
        optimiser.iterations.assign(step)
        rates.append(float(optimiser.learning_rate))
    assert rates == pytest.approx([0, 0.25, 0.5, 0.25, 0], abs=1e-6)


def test_rare_classes_count_as_much_as_common_ones():
    labels = np.array([0] * 30 + [1] * 10)
    training_set = TrainingSet(
        TRAINING_SET.read, labels, TRAINING_SET.read_validation, VALIDATION_LABELS, 2, 0
    )
    weights = training_set.batch(Hyperparameters(batch=40, class_weights="balanced"), 0, 0)[2]
    assert sorted(set(weights.tolist())) == pytest.approx([40 / 60, 40 / 20])
    assert weights.sum() == pytest.approx(40)


def test_mixup_mixes_inputs_and_labels_by_the_same_share():
    plain = TRAINING_SET.batch(Hyperparameters(batch=8), 0, 0)
    mixed = TRAINING_SET.batch(Hyperparameters(batch=8, mixup=0.4), 0, 0)
    assert mixed[1].sum(axis=1) == pytest.approx(np.ones(8))
    assert not np.array_equal(mixed[0], plain[0])
    share = mixed[1].max()
    assert 0.5 <= share <= 1


@pytest.mark.parametrize(("field", "value"), [
    ("optimiser", "adagrad"), ("schedule", "steps"), ("learning_rate", 0), ("warm_up", 1.5),
    ("batch", 0), ("epochs", 0), ("weight_decay", -1), ("label_smoothing", 1), ("mixup", -0.1),
    ("dropout", 1.0), ("averaging", 1.0), ("class_weights", "some"), ("patience", -1),
])  # fmt: skip
def test_a_hyperparameter_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(SettingError, match=f"--{field.replace('_', '-')} is"):
        Hyperparameters(**{field: value})


def test_hidden_layers_check_themselves():
    with pytest.raises(SettingError, match="9 layers; expected 8"):
        HiddenLayers((4,) * 9)
    with pytest.raises(SettingError, match="--initialiser zeros contradicts --hidden"):
        HiddenLayers((4,), initialiser="zeros")

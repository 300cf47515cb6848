"""The hyperparameters of gradient descent, each with its range and what it is good for."""

from dataclasses import dataclass

from models.errors import SettingError

OPTIMISERS = ("sgd", "momentum", "adam", "adamw")
SCHEDULES = ("constant", "cosine")
ACTIVATIONS = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu")
INITIALISERS = ("glorot_uniform", "he_normal", "lecun_normal", "zeros")


@dataclass(frozen=True)
class Descent:
    """How weights are learnt by gradient descent."""

    optimiser: str = "adamw"  # sgd, momentum (0.9), adam, adamw
    learning_rate: float = 1e-3  # the largest of the schedule; 1e-7 to 10
    schedule: str = "cosine"  # down to zero (Loshchilov & Hutter 2017, arXiv:1608.03983); constant
    warm_up: float = 0.1  # share of all steps during which the rate rises; 0 to 0.9
    batch: int = 32  # photos a step; 1 to 4096
    epochs: int = 40  # at most; 1 to 10,000
    weight_decay: float = 1e-4  # lambda, decoupled (Loshchilov & Hutter 2019, arXiv:1711.05101)
    label_smoothing: float = 0.0  # of the certainty that labels claim; 0 to 0.9
    mixup: float = 0.0  # alpha (Zhang et al. 2018, arXiv:1710.09412); 0: off; to 10
    class_weights: str = "none"  # balanced: rare classes count as much as common ones
    dropout: float = 0.2  # of what enters each layer of the head; 0 to 0.95
    averaging: float = 0.0  # of the weights over steps: share that stays at each; 0: off
    patience: int = 8  # epochs without a gain before it stops; 0: never
    min_gain: float = 1e-3  # of validation log loss, that counts as one; 0 or more
    target_loss: float = 0.0  # stop when the training loss is below; 0: off

    def __post_init__(self) -> None:
        one_of("optimiser", self.optimiser, OPTIMISERS)
        one_of("schedule", self.schedule, SCHEDULES)
        one_of("class-weights", self.class_weights, ("none", "balanced"))
        within("learning-rate", self.learning_rate, 1e-7, 10)
        within("warm-up", self.warm_up, 0, 0.9)
        within("batch", self.batch, 1, 4096)
        within("epochs", self.epochs, 1, 10_000)
        within("weight-decay", self.weight_decay, 0, 10)
        within("label-smoothing", self.label_smoothing, 0, 0.9)
        within("mixup", self.mixup, 0, 10)
        within("dropout", self.dropout, 0, 0.95)
        within("averaging", self.averaging, 0, 0.9999)
        within("patience", self.patience, 0, 10_000)
        within("min-gain", self.min_gain, 0, 10)
        within("target-loss", self.target_loss, 0, 100)


@dataclass(frozen=True)
class HiddenLayers:
    """The shape of a neural head: depth and width."""

    widths: tuple[int, ...] = (256,)  # neurons of each hidden layer; up to 8 layers, 1 to 8192
    activation: str = "relu"
    initialiser: str = "glorot_uniform"

    def __post_init__(self) -> None:
        if len(self.widths) > 8:
            raise SettingError(f"--hidden has {len(self.widths)} layers; expected 8 or fewer")
        for width in self.widths:
            within("hidden", width, 1, 8192)
        one_of("activation", self.activation, ACTIVATIONS)
        one_of("initialiser", self.initialiser, INITIALISERS)
        if self.initialiser == "zeros" and self.widths:
            raise SettingError(
                "--initialiser zeros contradicts --hidden: all neurons of a layer "
                "would stay equal; use another initialiser, or --hidden none"
            )


def within(name: str, value: float, lowest: float, highest: float) -> None:
    """Raise SettingError unless lowest <= value <= highest."""
    if not lowest <= value <= highest:
        raise SettingError(f"--{name} is {value}; expected {lowest} to {highest}")


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raise SettingError unless `value` is among the known ones."""
    if value not in known:
        raise SettingError(f"--{name} is {value!r}; expected {', '.join(known)}")


HEAD = Descent()  # of a neural head on cached features
BLOCKS = Descent(  # of the upper blocks; see docs/training.md for what was tried
    learning_rate=5e-4,
    epochs=8,
    weight_decay=0.02,
    label_smoothing=0.1,
    dropout=0.3,
    averaging=0.995,
    patience=0,
)

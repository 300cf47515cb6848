"""Hyperparameters: their defaults, their ranges, and what each is good for.

Of gradient descent, of the shape of a neural head, and of the views that fine-tuning trains on.
`config.py` offers each as an option.
"""

from dataclasses import dataclass, replace

from models.errors import SettingError
from training.settings.setting import check_settings, setting

OPTIMISERS = ("sgd", "momentum", "adam", "adamw")
SCHEDULES = ("constant", "cosine")
CLASS_WEIGHTS = ("none", "balanced")
KEEP = ("best", "last")
ACTIVATIONS = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu")
INITIALISERS = ("glorot_uniform", "he_normal", "lecun_normal", "zeros")
MOST_HIDDEN = 8  # hidden layers


@dataclass(frozen=True)
class Hyperparameters:
    """How weights are learnt by gradient descent; the defaults are those of a neural head."""

    optimiser: str = setting(
        "adamw", "Optimiser of a neural head or of the upper blocks.", choices=OPTIMISERS
    )  # momentum: 0.9
    learning_rate: float = setting(1e-3, "Largest learning rate of the schedule.", 1e-7, 10)
    schedule: str = setting(
        "cosine", "Course of the learning rate after warming up.", choices=SCHEDULES
    )  # cosine: down to zero (Loshchilov & Hutter 2017, arXiv:1608.03983)
    warm_up: float = setting(
        0.1, "Share of all steps during which the learning rate rises.", 0, 0.9
    )
    batch: int = setting(32, "Photos in one step.", 1, 4096)
    epochs: int = setting(40, "Largest number of passes over the training photos.", 1, 10_000)
    weight_decay: float = setting(
        1e-4, "Weight decay, decoupled from the gradient.", 0, 10
    )  # lambda (Loshchilov & Hutter 2019, arXiv:1711.05101)
    label_smoothing: float = setting(
        0.0, "Share of each label that is spread over all classes.", 0, 0.9
    )
    mixup: float = setting(
        0.0, "Alpha of mixup, which blends pairs of photos and labels; 0: off.", 0, 10
    )  # Zhang et al. 2018, arXiv:1710.09412
    class_weights: str = setting(
        "none", "Weights of the classes; balanced: rare ones count as much.", choices=CLASS_WEIGHTS
    )
    dropout: float = setting(0.2, "Dropout in front of each layer of the head.", 0, 0.95)
    averaging: float = setting(
        0.0, "Share of the averaged weights that stays at each step; 0: off.", 0, 0.9999
    )
    keep: str = setting(
        "best",
        "Epoch whose weights are kept: the best on validation photos, or the last.",
        choices=KEEP,
    )
    patience: int = setting(
        8, "Epochs without a gain before training stops; 0: never stop early.", 0, 10_000
    )
    min_gain: float = setting(
        1e-3, "Smallest fall of the validation log loss that counts as a gain.", 0, 10
    )
    target_loss: float = setting(
        0.0, "Training loss at which training stops; 0: no target.", 0, 100
    )

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class HiddenLayers:
    """The shape of a neural head: depth, width, activation, and how its weights begin."""

    widths: tuple[int, ...] = setting(
        (256,),
        f"Neurons of each hidden layer of a neural head, up to {MOST_HIDDEN}; none: no such layer.",
        low=1,
        high=8192,
        option="hidden",
    )
    activation: str = setting("relu", "Activation of its hidden layers.", choices=ACTIVATIONS)
    initialiser: str = setting(
        "glorot_uniform", "Distribution that its weights are drawn from.", choices=INITIALISERS
    )

    def __post_init__(self) -> None:
        if len(self.widths) > MOST_HIDDEN:
            raise SettingError(
                f"--hidden has {len(self.widths)} layers; expected {MOST_HIDDEN} or fewer"
            )
        check_settings(self)
        if self.initialiser == "zeros" and self.widths:
            raise SettingError(
                "--initialiser zeros contradicts --hidden: all neurons of a layer "
                "would stay equal; use another initialiser, or --hidden none"
            )


@dataclass(frozen=True)
class Views:
    """The random crops of each photo that fine-tuning trains on."""

    views: int = setting(4, "Views of each photo to fine-tune on, with the plain one.", 1, 64)
    smallest_area: float = setting(
        0.45, "Smallest share of a photo's area that a random view keeps.", 0.05, 1
    )
    mirror: bool = setting(
        True, "Mirror half of the random views; turn it off where that changes the class."
    )

    def __post_init__(self) -> None:
        check_settings(self)


HEAD = Hyperparameters()  # of a neural head on cached features
BLOCKS = Hyperparameters(  # of the upper blocks; see docs/measurements.md for what was tried
    learning_rate=5e-4,
    epochs=12,
    weight_decay=0.02,
    label_smoothing=0.1,
    dropout=0.3,
    averaging=0.995,
    keep="last",  # the rate ends at zero: the last epoch is the best but for luck
    patience=0,
)
FEW_STEPS = 300  # of training the upper blocks: fewer are too few for a head from zero
FEW_A_CLASS = 20  # training photos: with fewer, trained blocks may be worse than frozen ones
BLOCKS_FEW_STEPS = replace(BLOCKS, keep="best")  # where fewer are made

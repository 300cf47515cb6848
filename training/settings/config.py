"""Every setting of a run, in one place, checked when it is made.

The commands take their options from here: each field is one, with its help.
"""

import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from models.building.backbones import Backbone, find_backbone
from models.cores import usable_cores
from models.errors import SettingError
from models.images import FORMATS, MORE_FORMATS, Framing, Levels, Limits, Resize
from training.settings.hyperparameters import (
    ACTIVATIONS,
    HEAD,
    INITIALISERS,
    OPTIMISERS,
    SCHEDULES,
    Descent,
    HiddenLayers,
    one_of,
    within,
)

HEADS = ("logistic", "svm", "lda", "centroid", "prototypes", "neural", "auto")
FINE_TUNE = ("no", "yes", "auto")
FRACTION = 0.875  # as in ImageNet evaluation: what the backbone was trained for
FRACTION_TUNED = 1.0  # random views reach the edges of a photo; what is served should, too
OWN = "as suits"  # how a default of None is shown


def default_cache() -> Path:
    """Where features are kept: $LAYERSCOPE_CACHE, or `layerscope` in the user's cache folder."""
    chosen = os.environ.get("LAYERSCOPE_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(home) / "layerscope"


def _set(default: Any, told: str, choices: tuple[str, ...] = (), shown: str = "") -> Any:
    """A setting: its default, what a person is told, what it may be, how the default is shown."""
    return field(default=default, metadata={"help": told, "choices": choices, "shown": shown})


@dataclass(frozen=True)
class FitConfig:
    """What `fit` may be told. None means: as suits what is trained (see hyperparameters.py)."""

    backbone: str = _set("efficientnet-lite0", "A name that `backbones` lists.")
    weights: str = _set("", "embedded, imagenet (downloaded), none, or a file.", shown="its own")
    size: int = _set(0, "Input side in px; 0: what the backbone was trained at.")
    resize: Resize = _set("crop", "How a photo meets the square.", ("crop", "squash"))
    fraction: float | None = _set(
        None, "Of the shorter side, that a crop keeps; 0.1 to 1.", shown="0.875; 1 if fine-tuned"
    )
    seed: int = _set(0, "Gives the same split, features and weights.")
    validation_share: float = _set(0.15, "Of photos that came without a side; 0.05 to 0.4.")
    test_share: float = _set(0.15, "Likewise.")
    threads: int = _set(0, "That decode and compute features; 0: one for each core.")
    max_megapixels: float = _set(25.0, "Larger photos are skipped; 0.001 to 1000.")
    more_formats: bool = _set(False, "Also read TIFF, AVIF and HEIC (pip install pi-heif).")
    insight: bool = _set(True, "Find out what each layer detects.")
    layers: tuple[str, ...] = _set((), "To look into, with commas.", shown="every block")
    check: bool = _set(True, "Let the data doctor examine photos and labels.")
    exclude: Path | None = _set(None, "A list of photos to leave out, text or CSV.", shown="none")
    coverage: float = _set(0.9, "Of the truth by prediction sets; 0.5 to 0.999.")

    head: str = _set("logistic", "What is trained on the features.", HEADS)
    hidden: tuple[int, ...] | None = _set(
        None, "Neurons of each hidden layer of a neural head, with commas.", shown="256"
    )
    activation: str | None = _set(None, "Of its hidden layers.", ACTIVATIONS, "relu")
    initialiser: str | None = _set(
        None, "Of its weights, before training.", INITIALISERS, "glorot_uniform"
    )

    fine_tune: str = _set("no", "Train the upper blocks too; auto: if it pays.", FINE_TUNE)
    cut: str | None = _set(None, "The layer below which nothing is trained.", shown="chosen")
    views: int | None = _set(None, "Of each photo, with the plain one; 1 to 64.", shown="4")
    smallest_area: float | None = _set(
        None, "Of a photo, that a random view keeps; 0.05 to 1.", shown="0.45"
    )
    minutes: float | None = _set(
        None, "Fine-tune with as many views and epochs as fit; 1 to 10,000.", shown="no limit"
    )

    optimiser: str | None = _set(None, "Of a neural head or of blocks.", OPTIMISERS, "adamw")
    learning_rate: float | None = _set(None, "The largest of its schedule.", shown=OWN)
    find_rate: bool = _set(False, "Try learning rates first and take the best.")
    schedule: str | None = _set(None, "Of the learning rate.", SCHEDULES, "cosine")
    warm_up: float | None = _set(None, "Share of steps while the rate rises.", shown="0.1")
    batch: int | None = _set(None, "Photos a step.", shown="32")
    epochs: int | None = _set(None, "At most.", shown=OWN)
    weight_decay: float | None = _set(None, "Lambda, decoupled.", shown=OWN)
    label_smoothing: float | None = _set(None, "0 to 0.9.", shown=OWN)
    mixup: float | None = _set(None, "Alpha; 0: off.", shown=OWN)
    class_weights: str | None = _set(
        None, "balanced: rare classes count as much.", ("none", "balanced"), "none"
    )
    dropout: float | None = _set(None, "Of what enters each layer of the head.", shown=OWN)
    averaging: float | None = _set(None, "Of weights over steps; 0: off.", shown=OWN)
    patience: int | None = _set(None, "Epochs without a gain before it stops.", shown=OWN)
    min_gain: float | None = _set(None, "Of validation log loss.", shown="0.001")
    target_loss: float | None = _set(None, "Stop at this training loss; 0: off.", shown="0")

    tensorboard: Path | None = _set(None, "A folder for TensorBoard's logs.", shown="none")
    mlflow: str = _set("", "The address of an MLflow server, or a folder.", shown="none")
    cache: Path = field(default_factory=default_cache)
    levels: Levels | None = None  # of deep pixels: what the photos use (photos/levels.py)

    def __post_init__(self) -> None:
        find_backbone(self.backbone)
        within("seed", self.seed, 0, 2**32 - 1)
        within("validation-share", self.validation_share, 0.05, 0.4)
        within("test-share", self.test_share, 0.05, 0.4)
        within("threads", self.threads, 0, 256)
        within("max-megapixels", self.max_megapixels, 0.001, 1000)
        self.framing  # noqa: B018 - it checks itself
        for entry in fields(self):
            value, choices = getattr(self, entry.name), entry.metadata.get("choices")
            if choices and value is not None:
                one_of(entry.name.replace("_", "-"), value, choices)
        within("views", self.views or 4, 1, 64)
        within("smallest-area", 1 if self.smallest_area is None else self.smallest_area, 0.05, 1)
        within("coverage", self.coverage, 0.5, 0.999)
        within("minutes", self.minutes or 1, 1, 10_000)
        self._contradictions()
        self.hidden_layers, self.descent(HEAD)  # both check themselves

    def _contradictions(self) -> None:
        """Refuse settings that nothing would obey. Raises SettingError, naming both."""
        descending = self.head == "neural" or self.fine_tune != "no"
        for entry in fields(Descent):
            given = getattr(self, entry.name) is not None and entry.name != "class_weights"
            if not descending and given:
                _clash(entry.name, f"--head {self.head}", "--head neural or --fine-tune yes")
        if self.find_rate and not descending:
            _clash("find_rate", f"--head {self.head}", "--head neural or --fine-tune yes")
        if self.find_rate and self.learning_rate is not None:
            _clash("find_rate", "--learning-rate", "one of the two")
        for name in ("hidden", "activation", "initialiser"):
            if self.head != "neural" and getattr(self, name) is not None:
                _clash(name, f"--head {self.head}", "--head neural")
        for name in ("cut", "views", "smallest_area", "minutes"):
            if self.fine_tune == "no" and getattr(self, name) is not None:
                _clash(name, "--fine-tune no", "--fine-tune yes or auto")
        for name in ("views", "epochs"):
            if self.minutes is not None and getattr(self, name) is not None:
                _clash(name, "--minutes, which chooses it", "one of the two")

    @property
    def hidden_layers(self) -> HiddenLayers:
        """The shape of a neural head."""
        given = {"widths": self.hidden, "activation": self.activation}
        given |= {"initialiser": self.initialiser}
        return HiddenLayers(**{name: v for name, v in given.items() if v is not None})  # type: ignore[arg-type]

    def descent(self, usual: Descent) -> Descent:
        """The hyperparameters of a stage: those given here, else the `usual` ones."""
        given = {entry.name: getattr(self, entry.name) for entry in fields(Descent)}
        return replace(usual, **{name: v for name, v in given.items() if v is not None})

    @property
    def row(self) -> Backbone:
        """The backbone's row of the table."""
        return find_backbone(self.backbone)

    @property
    def weights_source(self) -> str:
        """`weights`, or what the backbone comes with."""
        return self.weights or self.row.default_weights

    @property
    def framing(self) -> Framing:
        """How a photo meets the network's square."""
        usual = FRACTION if self.fine_tune == "no" else FRACTION_TUNED
        fraction = usual if self.fraction is None else self.fraction
        return Framing(self.size or self.row.size, self.resize, fraction, self.levels)

    @property
    def limits(self) -> Limits:
        """What one photo may cost to decode."""
        formats = FORMATS + MORE_FORMATS if self.more_formats else FORMATS
        pixels = int(self.max_megapixels * 1e6)
        return Limits(size_bytes=max(20_000_000, pixels * 4), pixels=pixels, formats=formats)

    @property
    def workers(self) -> int:
        """Threads that decode and compute features."""
        return self.threads or usable_cores()

    def as_json(self) -> dict[str, Any]:
        """Settings that change the result, for the manifest; places are left out."""
        told = {name: value for name, value in asdict(self).items() if value is not None}
        for place in ("cache", "threads", "exclude", "tensorboard", "mlflow"):
            told.pop(place, None)
        size, weights = self.framing.size, Path(self.weights_source).name
        told |= {"fraction": self.framing.fraction}
        return told | {"weights": weights, "size": size, "layers": list(self.layers)}


def _clash(name: str, other: str, remedy: str) -> None:
    raise SettingError(f"--{name.replace('_', '-')} contradicts {other}: use {remedy}")

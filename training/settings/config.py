"""Every setting of a run: default, range and help; contradictions are refused.

The commands take their options from here: each field is one. Hyperparameters stand in
`hyperparameters.py` and are repeated here by name, None where they are not given.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from models.building.backbones import Backbone, find_backbone
from models.cores import usable_cores
from models.errors import SettingError
from models.images import (
    FORMATS,
    FRACTIONS,
    MORE_FORMATS,
    SIZES_PX,
    Framing,
    Levels,
    Limits,
    Resize,
)
from models.terms import DEVICES, GRAPHS
from training.settings.hyperparameters import BLOCKS, HEAD, HiddenLayers, Hyperparameters, Views
from training.settings.setting import (
    check_settings,
    default_in_words,
    option_name,
    setting,
    settings_of,
)

HEADS = ("logistic", "svm", "lda", "centroid", "prototypes", "neural", "auto")
PRECISIONS = ("float32", "bfloat16")
FINE_TUNE = ("no", "yes", "auto")
_DEVICE = "Device that computes; auto: a GPU that answers as the processor, else that."
ENGINES = ("threads", "ray")
ADDRESS = "auto"  # of the cluster that this machine is part of
FRACTION = 0.875  # as in ImageNet evaluation: what the backbone was trained for
FRACTION_TUNED = 1.0  # random views reach the edges of a photo; what is served should, too


def default_cache() -> Path:
    """Find where features are kept: $LAYERSCOPE_CACHE, or the user's cache folder."""
    chosen = os.environ.get("LAYERSCOPE_CACHE")
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(home) / "layerscope"


def _optional(kind: type, name: str) -> Any:
    """Offer a field of another dataclass as a setting that is None unless it is given."""
    (entry,) = (entry for entry in fields(kind) if entry.name == name)
    shown = default_in_words(entry)
    if kind is Hyperparameters and getattr(BLOCKS, name) != getattr(HEAD, name):
        usual = getattr(BLOCKS, name)
        shown += f"; {usual if isinstance(usual, str) else f'{usual:g}'} for blocks"
    return field(
        default=None, metadata={"setting": replace(entry.metadata["setting"], shown=shown)}
    )


@dataclass(frozen=True)
class FitConfig:
    """The settings of `fit`; None: not given, so what suits the training is used."""

    backbone: str = setting("efficientnet-lite0", "Name of a network that `backbones` lists.")
    weights: str = setting(
        "", "Pretrained weights: embedded, imagenet (downloaded), none, or a file.", shown="its own"
    )
    size: int = setting(
        0,
        "Side of the network's input in px; 0: what the backbone was trained at.",
        *SIZES_PX,
        or_zero=True,
    )
    resize: Resize = setting(
        "crop", "Way a photo meets the square input.", choices=("crop", "squash")
    )
    fraction: float | None = setting(
        None,
        "Share of the shorter side that a crop keeps.",
        *FRACTIONS,
        shown=f"{FRACTION:g}; {FRACTION_TUNED:g} if fine-tuned",
    )
    seed: int = setting(0, "Seed of the split, the features and the weights.", 0, 2**32 - 1)
    validation_share: float = setting(
        0.15, "Share that validates, of the photos without a side.", 0.05, 0.4
    )
    test_share: float = setting(0.15, "Share that tests, of the photos without a side.", 0.05, 0.4)
    device: str = setting("auto", _DEVICE, choices=DEVICES)
    threads: int = setting(0, "Threads for decoding and features; 0: one per core.", 0, 256)
    engine: str = setting(
        "threads",
        "Engine that computes and fine-tunes: threads of this machine, or a Ray cluster.",
        choices=ENGINES,
    )
    address: str = setting(ADDRESS, "Address of the Ray cluster; auto: this machine's own.")
    max_megapixels: float = setting(25.0, "Largest photo that is read, in Mpx.", 0.001, 1000)
    more_formats: bool = setting(False, "Also read TIFF, AVIF and HEIC.")
    insight: bool = setting(True, "Find out what each layer detects.")
    layers: tuple[str, ...] = setting(
        (), "Layers to look into, with commas between them.", shown="every block"
    )
    int8: bool = setting(True, "Also write a graph in INT8, if it is nearly as good.")
    check: bool = setting(True, "Let the data doctor examine photos and labels.")
    exclude: Path | None = setting(None, "List of photos to leave out, text or CSV.", shown="none")
    merge_names: bool = setting(False, "Join classes whose names look alike: Shoes, shoes.")
    leave_out_small: bool = setting(False, "Go on without classes that are too small to divide.")
    coverage: float = setting(
        0.9, "Share of photos whose prediction set holds the true class.", 0.5, 0.999
    )

    head: str = setting("logistic", "Kind of head to train on the features.", choices=HEADS)
    hidden: tuple[int, ...] | None = _optional(HiddenLayers, "widths")
    activation: str | None = _optional(HiddenLayers, "activation")
    initialiser: str | None = _optional(HiddenLayers, "initialiser")

    fine_tune: str = setting(
        "no", "Train the upper blocks too; auto: keep them if it pays.", choices=FINE_TUNE
    )
    cut: str | None = setting(None, "Layer below which nothing is trained.", shown="chosen")
    views: int | None = _optional(Views, "views")
    smallest_area: float | None = _optional(Views, "smallest_area")
    mirror: bool | None = _optional(Views, "mirror")
    views_served: int = setting(
        1, "Views that are averaged for each answer; 2: the photo and its mirror image.", 1, 2
    )
    precision: str | None = setting(
        None,
        "Arithmetic of matrix products in fine-tuning.",
        choices=PRECISIONS,
        shown="bfloat16 where the processor has it, else float32",
    )
    minutes: float | None = setting(
        None,
        "Minutes for the whole run: fine-tune with as many views and epochs as fit.",
        low=1,
        high=10_000,
        shown="no limit",
    )

    optimiser: str | None = _optional(Hyperparameters, "optimiser")
    learning_rate: float | None = _optional(Hyperparameters, "learning_rate")
    find_rate: bool = setting(False, "Try learning rates first and take the best.")
    schedule: str | None = _optional(Hyperparameters, "schedule")
    warm_up: float | None = _optional(Hyperparameters, "warm_up")
    batch: int | None = _optional(Hyperparameters, "batch")
    epochs: int | None = _optional(Hyperparameters, "epochs")
    weight_decay: float | None = _optional(Hyperparameters, "weight_decay")
    label_smoothing: float | None = _optional(Hyperparameters, "label_smoothing")
    mixup: float | None = _optional(Hyperparameters, "mixup")
    class_weights: str | None = _optional(Hyperparameters, "class_weights")
    dropout: float | None = _optional(Hyperparameters, "dropout")
    averaging: float | None = _optional(Hyperparameters, "averaging")
    keep: str | None = _optional(Hyperparameters, "keep")
    patience: int | None = _optional(Hyperparameters, "patience")
    min_gain: float | None = _optional(Hyperparameters, "min_gain")
    target_loss: float | None = _optional(Hyperparameters, "target_loss")

    tensorboard: Path | None = setting(None, "Folder for TensorBoard's logs.", shown="none")
    mlflow: str = setting("", "Address of an MLflow server, or a folder.", shown="none")
    cache: Path = field(default_factory=default_cache)  # no option: see `default_cache`
    levels: Levels | None = None  # no option: what deep photos use (photos/levels.py)

    def __post_init__(self) -> None:
        find_backbone(self.backbone)
        check_settings(self)
        self._contradictions()
        _ = self.framing, self.hidden_layers, self.hyperparameters(HEAD)  # each checks itself

    def _contradictions(self) -> None:
        """Refuse settings that nothing would obey. Raises SettingError, naming both."""
        if self.address != ADDRESS and self.engine != "ray":
            _clash("address", f"--engine {self.engine}", "--engine ray")
        by_descent = self.head == "neural" or self.fine_tune != "no"
        for name in settings_of(Hyperparameters):
            given = getattr(self, name) is not None and name != "class_weights"
            if not by_descent and given:
                _clash(name, f"--head {self.head}", "--head neural or --fine-tune yes")
        if self.find_rate and not by_descent:
            _clash("find_rate", f"--head {self.head}", "--head neural or --fine-tune yes")
        if self.find_rate and self.learning_rate is not None:
            _clash("find_rate", "--learning-rate", "one of the two")
        for name in ("hidden", "activation", "initialiser"):
            if self.head != "neural" and getattr(self, name) is not None:
                _clash(name, f"--head {self.head}", "--head neural")
        for name in ("cut", "views", "smallest_area", "mirror", "precision", "minutes"):
            if self.fine_tune == "no" and getattr(self, name) is not None:
                _clash(name, "--fine-tune no", "--fine-tune yes or auto")
        if self.views_served == 2 and self.mirror is False:
            _clash("views_served", "--no-mirror", "one of the two")
        for name in ("views", "epochs"):
            if self.minutes is not None and getattr(self, name) is not None:
                _clash(name, "--minutes, which chooses it", "one of the two")

    def _given(self, kind: type) -> dict[str, Any]:
        """Collect the fields of another dataclass that this one repeats, where they are given."""
        known = {name: getattr(self, s.option or name) for name, s in settings_of(kind).items()}
        return {name: value for name, value in known.items() if value is not None}

    @property
    def hidden_layers(self) -> HiddenLayers:
        """The shape of a neural head."""
        return HiddenLayers(**self._given(HiddenLayers))

    @property
    def random_views(self) -> Views:
        """The views that fine-tuning trains on."""
        return Views(**self._given(Views))

    def hyperparameters(self, usual: Hyperparameters) -> Hyperparameters:
        """Complete the hyperparameters given here by the `usual` ones of a stage."""
        return replace(usual, **self._given(Hyperparameters))

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
        size = self.row.size if self.size == 0 else self.size
        return Framing(size, self.resize, fraction, self.levels)

    @property
    def frozen(self) -> "FitConfig":
        """The same, for a backbone that was not trained after all: it has its own framing."""
        return replace(self, fraction=FRACTION if self.fraction is None else self.fraction)

    @property
    def limits(self) -> Limits:
        """What one photo may cost to decode."""
        formats = FORMATS + MORE_FORMATS if self.more_formats else FORMATS
        pixels = int(self.max_megapixels * 1e6)
        return Limits(size_bytes=max(20_000_000, pixels * 4), pixels=pixels, formats=formats)

    @property
    def workers(self) -> int:
        """Threads that decode and compute features."""
        return usable_cores() if self.threads == 0 else self.threads

    def as_json(self) -> dict[str, Any]:
        """List the settings that change the result, for the manifest, without places."""
        chosen = {name: value for name, value in asdict(self).items() if value is not None}
        places = ("cache", "threads", "device", "engine", "address", "exclude")
        for place in (*places, "tensorboard", "mlflow"):
            chosen.pop(place, None)
        size, weights = self.framing.size, Path(self.weights_source).name
        chosen |= {"fraction": self.framing.fraction}
        return chosen | {"weights": weights, "size": size, "layers": list(self.layers)}


def _clash(name: str, other: str, remedy: str) -> None:
    raise SettingError(f"--{option_name(name)} contradicts {other}: use {remedy}")


@dataclass(frozen=True)
class SearchBudget:
    """What a study may spend on trials, over all runs; the final fit comes on top."""

    minutes: float = setting(10.0, "Minutes that all trials together may take.", 0.01, 10_000)
    trials: int = setting(1000, "Largest number of trials.", 1, 1000)  # a study below 5 MB

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class PredictConfig:
    """The settings of `predict`."""

    top: int = setting(5, "Classes listed for each photo, most probable first.", 1)
    precision: str = setting("fp32", "Arithmetic to predict in.", choices=tuple(GRAPHS))
    device: str = setting("auto", _DEVICE, choices=DEVICES)

    def __post_init__(self) -> None:
        check_settings(self)


def limits_of(training: Mapping[str, Any]) -> Limits:
    """Read from a manifest's settings what one photo could cost when its model was trained."""
    names = ("max_megapixels", "more_formats")
    return FitConfig(**{name: training[name] for name in names if name in training}).limits

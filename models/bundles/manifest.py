"""What `manifest.json` may hold: each field with its type and its range.

Everything that a part of the program reads later is checked here, once, so that nothing of a
manifest can surprise whoever answers a request. `bundle.py` reads and writes the file.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
    with_config,
)
from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

from models.errors import SettingError
from models.images import Framing

SCHEMA = 3
OLD_SCHEMA = 2  # without `sha256`; read, with a warning
UNSEALED = "0" * 64  # stands for the manifest's own hash while that is computed
MOST_BLOCKS = 24  # shown at once; deeper networks are thinned evenly
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"  # goes into URLs
PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")  # of a path inside a bundle
DEPTH = 5  # parts of such a path
MOST_FILES = 10_000
MOST_BYTES = 8_000_000_000  # of all files: the service keeps them in memory

Count = Annotated[int, Field(ge=0, le=10**12, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]
Text = Annotated[str, Field(max_length=1000)]
Interval = tuple[Number, Number]
_OPEN = ConfigDict(extra="allow")  # further fields are for people


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileEntry(_Strict):
    """What a file of the bundle must be."""

    size: Count
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class LayerEntry(_Strict):
    """A layer with feature maps; `graph.MappedLayer` says what each number means."""

    name: str = Field(min_length=1, max_length=300)
    kind: str = Field(max_length=100)
    height: int = Field(ge=1, le=100_000)
    width: int = Field(ge=1, le=100_000)
    channels: int = Field(ge=1, le=1_000_000)
    stride: int = Field(ge=0, le=1_000_000)
    receptive_field: int = Field(ge=0, le=10_000_000)
    trunk: bool
    block: bool


def _check_framing(value: Any, read: ValidatorFunctionWrapHandler) -> Framing:
    """Read a framing, whose own checks raise what pydantic does not know."""
    try:
        framing: Framing = read(value)
    except SettingError as error:
        raise ValueError(str(error)) from error
    return framing


class Parity(_Strict):
    """How closely the graphs that are served follow Keras, on some real photos."""

    photos: Count
    logits: Number  # largest absolute difference
    maps: Number  # likewise over every mapped layer
    onnx_ms: Number  # what one core takes for one of these photos, compiled


class PredictionSet(_Strict):
    """Which classes a photo may be: those at least so probable."""

    coverage: Share  # share of photos whose set is to hold the truth
    least_probability: Share


class FamiliarityThreshold(_Strict):
    """From which familiarity on a photo is like those of training, and what that is.

    One of the first two is set: features are compared with the nearest training photos, or the
    mean maps of layers with the classes.
    """

    neighbours: int | None = Field(None, ge=1, le=1_000_000)
    layers: list[Text] | None = Field(None, min_length=1, max_length=100)
    least: Number
    missed: Share | None = None  # share of the judged photos below it
    set_on: Text | None = None  # the side these photos stood on
    photos: Count | None = None  # how many they were

    @model_validator(mode="after")
    def _one_way(self) -> "FamiliarityThreshold":
        if (self.neighbours is None) == (self.layers is None):
            raise ValueError("expected neighbours or layers, one of the two")
        return self

    @property
    def output(self) -> str:
        """The graphs' output that photos are compared by."""
        return "pooled" if self.layers else "features"


class Thresholds(_Strict):
    """What an answer is compared with before it is given; None: the bundle cannot tell."""

    prediction_set: PredictionSet | None = None
    familiarity: FamiliarityThreshold | None = None


class ReliabilityBin(_Strict):
    """Photos of about the same confidence, and how many of them were named rightly."""

    low: Share
    high: Share
    photos: Count
    confidence: Share
    accuracy: Share
    accuracy_interval: Interval


class Reliability(_Strict):
    """How often the network is right when it says it is so sure."""

    expected_calibration_error: Share
    error_interval: Interval | None = None  # of 95 %
    error_by_chance: Share | None = None  # that one without error would stay below, of 20 times 19
    bins: list[ReliabilityBin]


class MeasuredSets(_Strict):
    """What the prediction sets did on test photos."""

    promised: Share
    coverage: Share
    coverage_interval: Interval
    mean_size: Number
    one_class: Share


class MeasuredFamiliarity(_Strict):
    """How many test photos were called like those of training."""

    like_training: Share
    like_training_interval: Interval
    median_familiarity: Number


class CalibrationTest(_Strict):
    """What the calibration did on test photos."""

    before: Reliability
    after: Reliability
    prediction_sets: MeasuredSets | None = None
    familiarity: MeasuredFamiliarity | None = None


class CalibrationFacts(_Strict):
    """What the logits were divided by, and what came of it."""

    method: Text
    temperature: float = Field(gt=0, allow_inf_nan=False)
    photos: Count  # that it was fitted on
    coverage_interval: Interval | None = None  # of 95 %, of what sets fitted on so many hold
    test: CalibrationTest | None = None


@with_config(_OPEN)
class BackboneEntry(TypedDict, total=False):
    """What the network was made from."""

    name: Text
    weights: Text


class SampleEntry(TypedDict):
    """A photo for the page: a file of `samples/` and its class."""

    name: Annotated[str, Field(pattern=NAME)]
    label: Text


class LeftOutEntry(TypedDict):
    """How many files were left out for one reason."""

    kind: Text
    title: Text
    count: Count


@with_config(_OPEN)
class DataFacts(TypedDict, total=False):
    """How many photos of which class stood where, and which they were."""

    photos: dict[str, Count]
    classes: dict[str, dict[str, Count]]
    skipped: Count
    left_out: Annotated[list[LeftOutEntry], Field(max_length=1000)]
    fingerprint: Text
    samples: Annotated[list[SampleEntry], Field(max_length=1000)]


@with_config(_OPEN)
class Measured(TypedDict, total=False):
    """What `training` measured on one side; the rest of its numbers only people read."""

    accuracy: Share


_MEASURED = TypeAdapter(dict[Literal["test"], Measured])


class Manifest(_Strict):
    """`manifest.json`: all that is known about a saved model."""

    schema_version: int = SCHEMA
    sha256: str | None = None  # of this file, with zeros here; before all that is free, for `seal`
    name: str = Field(pattern=NAME)
    version: str = Field("1", pattern=NAME)
    created: Text = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    class_names: list[Text] = Field(min_length=1, max_length=1_000_000)
    image: Annotated[Framing, WrapValidator(_check_framing)]
    backbone: BackboneEntry
    head: dict[str, Any]
    layers: list[LayerEntry] = Field(max_length=10_000)
    training: dict[str, Any] = {}
    data: DataFacts = {}
    metrics: Annotated[dict[str, Any], AfterValidator(_MEASURED.validate_python)] = {}
    calibration: CalibrationFacts | None = None
    thresholds: Thresholds = Thresholds()
    parity: Parity | None = None
    libraries: dict[str, Text] = {}
    files: dict[str, FileEntry] = Field({}, max_length=MOST_FILES)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_none(cls, fields: Any) -> Any:
        """Read `{}`, which schema 2 wrote where nothing was known, as null."""
        if not isinstance(fields, dict):
            return fields
        empty = {name: None for name in ("calibration", "parity") if fields.get(name) == {}}
        return fields | empty

    @model_validator(mode="after")
    def _names(self) -> "Manifest":
        _all_different("class_names", self.class_names)
        _all_different("layers", [entry.name for entry in self.layers])
        if sum(entry.size for entry in self.files.values()) > MOST_BYTES:
            raise ValueError(f"files are of more than {MOST_BYTES:,} bytes together")
        for path in self.files:
            parts = path.split("/")
            if len(parts) > DEPTH or not all(map(PART.fullmatch, parts)):
                raise ValueError(f"files names {path[:200]!r}, which is outside the bundle")
        return self

    @property
    def framing(self) -> Framing:
        """How a photo meets this network's square."""
        return self.image


def _all_different(field: str, names: list[str]) -> None:
    if len(set(names)) != len(names):
        raise ValueError(f"{field} holds a name twice")


def pick_blocks(layers: Sequence[LayerEntry]) -> list[LayerEntry]:
    """The layers that end a block, from photo to answer; evenly thinned to `MOST_BLOCKS`."""
    ends = [entry for entry in layers if entry.block]
    return [ends[i] for i in spread(len(ends), MOST_BLOCKS)]


def spread(total: int, most: int) -> list[int]:
    """Up to `most` indices of `total`, evenly, with the first and the last."""
    steps = max(min(total, most) - 1, 1)
    return [round(i * (total - 1) / steps) for i in range(min(total, most))]

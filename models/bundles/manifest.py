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
    ConfigDict,
    Field,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
    with_config,
)
from typing_extensions import TypedDict  # pydantic needs it before Python 3.12

from models.bundles.calibration import CalibrationFacts, Int8Facts, Thresholds
from models.bundles.fields import ClassNames, Count, Number, Share, Strict, Text, check_letters
from models.bundles.names import NAME
from models.errors import SettingError
from models.images import Framing

SCHEMA = 3
OLD_SCHEMA = 2  # without `sha256`; read, with a warning
UNSEALED = "0" * 64  # stands for the manifest's own hash while that is computed
MOST_BLOCKS = 24  # shown at once; deeper networks are thinned evenly
MOST_LETTERS = 300  # of a layer's name
MOST_CHANNELS = 50_000  # of a layer: each has its facts in one answer
PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")  # of a path inside a bundle
DEPTH = 5  # parts of such a path
MOST_FILES = 10_000
MOST_BYTES = 8_000_000_000  # of all files: the service keeps them in memory

_OPEN = ConfigDict(extra="allow")  # further fields are for people


class FileEntry(Strict):
    """What a file of the bundle must be."""

    size: Count
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class LayerEntry(Strict):
    """A layer with feature maps; `graph.MappedLayer` says what each number means."""

    name: str = Field(min_length=1, max_length=MOST_LETTERS)
    kind: str = Field(max_length=100)
    height: int = Field(ge=1, le=100_000)
    width: int = Field(ge=1, le=100_000)
    channels: int = Field(ge=1, le=MOST_CHANNELS)
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


class Parity(Strict):
    """How closely the graphs that are served follow Keras, on some real photos."""

    photos: Count
    logits: Number  # largest absolute difference
    maps: Number  # likewise over every mapped layer
    onnx_ms: Number  # what one core takes for one of these photos, compiled


@with_config(_OPEN)
class BackboneEntry(TypedDict, total=False):
    """What the network was made from."""

    name: Text
    weights: Text


class SampleEntry(TypedDict):
    """A photo for the page: a file of `samples/` and its class."""

    name: Annotated[str, Field(pattern=NAME)]
    label: Text


def _check_samples(samples: list[SampleEntry]) -> list[SampleEntry]:
    check_letters([sample["label"] for sample in samples])  # all are in one answer
    return samples


class LeftOutEntry(TypedDict):
    """How many files were left out for one reason."""

    kind: Text
    title: Text
    count: Count


@with_config(_OPEN)
class DataFacts(TypedDict, total=False):
    """How many photos of which class stood where, and which they were."""

    photos: Annotated[dict[str, Count], Field(max_length=100)]
    classes: dict[str, dict[str, Count]]
    skipped: Count
    left_out: Annotated[list[LeftOutEntry], Field(max_length=1000)]
    fingerprint: Text
    samples: Annotated[list[SampleEntry], Field(max_length=1000), AfterValidator(_check_samples)]


@with_config(_OPEN)
class Measured(TypedDict, total=False):
    """What `training` measured on one side; the rest of its numbers only people read."""

    accuracy: Share


_MEASURED = TypeAdapter(dict[Literal["test"], Measured])


class Manifest(Strict):
    """`manifest.json`: all that is known about a saved model."""

    schema_version: int = SCHEMA
    sha256: str | None = None  # of this file, with zeros here; before all that is free, for `seal`
    name: str = Field(pattern=NAME)
    version: str = Field("1", pattern=NAME)
    created: Text = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    class_names: ClassNames = Field(min_length=1)
    image: Annotated[Framing, WrapValidator(_check_framing)]
    backbone: BackboneEntry
    head: dict[str, Any]
    layers: list[LayerEntry] = Field(max_length=10_000)
    training: dict[str, Any] = Field({})
    data: DataFacts = Field(default_factory=DataFacts)
    metrics: Annotated[dict[str, Any], AfterValidator(_MEASURED.validate_python)] = Field({})
    calibration: CalibrationFacts | None = None
    thresholds: Thresholds = Thresholds()
    int8: Int8Facts | None = None  # of `predict.int8.onnx`; None: nobody tried to make one
    parity: Parity | None = None
    libraries: dict[str, Text] = Field({})
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
    def views(self) -> int:
        """Views of a photo that are averaged where it is predicted; maps are of the photo alone."""
        return 2 if self.training.get("views_served") == 2 else 1

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

"""The JSON that our own routes answer, as types; tests read real answers as these.

Only the document is made from them: an answer is built where it is known, from plain numbers.
"""

from itertools import chain
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from models.bundles.fields import Count, Number, Share
from models.bundles.manifest import LayerEntry, SampleEntry
from models.decoding.framing import Resize
from service.described.refusals import codes_by_status

_CODES: list[JsonValue] = [*sorted({*chain(*codes_by_status().values())})]


class Answer(BaseModel):
    """A part of an answer: no field that is not named here."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class Error(Answer):
    """What went wrong, and what to change."""

    code: str = Field(json_schema_extra={"enum": _CODES})
    message: str
    request_id: str | None  # that the log of the service has too


class ErrorAnswer(Answer):
    """The answer to a request that failed."""

    error: Error


class SaidBy(Answer):
    """Who answers."""

    model: str
    version: str


class Prediction(Answer):
    """One class and how probable it is."""

    label: str
    probability: Share


class PhotoAnswer(Answer):
    """What is said of one photo; the last three where the bundle can tell."""

    predictions: list[Prediction] = Field(description="The most probable classes, best first.")
    prediction_set: list[str] = Field([], description="The classes that it may be.")
    in_distribution: bool = Field(True, description="Whether it is like the training photos.")
    familiarity: Number = Field(1.0, le=1, description="The number behind that.")


class Predicted(SaidBy, PhotoAnswer):
    """The answer for one photo."""


class ManyPredicted(SaidBy):
    """The answer for several photos, in their order."""

    results: list[PhotoAnswer]


class PhotoLine(SaidBy, PhotoAnswer):
    """One line of an answer in lines."""

    photo: int = Field(ge=1)


class ErrorLine(SaidBy, ErrorAnswer):
    """The line of a photo that could not be answered."""

    photo: int = Field(ge=1)


class ChannelNumbers(Answer):
    """One channel's answer to the photo."""

    channel: Count
    strength: Number
    effect: Number | None = Field(description="What it adds to the class; null: not known.")
    map: list[list[float | None]] = Field(description="Rows; null: not finite.")


class LayerNumbers(SaidBy):
    """The chosen channels of one layer."""

    layer: LayerEntry
    channels: list[ChannelNumbers]


class Saliency(Answer):
    """Which parts of the photo speak for a class; below 0: against it."""

    label: str
    probability: Share
    method: str
    height: int = Field(ge=1)
    width: int = Field(ge=1)
    map: list[list[float]]


class SaliencyAnswer(SaidBy, Saliency):
    """The answer of /saliency."""


class LayerSheet(LayerEntry):
    """One layer's answer to the photo, all channels in one picture."""

    peaks: list[float] = Field(description="The value of each channel that is white.")
    strengths: list[float]
    effects: list[float] | None = Field(description="Null: not known.")
    columns: int = Field(ge=1, description="Channels in a row of the sheet.")
    sheet: str = Field(description="A grey PNG in base64.")


class AllActivations(Predicted):
    """Every block's answer to the photo, and the saliency."""

    label: str = Field(description="The class that is explained.")
    layers: list[LayerSheet]
    saliency: Saliency


class Layer(LayerEntry):
    """A layer with feature maps; the last three are null where nobody looked into it."""

    probe_accuracy: Share | None
    dead_share: Share | None
    duplicate_share: Share | None


class Layers(SaidBy):
    """Every layer with feature maps, from photo to answer."""

    insight: bool
    chance: Number | None = Field(description="The accuracy of guessing.")
    layers: list[Layer]


class ChannelFacts(Answer):
    """What a channel answers to the training photos."""

    channel: Count
    mean: Number
    peak: Number
    alive: Share = Field(description="The share of training photos that it answers to.")
    dead: bool
    class_: str | None = Field(alias="class", description="The class that it fires for most.")
    selectivity: Number | None


class OneLayer(SaidBy):
    """One layer and its channels."""

    layer: Layer
    channels: list[ChannelFacts] | None
    hint: str | None


class ClassWeight(Answer):
    """The weight of the head from a channel to a class."""

    label: str
    weight: Number


class WeighedFacts(ChannelFacts):
    """A channel's facts, with its weights where it is an input of the head."""

    weights: list[ClassWeight] | None


class ExemplarAnswer(Answer):
    """A training photo that excites the channel, and where."""

    photo: str
    label: str
    value: Number
    box: list[int] = Field(min_length=4, max_length=4, description="Left, top, right, bottom.")
    at: list[int] = Field(min_length=2, max_length=2, description="x, y of the highest answer.")


class Channel(SaidBy):
    """What one channel detects."""

    layer: Layer
    channel: Count
    facts: WeighedFacts | None
    words: str | None
    exemplars: list[ExemplarAnswer]
    image: str | None = Field(description="Where the picture of its exemplars is.")
    tile: int | None = Field(description="Pixels of a side of one exemplar in it.")
    visualisation: str | None = Field(description="Where the computed picture is.")
    visualisation_converged: bool | None = None
    hint: str | None


class PrecisionAnswer(Answer):
    """In which arithmetic the model predicts, and why."""

    used: Literal["fp32", "int8"]
    why: str
    fp32_ms: Number | None
    int8_ms: Number | None


class DeviceAnswer(Answer):
    """Which device computes photos, and why."""

    used: Literal["cpu", "cuda", "openvino"]
    why: str


class Model(SaidBy):
    """One model that is served."""

    name: str
    state: Literal["ready"]
    backbone: str | None
    image_size: int = Field(ge=1, description="Pixels.")
    resize: Resize
    fraction: Number
    classes: int = Field(ge=1)
    class_names: list[str] = Field(max_length=20, description="The first of them.")
    accuracy: Share | None = Field(description="On the test photos.")
    coverage: Share | None = Field(description="Of prediction sets.")
    precision: PrecisionAnswer
    device: DeviceAnswer
    layers: Count
    depths: list[str] = Field(description="Some layers, from photo to answer.")
    samples: list[SampleEntry]
    report: str | None
    insight: bool
    trust: dict[str, Any] | None = Field(description="How the saliency passed its tests.")


class RefusedVersion(Answer):
    """A version that was found and is not served."""

    model: str
    version: str | None
    state: Literal["refused"]
    reason: str


class Models(Answer):
    """Every model that is served, and what is not."""

    models: list[Model]
    refused: list[RefusedVersion]


class Live(Answer):
    """The process answers."""

    live: Literal[True]


class Ready(Answer):
    """Every model answers a photo."""

    ready: Literal[True]
    models: list[str]

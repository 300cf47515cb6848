"""How far a bundle's answers can be relied on: thresholds, calibration, and both for INT8.

A graph in INT8 answers with other numbers than the one in float32, so that it has a temperature
and thresholds of its own.
"""

from pydantic import Field, model_validator

from models.bundles.fields import Count, Interval, Number, Share, Strict, Text


class PredictionSet(Strict):
    """Which classes a photo may be: those at least so probable."""

    coverage: Share  # share of photos whose set is to hold the truth
    least_probability: Share


class FamiliarityThreshold(Strict):
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


class Thresholds(Strict):
    """What an answer is compared with before it is given; None: the bundle cannot tell."""

    prediction_set: PredictionSet | None = None
    familiarity: FamiliarityThreshold | None = None


class ReliabilityBin(Strict):
    """Photos of about the same confidence, and how many of them were named rightly."""

    low: Share
    high: Share
    photos: Count
    confidence: Share
    accuracy: Share
    accuracy_interval: Interval


class Reliability(Strict):
    """How often the network is right when it says it is so sure."""

    expected_calibration_error: Share
    error_interval: Interval | None = None  # of 95 %
    error_by_chance: Share | None = None  # that one without error would stay below, of 20 times 19
    bins: list[ReliabilityBin]


class MeasuredSets(Strict):
    """What the prediction sets did on test photos."""

    promised: Share
    coverage: Share
    coverage_interval: Interval
    mean_size: Number
    one_class: Share


class MeasuredFamiliarity(Strict):
    """How many test photos were called like those of training."""

    like_training: Share
    like_training_interval: Interval
    median_familiarity: Number


class CalibrationTest(Strict):
    """What the calibration did on test photos."""

    before: Reliability
    after: Reliability
    prediction_sets: MeasuredSets | None = None
    familiarity: MeasuredFamiliarity | None = None


class CalibrationFacts(Strict):
    """What the logits were divided by, and what came of it."""

    method: Text
    temperature: float = Field(gt=0, allow_inf_nan=False)
    photos: Count  # that it was fitted on
    coverage_interval: Interval | None = None  # of 95 %, of what sets fitted on so many hold
    test: CalibrationTest | None = None


class Int8Facts(Strict):
    """What came of a graph in INT8, and what belongs to its answers alone."""

    kept: bool = Field(strict=True)  # whether the bundle has `predict.int8.onnx`
    reason: Text | None = None  # why it was not kept
    calibrated_on: Count = 0  # training photos that its scales were set on
    photos: Count = 0  # validation photos that it was judged by
    accuracy: Share | None = None  # on these
    accuracy_fp32: Share | None = None  # of `predict.onnx`, on the same
    mean_difference: Share | None = None  # share of the probability that stands elsewhere
    calibration: CalibrationFacts | None = None
    thresholds: Thresholds = Thresholds()

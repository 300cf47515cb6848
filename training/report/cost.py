"""Estimate what a run cost: seconds, core seconds, energy, and the same for training end to end."""

from dataclasses import dataclass, field

from models.cores import usable_cores

EPOCHS_END_TO_END = 10  # of the training end to end that the report compares with
STEP_PER_PASS = 18  # core seconds of a training step in Keras over those of a compiled pass
# W of a core at work, where the processor is not known: the value of Green Algorithms for "any"
# (Lannelongue et al. 2021, doi:10.1002/advs.202100707). Memory, screen and cooling come on top.
WATTS_PER_CORE = 12.0
JOULES_PER_WH = 3600


@dataclass(frozen=True)
class Cost:
    """Time and energy of the run, and of training end to end."""

    seconds: dict[str, float]  # by stage
    end_to_end_seconds: float  # estimated
    epochs: int  # of that estimate
    cpu_seconds: dict[str, float] = field(default_factory=dict)  # of all cores, by stage
    end_to_end_cpu_seconds: float = 0.0  # estimated

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())

    @property
    def cpu_total(self) -> float:
        """Core seconds of all stages."""
        return sum(self.cpu_seconds.values())


def watt_hours(cpu_seconds: float) -> float:
    """Estimate the energy of core seconds, at `WATTS_PER_CORE`."""
    return cpu_seconds * WATTS_PER_CORE / JOULES_PER_WH


def estimate_cost(
    seconds: dict[str, float],
    onnx_ms: float,
    photos: int,
    cpu_seconds: dict[str, float] | None = None,
) -> Cost:
    """Compare the cost of the run with that of training the whole network on its photos.

    Measured with EfficientNet-Lite0 on two cores: 127 ms a photo in a training step of Keras
    (batches of 32), 14.3 ms in a compiled forward pass on one core.
    """
    core_s = onnx_ms / 1000 * STEP_PER_PASS * photos * EPOCHS_END_TO_END
    return Cost(
        dict(seconds), core_s / usable_cores(), EPOCHS_END_TO_END, dict(cpu_seconds or {}), core_s
    )

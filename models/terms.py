"""How bundles are to be answered for: what may be asked for, and what was chosen.

Names alone: the service starts its trials by them, before it loads what computes.
"""

from typing import NamedTuple

GRAPHS = {"fp32": "predict.onnx", "int8": "predict.int8.onnx"}  # precision -> photos to logits
PRECISIONS = ("auto", *GRAPHS)  # to ask for
CPU = "cpu"
DEVICES = ("auto", CPU, "cuda")  # to ask for
SENT_BYTES = 64_000_000  # of an answer, or of a file that is one: a worker cuts who holds 128 MB


class Terms(NamedTuple):
    """What every bundle is tried on, and served on."""

    key: str = ""  # a public key in hexadecimal; what its owner did not sign is refused
    precision: str = "auto"  # fp32, int8, or the faster one
    device: str = "auto"  # cpu, cuda, or what is there


class Precision(NamedTuple):
    """The precision in which a bundle answers, and why."""

    used: str  # fp32 or int8
    why: str = "asked for"
    fp32_ms: float | None = None  # for one photo, on this machine; None: not measured
    int8_ms: float | None = None

    @property
    def graph(self) -> str:
        """The file that predicts."""
        return GRAPHS[self.used]

    def __str__(self) -> str:
        if self.fp32_ms is None or self.int8_ms is None:
            return f"{self.used} ({self.why})"
        times = f"a photo takes {self.int8_ms:.1f} ms in int8, {self.fp32_ms:.1f} in fp32"
        return f"{self.used} ({self.why}: {times})"


class Device(NamedTuple):
    """The device that computes a network, and why."""

    used: str = CPU
    why: str = "asked for"

    def __str__(self) -> str:
        return f"{self.used} ({self.why})"


PROCESSOR = Device()

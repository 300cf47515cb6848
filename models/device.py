"""Where networks are computed: the processor, or another device that answers as it does.

ONNX Runtime is built for some devices; `runtime.py` knows by which of its providers each is
reached. A device is used only after three made-up pictures have got the same answers from it as
from the processor.
"""

import math
from collections.abc import Callable

import numpy as np

from models.errors import DeviceUnusable, SettingError
from models.parity import parity_limit
from models.runtime import PROVIDERS, Graph, built_for
from models.terms import CPU, PROCESSOR, Device

OTHERS = tuple(device for device in PROVIDERS if device != CPU)  # that `auto` tries, in order


def choose_device(asked: str, attempt: Callable[[str], object]) -> Device:
    """Choose where to compute a network.

    Args:
        asked: auto: the first of OTHERS that can be used, else the processor; cpu; cuda.
        attempt: called with a device; raises DeviceUnusable where it does not start, or answers
            otherwise than the processor.

    Raises:
        SettingError: cuda is asked for and cannot be used.
    """
    if asked == CPU:
        return PROCESSOR
    wanted, there = OTHERS if asked == "auto" else (asked,), built_for()
    reasons = []
    for device in wanted:
        if device not in there:
            continue
        try:
            attempt(device)
        except DeviceUnusable as error:
            reasons.append(str(error))
        else:
            return Device(device, "found here" if asked == "auto" else "asked for")
    if asked != "auto":
        reason = "; ".join(reasons) or f"ONNX Runtime has no {asked} here"
        raise SettingError(
            f"--device {asked}: {reason}; it needs onnxruntime-gpu in the place of "
            "onnxruntime and NVIDIA's driver: install them, or use --device auto or cpu"
        )
    return Device(CPU, "; ".join(reasons) or "ONNX Runtime has no other here")


def open_graph(model: bytes, output: str, asked: str, size: int) -> tuple[Graph, Device]:
    """Open a graph of photos where it is to be computed.

    Args:
        output: whose numbers are compared with the processor's. size: side of the photos, px.

    Raises:
        SettingError: cuda is asked for and cannot be used.
    """
    plain = Graph(model)
    found = {CPU: plain}

    def attempt(device: str) -> None:
        found[device] = Graph(model, device=device)
        for photo in made_up((1, size, size, 3)):
            answers = [graph.run(photo, [output])[0] for graph in (found[device], plain)]
            compare(answers[0], answers[1], device)

    chosen = choose_device(asked, attempt)
    return found[chosen.used], chosen


def made_up(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Make three inputs that no network takes for the same: grey, a slope, noise.

    Args:
        shape: of each.

    Returns:
        Three arrays, float32, 0 to 255.
    """
    slope = np.linspace(0, 255, math.prod(shape), dtype=np.float32).reshape(shape)
    noise = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    return [np.full(shape, 127, np.float32), slope, noise]


def compare(answer: np.ndarray, expected: np.ndarray, device: str) -> None:
    """Compare a device's numbers with the processor's. Raises DeviceUnusable."""
    limit = parity_limit(expected)
    difference = float(np.abs(answer - expected).max())
    if not difference <= limit:  # NaN is not, either
        raise DeviceUnusable(
            f"{device} answers otherwise than the processor: by {difference:.2g}, more than "
            f"{limit:.2g}"
        )

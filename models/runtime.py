"""Run one ONNX graph on a device. No Keras, no Python objects read from disk."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when it is imported

import onnxruntime as ort

from models.errors import DeviceUnusable, UnusableGraph
from models.terms import CPU

LEFT_OUT = ["Pad_Fusion"]  # an optimiser: ONNX Runtime 1.32 leaves a dangling input

# Device -> ONNX Runtime's provider for it, with options; what it cannot do, the processor does.
PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),  # its ten bits would fail the comparison
    "openvino": ("OpenVINOExecutionProvider", {"device_type": "AUTO"}),
    CPU: ("CPUExecutionProvider", {}),
}


def built_for() -> list[str]:
    """List the devices that the installed ONNX Runtime was built for, whether or not they exist."""
    there = ort.get_available_providers()
    return [device for device, (provider, _) in PROVIDERS.items() if provider in there]


class Graph:
    """An ONNX graph with one float32 input, most often (N, S, S, 3) raw RGB, and named outputs.

    Safe to call from several threads at once; the interpreter lock is released while it runs.
    """

    def __init__(self, model: bytes, threads: int = 1, device: str = CPU):
        """Load a graph.

        Args:
            threads: cores that one run may use.
            device: one of `built_for`.

        Raises:
            DeviceUnusable: it does not start there. On the processor the runtime's own exceptions,
                which have no common base.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors only
        self._session = _start(model, options, device)
        self._input = self._session.get_inputs()[0].name
        self.input_shape = self._session.get_inputs()[0].shape  # its first dimension has a name
        self.outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
        """Compute the named outputs for photos, 0 to 255, or vectors; maps are (N, C, h, w).

        Raises:
            UnusableGraph: the runtime fails, or does not answer each photo with finite numbers.
        """
        batch = np.ascontiguousarray(inputs, np.float32)
        try:
            answers: list[np.ndarray] = self._session.run(list(outputs), {self._input: batch})
        except Exception as error:  # the runtime's own exceptions have no common base
            raise UnusableGraph(f"does not run: {' '.join(str(error).split())}") from error
        for one in answers:
            if one.shape[:1] != batch.shape[:1]:
                reason = f"answers {len(batch)} photos with numbers of shape {one.shape}"
                raise UnusableGraph(reason)
            if one.dtype != np.float32:
                raise UnusableGraph(f"answers with numbers of type {one.dtype}, not float32")
            if not np.isfinite(one).all():
                raise UnusableGraph("answers with numbers that are not all finite")
        return answers


def _start(model: bytes, options: ort.SessionOptions, device: str) -> ort.InferenceSession:
    """Start a session. Raises DeviceUnusable, also where the runtime would fall back in silence."""
    provider, settings = PROVIDERS[device]
    fallback, _ = PROVIDERS[CPU]
    providers: list[Any] = [(provider, settings)]
    if provider != fallback:
        providers.append(fallback)
    try:
        session = ort.InferenceSession(
            model, options, providers=providers, disabled_optimizers=LEFT_OUT
        )
    except Exception as error:  # the runtime's own exceptions have no common base
        if device == CPU:
            raise
        raise DeviceUnusable(f"{device} does not start: {' '.join(str(error).split())}") from error
    if session.get_providers()[0] != provider:
        raise DeviceUnusable(f"{device} does not start: perhaps its driver is missing")
    return session

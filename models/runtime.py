"""Run one ONNX graph. No Keras, no Python objects read from disk."""

import os
from collections.abc import Sequence

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when it is imported

import onnxruntime as ort

LEFT_OUT = ["Pad_Fusion"]  # an optimiser: ONNX Runtime 1.32 leaves a dangling input


class Graph:
    """An ONNX graph with one float32 input, most often (N, S, S, 3) raw RGB, and named outputs.

    Safe to call from several threads at once; the interpreter lock is released while it runs.
    """

    def __init__(self, model: bytes, threads: int = 1):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors only
        self._session = ort.InferenceSession(
            model,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=LEFT_OUT,
        )
        self._input = self._session.get_inputs()[0].name
        self.input_shape = self._session.get_inputs()[0].shape  # its first dimension has a name
        self.outputs = [output.name for output in self._session.get_outputs()]

    def run(self, inputs: np.ndarray, outputs: Sequence[str]) -> list[np.ndarray]:
        """Compute the named outputs for photos, 0 to 255, or vectors; maps are (N, C, h, w)."""
        batch = np.ascontiguousarray(inputs, np.float32)
        return self._session.run(list(outputs), {self._input: batch})

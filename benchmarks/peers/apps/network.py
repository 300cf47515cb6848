"""What all peers do with a photo: decode, infer, name the best five classes."""

import json
import os
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported

import numpy as np
import onnxruntime as ort
from PIL import Image

FOLDER, GRAPH = Path(os.environ["PEER_BUNDLE"]), os.environ["PEER_GRAPH"]


class Network:
    """An ONNX file and its class names, with one thread a call: what answers most on all cores."""

    def __init__(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(
            str(FOLDER / GRAPH),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["Pad_Fusion"],  # ONNX Runtime 1.32 leaves a dangling input
        )
        entry = self._session.get_inputs()[0]
        self._input, self._size = entry.name, entry.shape[1]
        self._kind = np.uint8 if "uint8" in entry.type else np.float32
        self._names = json.loads((FOLDER / "manifest.json").read_text())["class_names"]

    def answer(self, image: Image.Image) -> list[dict[str, object]]:
        """The five most probable classes of a photo."""
        image = image.convert("RGB")
        gap = min(image.size) / 16  # the centre that ImageNet networks are given: 7/8
        box = ((image.width / 2 - 7 * gap), (image.height / 2 - 7 * gap),
               (image.width / 2 + 7 * gap), (image.height / 2 + 7 * gap))  # fmt: skip
        square = (self._size, self._size)
        pixels = np.asarray(image.resize(square, Image.Resampling.BILINEAR, box=box), self._kind)
        logits = self._session.run(["logits"], {self._input: pixels[None]})[0][0]
        powers = np.exp(logits - logits.max())
        probabilities = powers / powers.sum()
        best = probabilities.argsort()[::-1][:5]
        return [{"label": self._names[i], "probability": float(probabilities[i])} for i in best]

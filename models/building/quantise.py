"""Turn a graph in float32 into one in INT8 (static quantisation, QDQ, a scale for each channel).

Batch normalisation is folded into the convolutions first, or the result is slower than float32.
Activations become unsigned, weights signed: what processors multiply fastest. Scales come from
the smallest and the largest number of each layer on some photos. ONNX Runtime's own collector
of these runs every node apart and takes ten times as long.
"""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType, TensorsData
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from models.runtime import LEFT_OUT, Graph

CLIPPING = ("Clip", "Relu")  # their range is also that of what they read: INT8 ends there anyway
PIXELS = (0.0, 255.0)


def quantise(graph: bytes, photos: np.ndarray, workers: int = 1) -> bytes:
    """Write a graph in INT8; its input and its outputs stay in float32.

    Args:
        graph: in float32, from photos. photos: (N, S, S, 3) uint8, to set the scales by.
        workers: threads.

    Returns:
        The graph; the same graph and photos give the same bytes.
    """
    model = _fold(graph)
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}"  # the optimiser leaves some without
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=_ranges(model, photos, workers),
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=sorted({*QDQRegistry, *QLinearOpsRegistry}),
        extra_options={},
    )
    quantizer.quantize_model()
    return bytes(quantizer.model.model.SerializeToString(deterministic=True))


def _fold(graph: bytes) -> onnx.ModelProto:
    """Fold batch normalisation, and constants, as ONNX Runtime does on every processor."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "folded.onnx"
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(file)
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.log_severity_level = 3  # errors only
        providers = ["CPUExecutionProvider"]
        ort.InferenceSession(graph, options, providers=providers, disabled_optimizers=LEFT_OUT)
        return onnx.shape_inference.infer_shapes(onnx.load(file))


def _ranges(model: onnx.ModelProto, photos: np.ndarray, workers: int) -> TensorsData:
    """Find the smallest and the largest number of each layer, over all photos."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for tensor in node.input:
            readers.setdefault(tensor, []).append(node)
    clipped = {
        tensor: found[0].output[0]
        for tensor, found in readers.items()
        if len(found) == 1 and found[0].op_type in CLIPPING
    }
    floats = {v.name for v in [*model.graph.value_info, *model.graph.output]
              if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}  # fmt: skip
    made = [tensor for node in model.graph.node for tensor in node.output if tensor in floats]
    watched = [tensor for tensor in made if tensor not in clipped]
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    there = {value.name for value in model.graph.output}
    probe.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in watched if name not in there
    )
    running = Graph(probe.SerializeToString())

    def extremes(photo: np.ndarray) -> np.ndarray:
        answers = running.run(photo[None], watched)
        return np.array([(answer.min(), answer.max()) for answer in answers])

    with ThreadPoolExecutor(workers) as pool:
        found = np.stack(list(pool.map(extremes, photos)))  # (N, T, 2)
    lows, highs = found[:, :, 0].min(axis=0), found[:, :, 1].max(axis=0)
    ranges = dict(zip(watched, zip(lows, highs, strict=True), strict=True))
    ranges |= {tensor: ranges[end] for tensor, end in clipped.items() if end in ranges}
    ranges[model.graph.input[0].name] = PIXELS
    return TensorsData(
        CalibrationMethod.MinMax,
        {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()},
    )

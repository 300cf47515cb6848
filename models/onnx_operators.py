"""See that a graph has none but the operators that Layerscope writes, and sizes that it knows.

A graph is tried with a few photos before it is served. One that draws numbers, counts in whole
ones, works on lists, or computes sizes from pixels could be harmless with these, and stop the
process or take all memory with another. So what is not known here is refused. A division of
whole numbers that follow from pixels is one that a processor may not be able to do.
"""

from collections import defaultdict, deque
from typing import Any

# Of models/building, and of ONNX Runtime where it folds and quantises.
# fmt: off
OPERATORS = frozenset([
    "Add", "AveragePool", "BatchNormalization", "Celu", "Clip", "Concat", "Conv", "ConvTranspose",
    "DequantizeLinear", "Div", "Elu", "Exp", "Flatten", "Gelu", "Gemm",
    "GlobalAveragePool", "GlobalMaxPool", "GreaterOrEqual", "HardSigmoid", "HardSwish",
    "Identity", "InstanceNormalization", "LayerNormalization", "LeakyRelu", "LogSoftmax",
    "LpNormalization", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mish", "Mul", "Neg", "PRelu",
    "Pad", "QuantizeLinear", "ReduceMax", "ReduceMean", "Relu", "Reshape", "Resize", "Selu",
    "Shrink", "Sigmoid", "Slice", "Softmax", "Softplus", "Softsign", "Sqrt", "Sub", "Tanh",
    "Tile", "Transpose", "Where",
])
# fmt: on
# Operator -> which inputs say how large its answer is.
SIZED: dict[str, tuple[int, ...]] = {
    "Pad": (1, 3),
    "ReduceMax": (1,),
    "ReduceMean": (1,),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Tile": (1,),
}
FLOATS = {1: "<f4", 10: "<f2", 11: "<f8"}  # TensorProto.DataType -> how `raw_data` holds it


def check_operators(graph: Any) -> None:
    """See that operators are known, and sizes constant.

    Args:
        graph: a parsed GraphProto.

    Raises:
        ValueError: an operator is not known, or a size or a whole number follows from pixels; the
            message names it.
    """
    from_pixels = _names_from_pixels(graph)
    for node in graph.node:
        if node.op_type not in OPERATORS:
            raise ValueError(f"operator {node.op_type!r} is none of those that Layerscope writes")
        sizes = [node.input[at] for at in SIZED.get(node.op_type, ()) if at < len(node.input)]
        if from_pixels.intersection(sizes):
            raise ValueError(f"a size of operator {node.op_type!r} is computed from the photo")
    _check_whole_numbers(graph, from_pixels)


def _check_whole_numbers(graph: Any, from_pixels: set[str]) -> None:
    """See that nothing computes with whole numbers made of pixels; raise ValueError if it does.

    Of the operators above three make them: places of maxima, a choice between two, quantisation.
    """
    floats = {tensor.name for tensor in graph.initializer if tensor.data_type in FLOATS}
    quantised = {
        name for node in graph.node if node.op_type == "QuantizeLinear" for name in node.output
    }
    for node in graph.node:
        kind = node.op_type
        if (
            (kind == "MaxPool" and len(node.output) > 1)
            or (kind == "Where" and not from_pixels.union(floats).issuperset(node.input[1:]))
            or (kind != "DequantizeLinear" and quantised.intersection(node.input))
        ):
            raise ValueError(f"operator {kind!r} computes with whole numbers from the photo")


def _names_from_pixels(graph: Any) -> set[str]:
    """Name every tensor whose values depend on what is put in."""
    readers: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in set(node.input):
            readers[name].append(node)
    found = {value.name for value in graph.input}
    found -= {tensor.name for tensor in graph.initializer}
    waiting = deque(found)
    while waiting:
        for node in readers.pop(waiting.popleft(), ()):
            new = set(node.output) - found - {""}
            found |= new
            waiting.extend(new)
    return found - {""}

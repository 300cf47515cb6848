"""See that no photo decides how much memory or time a graph takes.

A graph is tried with a few photos before it is served. One whose sizes are computed from the
pixels could be harmless with these, and take all memory with another.
"""

from collections import defaultdict, deque
from typing import Any

_REDUCING = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
# Operator -> which inputs say how large its answer is. Where none is named, all of them.
SIZED: dict[str, tuple[int, ...]] = {
    "AffineGrid": (1,),
    "CenterCropPad": (1,),
    "ConstantOfShape": (0,),
    "DFT": (1,),
    "Expand": (1,),
    "Col2Im": (1, 2),
    "MaxUnpool": (2,),
    "OneHot": (1,),
    "Pad": (1,),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Squeeze": (1,),
    "Split": (1,),
    "STFT": (1, 3),
    "Tile": (1,),
    "TopK": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
    **{f"Reduce{kind}": (1,) for kind in _REDUCING},
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow"), (0,)),
    **dict.fromkeys(("MelWeightMatrix", "Range"), ()),
}
UNSIZED = (  # photos decide
    *("Compress", "ImageDecoder", "NonMaxSuppression", "NonZero"),
    *("StringNormalizer", "StringSplit", "Unique"),
)
LISTS = (  # of tensors: which one is taken could follow from pixels, and its size with it
    *("SplitToSequence", "ConcatFromSequence", "SequenceAt", "SequenceConstruct", "SequenceEmpty"),
    *("SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap"),
    *("Optional", "OptionalGetElement", "OptionalHasElement"),
)
KNOWN_BEFORE = ("Shape", "Size")  # of photos of one size they always say the same


def check_sizes(graph: Any) -> None:
    """See that sizes follow from the size of the photos and from constants.

    Args:
        graph: a parsed GraphProto.

    Raises:
        ValueError: one follows from pixels; the message names the operator.
    """
    from_pixels = _names_from_pixels(graph)
    for node in graph.node:
        if node.op_type in LISTS:
            raise ValueError(f"operator {node.op_type!r} works on lists; expected tensors alone")
        if node.op_type in UNSIZED and from_pixels.intersection(node.input):
            raise ValueError(f"how much operator {node.op_type!r} answers depends on the photo")
        if node.op_type in SIZED:
            deciding = SIZED[node.op_type] or range(len(node.input))
            sizes = [node.input[place] for place in deciding if place < len(node.input)]
            if from_pixels.intersection(sizes):
                raise ValueError(f"a size of operator {node.op_type!r} is computed from the photo")


def _names_from_pixels(graph: Any) -> set[str]:
    """Name every tensor whose values depend on what is put in."""
    readers: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        if node.op_type not in KNOWN_BEFORE:
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

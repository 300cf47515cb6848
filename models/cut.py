"""Cut a network in two at a layer: the upper part answers maps of that layer by itself.

The upper part is taken out of the bytes of a graph with protobuf alone, when it is first asked
for, so that a bundle holds no weights twice.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from models.bundle import Bundle
from models.bundles.manifest import LayerEntry
from models.errors import BundleError
from models.onnx_weights import parse_model
from models.runtime import Graph

LEAST_SIDE = 12  # positions; with fewer, masks show no more than the last maps do


class Cut(NamedTuple):
    """A layer that everything passes through, and the network above it."""

    layer: str
    upper: Graph  # maps of that layer (N, C, h, w) -> logits


def open_cut(bundle: Bundle, whole: Graph, threads: int) -> Cut | None:
    """Cut the network of a bundle, and see that the part answers as the whole.

    Args:
        whole: its `layers.onnx`, checked and tried.

    Returns:
        None: no layer separates it.

    Raises:
        BundleError: the part does not load, or answers otherwise.
    """
    manifest = bundle.manifest
    photos = np.random.default_rng(0).integers(0, 256, (2, *[manifest.framing.size] * 2, 3))
    try:
        cut = cut_network(bundle.read("layers.onnx"), manifest.layers, threads)
        if cut is None:
            return None
        logits, maps = whole.run(photos, ["logits", cut.layer])
        same = np.allclose(cut.upper.run(maps, ["logits"])[0], logits, rtol=1e-3, atol=1e-3)
    except Exception as error:  # the runtime's own exceptions have no common base
        raise BundleError(bundle.path, f"layers.onnx cannot be cut: {error}") from error
    if not same:
        reason = f"layers.onnx cannot be cut: the part above {cut.layer} answers otherwise"
        raise BundleError(bundle.path, reason)
    return cut


def cut_network(model: bytes, layers: Sequence[LayerEntry], threads: int = 1) -> Cut | None:
    """Cut a network at the deepest block of the coarsest fine maps that everything passes through.

    Args:
        model: a graph with `logits` and the layers among its outputs, that ONNX Runtime has
            loaded and `check_graph` has passed.
        layers: from photo to answer.

    Returns:
        None: no block is fine enough, or a path leads around each, as skip connections do.
    """
    sides = {one.name: min(one.height, one.width) for one in reversed(layers) if one.block}
    fine = {name: side for name, side in sides.items() if side >= LEAST_SIDE}
    parsed = parse_model(model)
    for layer in sorted(fine, key=fine.__getitem__):  # of equals the deeper comes first
        source = _source(parsed.graph, layer)
        above = _nodes_above(parsed.graph, source)
        if above is not None:
            _keep(parsed.graph, above, layer, source)
            return Cut(layer, Graph(parsed.SerializeToString(), threads))
    return None


def _source(graph: Any, layer: str) -> str:
    """Name the tensor that other nodes read: an output is often only a copy of it."""
    copies = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    while layer in copies:
        layer = copies[layer]
    return layer


def _nodes_above(graph: Any, source: str) -> set[int] | None:
    """Find the nodes that `logits` needs above `source`; None: it needs the photo as well."""
    makers = {name: at for at, node in enumerate(graph.node) for name in node.output}
    photo = {value.name for value in graph.input}
    above: set[int] = set()
    waiting = ["logits"]
    while waiting:
        name = waiting.pop()
        if name in photo:
            return None
        if name != source and name in makers and makers[name] not in above:
            above.add(makers[name])
            waiting.extend(graph.node[makers[name]].input)
    return above


def _keep(graph: Any, above: set[int], layer: str, source: str) -> None:
    """Leave nothing in `graph` but the nodes `above`, fed by `source`, and their weights."""
    nodes = [graph.node[at] for at in sorted(above)]
    read = {name for node in nodes for name in node.input}
    weights = [tensor for tensor in graph.initializer if tensor.name in read]
    outputs = {value.name: value for value in graph.output}
    outputs[layer].name = source  # it has the type and shape that the input needs
    for field, kept in (
        (graph.node, nodes),
        (graph.initializer, weights),
        (graph.input, [outputs[layer]]),
        (graph.output, [outputs["logits"]]),
        (graph.value_info, []),
    ):
        del field[:]
        field.extend(kept)

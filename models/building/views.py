"""Two views of a photo, it and its mirror image, answered as one: their features are averaged.

What reads the features then need not know of it. In ONNX the graph itself mirrors the photos; a
Keras network is called twice. (Krizhevsky et al. 2012, section 4.1, average predictions of crops
and their reflections.)
"""

from typing import Any

import numpy as np
import onnx

from models.building.onnx_graph import GraphWriter

AVERAGED = ("features", "pooled")  # outputs; maps stay those of the photo itself
WIDTH = 2  # the axis of (N, S, S, 3) that is turned round


def mirror(photos: np.ndarray) -> np.ndarray:
    """Turn (N, S, S, 3) photos left to right."""
    return photos[:, :, ::-1]


def average_views(graph: bytes) -> bytes:
    """Let a graph answer the mean of two views, of features that were those of one.

    Args:
        graph: photos -> `features`, perhaps `pooled`, (N, F), and maps, (N, C, h, w).
    """
    model = onnx.load_from_string(graph)
    inner, before, after = model.graph, GraphWriter("/views/"), GraphWriter("/answer/")
    photos = inner.input[0].name
    bounds = (before.integers([number]) for number in (-1, np.iinfo(np.int64).min, WIDTH, -1))
    mirrored = before.node("Slice", [photos, *bounds])
    both = before.node("Concat", [photos, mirrored], axis=0)
    for output in inner.output:
        shape = [size.dim_value for size in output.type.tensor_type.shape.dim[1:]]
        found = f"/views/{output.name}"
        _rename(inner, output.name, found)
        pairs = after.node("Reshape", [found, after.integers([2, -1, *shape])])
        if output.name in AVERAGED:
            one = after.node("ReduceMean", [pairs, after.integers([0])], keepdims=0)
        else:
            first = after.node("Slice", [pairs, *(after.integers([at]) for at in (0, 1, 0))])
            one = after.node("Reshape", [first, after.integers([-1, *shape])])
        after.rename(one, output.name)
    _rename(inner, photos, both)
    nodes = [*before.nodes, *inner.node, *after.nodes]
    del inner.node[:]
    inner.node.extend(nodes)
    inner.initializer.extend(before.constants + after.constants)
    return bytes(model.SerializeToString())


def average_network(network: Any) -> Any:
    """Make the Keras network that answers the head's logits for the mean of two views.

    Args:
        network: (N, S, S, 3) raw RGB -> (N, K) logits; its features are those of layer `pool`.
    """
    import keras

    features = keras.Model(network.input, network.get_layer("pool").output, name="one_view")
    image = keras.Input(network.input_shape[1:], name="image")
    mirrored = keras.ops.flip(image, axis=WIDTH)
    answer = keras.layers.Average(name="mean_view")([features(image), features(mirrored)])
    names = [layer.name for layer in network.layers]
    for layer in network.layers[names.index("pool") + 1 :]:
        answer = layer(answer)
    return keras.Model(image, answer, name="classifier")


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Let the nodes of a graph write, and read, a tensor under another name."""
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new

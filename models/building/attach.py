"""A head put on a backbone that is already written, without Keras.

A second head on the same backbone then costs no import of TensorFlow. The Keras file is a
zip of a JSON description and an HDF5 file of weights (Keras 3, saving_lib.py); the head's
layers are appended to both as Keras itself would write them. In ONNX its nodes follow those
of the backbone.
"""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from typing import Any

import h5py
import onnx

from models.building.head import DenseLayer, Head, UnitLength
from models.building.onnx_graph import GraphWriter
from models.building.writers.activations import activation, unit_length


def head_names(head: Head) -> list[str]:
    """Name each layer: `head_dense1`, `head_unit2` and so on, the last one `logits`."""
    kinds = ["unit" if isinstance(part, UnitLength) else "dense" for part in head[:-1]]
    return [f"head_{kind}{number}" for number, kind in enumerate(kinds, start=1)] + ["logits"]


def pool_layers(backbone: bytes, names: Sequence[str]) -> bytes:
    """Add an output `pooled`: the mean maps of these layers, one after another, then `features`.

    Args:
        backbone: a graph with an output `features`, and one for each of these layers.
    """
    model = onnx.load_from_string(backbone)
    graph, writer = model.graph, GraphWriter("/pooled/")
    source = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    shapes = {value.name: value.type.tensor_type.shape.dim for value in graph.output}
    means = [writer.node("GlobalAveragePool", [source[name]]) for name in names]
    flat = writer.node("Flatten", [writer.node("Concat", means, axis=1)], axis=1)
    writer.rename(writer.node("Concat", [flat, source["features"]], axis=1), "pooled")
    width = sum(shapes[name][1].dim_value for name in [*names, "features"])
    graph.node.extend(writer.nodes)
    graph.output.append(
        onnx.helper.make_tensor_value_info("pooled", onnx.TensorProto.FLOAT, ["N", width])
    )
    return bytes(model.SerializeToString())


def attach_to_onnx(backbone: bytes, head: Head) -> bytes:
    """Write the whole network as a graph with an output `logits` before those of the backbone.

    Args:
        backbone: a graph with an output `features`.
    """
    model = onnx.load_from_string(backbone)
    graph = model.graph
    writer = GraphWriter("/head/")
    logits = _write_head(writer, "features", head)
    writer.rename(logits, "logits")
    classes = _widths(head)[1]
    answer = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["N", classes])
    graph.node.extend(writer.nodes)
    graph.initializer.extend(writer.constants)
    graph.output.insert(0, answer)
    return bytes(model.SerializeToString())


def keep_outputs(graph: bytes, names: Sequence[str]) -> bytes:
    """Reduce a graph to these outputs."""
    model = onnx.load_from_string(graph)
    dropped = {value.name for value in model.graph.output} - set(names)
    for values in (model.graph.output, model.graph.node):  # the nodes that only name them
        found = [v for v in values if dropped.isdisjoint(getattr(v, "output", [v.name]))]
        del values[:]
        values.extend(found)
    return bytes(model.SerializeToString())


def head_graph(head: Head) -> bytes:
    """Write the head alone as a graph: `features` -> `logits`."""
    writer = GraphWriter("/head/")
    writer.rename(_write_head(writer, "features", head), "logits")
    inputs, classes = _widths(head)
    return writer.finish("head", ("features", (inputs,)), {"logits": (classes,)})


def attach_to_keras(backbone: bytes, head: Head) -> bytes:
    """Write the whole network as a .keras file.

    Args:
        backbone: a .keras file of a functional network from photos to features.
    """
    with zipfile.ZipFile(io.BytesIO(backbone)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    description = json.loads(members["config.json"])
    config = description["config"]
    source, width = _output_layer(config), _widths(head)[0]
    with_weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(with_weights, "r+") as weights:
        counts = Counter(layer["class_name"] for layer in config["layers"])
        for name, part in zip(head_names(head), head, strict=True):
            kind = "UnitNormalization" if isinstance(part, UnitLength) else "Dense"
            config["layers"].append(_layer_config(name, kind, part, source, width))
            number, counts[kind] = counts[kind], counts[kind] + 1
            stem = "unit_normalization" if kind == "UnitNormalization" else "dense"
            group = weights.create_group(f"layers/{stem}{f'_{number}' if number else ''}/vars")
            group.attrs["name"] = name
            if isinstance(part, DenseLayer):
                group["0"], group["1"] = part.kernel, part.bias
                width = part.bias.size
            source = name
    config |= {"name": "classifier", "output_layers": [source, 0, 0]}
    members["config.json"] = json.dumps(description).encode()
    members["model.weights.h5"] = with_weights.getvalue()
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # no time of day: equal bytes
    return whole.getvalue()


def _output_layer(config: dict[str, Any]) -> str:
    """Name the layer whose output is that of a functional network with one output."""
    output = config["output_layers"]
    return str(output[0] if isinstance(output[0], str) else output[0][0])


def _widths(head: Head) -> tuple[int, int]:
    """Count the features a head reads, and the logits it gives."""
    dense = [part for part in head if isinstance(part, DenseLayer)]
    return dense[0].kernel.shape[0], dense[-1].bias.size


def _write_head(writer: GraphWriter, tensor: str, head: Head) -> str:
    for part in head:
        if isinstance(part, UnitLength):
            tensor = unit_length(writer, tensor)
            continue
        weights = [writer.constant(part.kernel), writer.constant(part.bias)]
        tensor = activation(writer, writer.node("Gemm", [tensor, *weights]), part.activation)
    return tensor


def _layer_config(
    name: str, kind: str, part: DenseLayer | UnitLength, source: str, width: int
) -> dict[str, Any]:
    """Describe a layer as Keras does; what is left out has Keras' default."""
    settings: dict[str, Any] = {"name": name, "trainable": True, "dtype": "float32"}
    if isinstance(part, DenseLayer):
        settings |= {"units": part.bias.size, "activation": part.activation, "use_bias": True}
    came_from = {"shape": [None, width], "dtype": "float32", "keras_history": [source, 0, 0]}
    tensor = {"class_name": "__keras_tensor__", "config": came_from}
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": settings,
        "registered_name": None,
        "build_config": {"input_shape": [None, width]},
        "name": name,
        "inbound_nodes": [{"args": [tensor], "kwargs": {}}],
    }

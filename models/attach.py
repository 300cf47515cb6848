"""A head put on a backbone that is already written, without Keras.

A second head on the same backbone then costs no import of TensorFlow. The Keras file is a
zip of a JSON description and an HDF5 file of weights (Keras 3, saving_lib.py); the head's
layers are appended to both as Keras itself would write them. In ONNX its nodes follow those
of the backbone.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

import h5py
import onnx

from models.head import DenseLayer, Head, UnitLength
from models.onnx_graph import GraphWriter
from models.onnx_layers import activation

POOL = "pool"  # the backbone's last layer


def head_names(head: Head) -> list[str]:
    """The name of each layer: `head_dense1`, `head_unit1` and so on, the last one `logits`."""
    kinds = ["unit" if isinstance(part, UnitLength) else "dense" for part in head[:-1]]
    return [f"head_{kind}{number}" for number, kind in enumerate(kinds, start=1)] + ["logits"]


def attach_to_onnx(backbone: bytes, head: Head, maps: bool) -> bytes:
    """The whole network as a graph with `logits` and `features`, and with its maps or not.

    Args:
        backbone: a graph with an output `features`, and one for each mapped layer.
    """
    model = onnx.load_from_string(backbone)
    if not maps:
        _drop_outputs(model.graph, ["features"])
    graph = model.graph
    writer = GraphWriter("/head/")
    logits = _write_head(writer, "features", head)
    writer.rename(logits, "logits")
    classes = _dense(head)[-1].bias.size
    answer = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["N", classes])
    graph.node.extend(writer.nodes)
    graph.initializer.extend(writer.constants)
    graph.output.insert(0, answer)
    return bytes(model.SerializeToString())


def keep_outputs(graph: bytes, names: Sequence[str]) -> bytes:
    """The same graph, answering these outputs only."""
    model = onnx.load_from_string(graph)
    _drop_outputs(model.graph, names)
    return bytes(model.SerializeToString())


def _drop_outputs(graph: onnx.GraphProto, kept: Sequence[str]) -> None:
    """Take away the other outputs, and the nodes that only name them."""
    dropped = {value.name for value in graph.output} - set(kept)
    for values in (graph.output, graph.node):
        found = [v for v in values if dropped.isdisjoint(getattr(v, "output", [v.name]))]
        del values[:]
        values.extend(found)


def head_graph(head: Head) -> bytes:
    """The head alone: `features` -> `logits`."""
    writer = GraphWriter("/head/")
    writer.rename(_write_head(writer, "features", head), "logits")
    inputs, classes = _dense(head)[0].kernel.shape[0], _dense(head)[-1].bias.size
    return writer.finish("head", ("features", (inputs,)), {"logits": (classes,)})


def attach_to_keras(backbone: bytes, head: Head) -> bytes:
    """The whole network as a .keras file.

    Args:
        backbone: a .keras file of a functional network whose output is that of `pool`.
    """
    with zipfile.ZipFile(io.BytesIO(backbone)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    description = json.loads(members["config.json"])
    config = description["config"]
    source = POOL
    with_weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(with_weights, "r+") as weights:
        number = sum(layer["class_name"] == "Dense" for layer in config["layers"])
        width = _dense(head)[0].kernel.shape[0]
        for name, part in zip(head_names(head), head, strict=True):
            config["layers"].append(_layer_config(name, part, width, source))
            source = name
            if isinstance(part, UnitLength):
                continue
            group = weights.create_group(f"layers/dense{f'_{number}' if number else ''}/vars")
            group.attrs["name"] = name
            group["0"], group["1"] = part.kernel, part.bias
            number, width = number + 1, part.bias.size
    config |= {"name": "classifier", "output_layers": [source, 0, 0]}
    members["config.json"] = json.dumps(description).encode()
    members["model.weights.h5"] = with_weights.getvalue()
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # no time of day: equal bytes
    return whole.getvalue()


def _write_head(writer: GraphWriter, tensor: str, head: Head) -> str:
    for part in head:
        if isinstance(part, UnitLength):
            tensor = writer.node("LpNormalization", [tensor], axis=1, p=2)  # 0 stays 0
            continue
        weights = [writer.constant(part.kernel), writer.constant(part.bias)]
        tensor = activation(writer, writer.node("Gemm", [tensor, *weights]), part.activation)
    return tensor


def _dense(head: Head) -> list[DenseLayer]:
    return [part for part in head if isinstance(part, DenseLayer)]


def _layer_config(
    name: str, part: DenseLayer | UnitLength, width: int, source: str
) -> dict[str, Any]:
    """One layer as Keras describes it; what is left out has Keras' default."""
    kind: str = "UnitNormalization"
    own: dict[str, Any] = {"axis": -1}
    if isinstance(part, DenseLayer):
        kind = "Dense"
        own = {"units": part.bias.size, "activation": part.activation, "use_bias": True}
    came_from = {"shape": [None, width], "dtype": "float32", "keras_history": [source, 0, 0]}
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {"name": name, "trainable": True, "dtype": "float32"} | own,
        "registered_name": None,
        "build_config": {"input_shape": [None, width]},
        "name": name,
        "inbound_nodes": [
            {"args": [{"class_name": "__keras_tensor__", "config": came_from}], "kwargs": {}}
        ],
    }  # fmt: skip

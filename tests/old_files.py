"""Configurations as Keras 2 wrote them, and how a file is compared with its model."""

import keras
import numpy as np

from models.adopting.files.model_file import read_model_file
from models.adopting.rebuild import rebuild
from tests.foreign_files import photos_for


def each(config: dict, kind: str):
    """Every layer of a kind, however deep."""
    for layer in config["config"]["layers"]:
        if layer["class_name"] == kind:
            yield layer
        if "layers" in layer.get("config", {}):
            yield from each(layer, kind)


def compare(path, model: keras.Model, photos: np.ndarray | None = None) -> None:
    photos = photos_for(32).astype("float32") if photos is None else photos
    found = rebuild(read_model_file(path)).network(photos)
    np.testing.assert_allclose(found, model(photos, training=False), atol=1e-5)


def old_nodes(config: dict) -> None:
    """Write the calls of a functional model as Keras 2 did."""
    for layer in config["config"]["layers"]:
        if "layers" in layer.get("config", {}) and "input_layers" in layer["config"]:
            old_nodes(layer)
        nodes = []
        for node in layer.get("inbound_nodes", []):
            tensors = []

            def collect(value, tensors=tensors):
                if isinstance(value, list):
                    for item in value:
                        collect(item)
                elif isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
                    tensors.append([*value["config"]["keras_history"], {}])

            collect(node["args"])
            nodes.append(tensors)
        if "inbound_nodes" in layer:
            layer["inbound_nodes"] = nodes
    names = {layer["config"]["name"]: layer for layer in config["config"]["layers"]}
    for layer in config["config"]["layers"]:  # a model inside counted its building as a call
        for node in layer.get("inbound_nodes", []):
            for tensor in node:
                tensor[1] += "layers" in names[tensor[0]]["config"]
    for key in ("input_layers", "output_layers"):
        if isinstance(config["config"][key][0], str):
            config["config"][key] = [config["config"][key]]

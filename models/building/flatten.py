"""Building any `keras.applications` network into our graph: plain layers, no models inside.

ConvNeXt keeps its stem in small nested models and scales channels with a layer of its own;
Inception-ResNet scales its residuals with another. A saved network that needs those classes
cannot be loaded without them, and a nested model hides its layers. Each is replaced by
built-in layers that compute the same numbers.
"""

from typing import Any

import keras
from keras import layers


def graft(network: keras.Model, image: keras.KerasTensor) -> keras.KerasTensor:
    """Put a plain copy of `network` on top of `image`.

    Args:
        network: functional, with one input; it stays as it is.
        image: (N, H, W, 3), scaled as `network` expects it.

    Returns:
        The output of `network` for `image`, by built-in layers with the same weights.
    """
    tensors: dict[int, Any] = {id(network.input): image}

    def renew(value: Any) -> Any:
        return tensors.get(id(value), value)

    for operation in network.operations:
        if not isinstance(operation, layers.InputLayer):
            called = operation._inbound_nodes[0].arguments
            args, kwargs = keras.tree.map_structure(renew, (called.args, called.kwargs))
            tensors[id(operation.output)] = _call_plain(operation, *args, **kwargs)
    return tensors[id(network.output)]


def _call_plain(layer: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a plain copy of `layer`, with its weights."""
    kind = type(layer).__name__
    if isinstance(layer, keras.Sequential):
        x = args[0]
        for inner in layer.layers:
            x = _call_plain(inner, x)
        return x
    if kind == "LayerScale":
        scale = layers.DepthwiseConv2D(1, use_bias=False, name=layer.name)
        output = scale(args[0])
        scale.set_weights([layer.get_weights()[0].reshape(1, 1, -1, 1)])
        return output
    if kind == "CustomScaleLayer":
        shortcut, residual = args[0]
        scaled = layers.Rescaling(layer.scale, name=f"{layer.name}_scale")(residual)
        return layers.Add(name=layer.name)([shortcut, scaled])
    copy = type(layer).from_config(layer.get_config())
    output = copy(*args, **kwargs)
    if getattr(layer, "weights", None):  # an operation such as `+` has none
        copy.set_weights(layer.get_weights())
    if isinstance(copy, layers.Normalization):
        copy.finalize_state()  # its mean and variance are read from the weights once
    return output

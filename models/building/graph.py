"""The network's graph, read: which layers can be shown, and what each position sees.

A *mapped* layer is one whose output has a height and a width and ends a unit: of
convolution -> batch normalisation -> ReLU the ReLU is shown, since the compiled network
computes the three as one step. Receptive field and stride follow Araujo et al. 2019,
"Computing Receptive Fields of Convolutional Neural Networks" (Distill), section "Arbitrary
computation graphs".
"""

import re
from typing import Any

import keras
from keras import layers

from models.bundle import LayerEntry
from models.bundles.manifest import MOST_CHANNELS, MOST_LETTERS
from models.errors import ExportError

_WINDOWS = (
    layers.Conv2D,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
)
_ENDS_A_UNIT = (
    layers.BatchNormalization,
    layers.ReLU,
    layers.LeakyReLU,
    layers.PReLU,
    layers.ELU,
    layers.Activation,
)
_NOT_SHOWN = (
    layers.InputLayer,
    layers.Rescaling,
    layers.Normalization,
    layers.ZeroPadding2D,
    layers.Cropping2D,
    layers.Resizing,
    layers.CenterCrop,
    layers.Reshape,
    layers.Dropout,
)


ANSWERS = ("logits", "features", "pooled")  # outputs of the graphs; no map may take their names


def mapped_layers(network: keras.Model) -> list[LayerEntry]:
    """Find every layer of `network` that can be shown, from photo to answer.

    Args:
        network: one flat functional graph with an input of a fixed size.

    Raises:
        ExportError: a layer stands in two places, so its name does not say which.
    """
    for operation in network.operations:
        if len(operation._inbound_nodes) != 1:
            raise ExportError(operation.name, f"a {type(operation).__name__} that is used twice")
    consumers = _consumers(network)
    trunk = _trunk(network, consumers)
    reach = _reach(network)
    found = []
    for operation in network.operations:
        output = operation.output
        if isinstance(operation, _NOT_SHOWN) or operation.name.startswith("scaling"):
            continue
        if isinstance(output, (list, tuple)) or len(output.shape) != 4:
            continue
        _, height, width, channels = output.shape
        after = consumers.get(id(output), [])
        absorbed = len(after) == 1 and isinstance(after[0], _ENDS_A_UNIT)
        if absorbed or height * width == 1 or operation.name in ANSWERS:
            continue
        if channels > MOST_CHANNELS or len(operation.name) > MOST_LETTERS:  # no bundle may show it
            continue
        stride, field = reach[id(output)]
        found.append(
            LayerEntry(
                name=operation.name,
                kind=type(operation).__name__,
                height=height,
                width=width,
                channels=channels,
                stride=max(1, round(stride)),
                receptive_field=field,
                trunk=operation.name in trunk,
                block=False,
            )
        )
    ends = _block_ends([layer.name for layer in found if layer.trunk])
    return [layer.model_copy(update={"block": layer.name in ends}) for layer in found]


def map_tensors(network: keras.Model) -> dict[str, Any]:
    """Find the output of every mapped layer of `network`, by the layer's name."""
    outputs = {operation.name: operation.output for operation in network.operations}
    return {layer.name: outputs[layer.name] for layer in mapped_layers(network)}


def _inputs(operation: Any) -> list[Any]:
    return keras.tree.flatten(operation.input)


def _consumers(network: keras.Model) -> dict[int, list[Any]]:
    """Find the operations that read each tensor, by the tensor's id."""
    readers: dict[int, list[Any]] = {}
    for operation in network.operations:
        if not isinstance(operation, layers.InputLayer):
            for tensor in _inputs(operation):
                readers.setdefault(id(tensor), []).append(operation)
    return readers


def _trunk(network: keras.Model, consumers: dict[int, list[Any]]) -> set[str]:
    """Name the operations that every path from input to output passes through."""
    waiting: dict[int, int] = {}  # tensors still to be read, and by how many
    trunk = set()
    for operation in network.operations:
        if not isinstance(operation, layers.InputLayer):
            for tensor in _inputs(operation):
                waiting[id(tensor)] -= 1
                if waiting[id(tensor)] == 0:
                    del waiting[id(tensor)]
        output = operation.output
        waiting[id(output)] = len(consumers.get(id(output), []))
        if len(waiting) == 1:
            trunk.add(operation.name)
    return trunk


def _block_ends(names: list[str]) -> set[str]:
    """Find the last layer of each block, among trunk layers in order.

    A block is the layers whose names agree up to the last part with a digit in it, as in
    `conv5_block3_out` or `block2a_project_bn`: so backbones name them.
    """
    blocks = [found[0] if (found := re.match(r".*\d[^_]*", name)) else name for name in names]
    return set(dict(zip(blocks, names, strict=True)).values())  # the last name of each stays


def _reach(network: keras.Model) -> dict[int, tuple[float, int]]:
    """Compute stride and receptive field of every tensor, in input pixels, by the tensor's id.

    A gate of one position (squeeze-and-excite) sees the whole photo but has no place in
    it: where it meets a feature map, the map's own field counts.
    """
    size = network.input_shape[1]
    reach: dict[int, tuple[float, int]] = {}
    for operation in network.operations:
        output = operation.output
        if isinstance(operation, layers.InputLayer):
            reach[id(output)] = (1.0, 1)
            continue
        tensors = _inputs(operation)
        spatial = [t for t in tensors if len(t.shape) == 4 and t.shape[1] * t.shape[2] > 1]
        known = [reach[id(tensor)] for tensor in spatial or tensors]
        stride, field = max(s for s, _ in known), max(f for _, f in known)
        if isinstance(operation, _WINDOWS):
            kernel, step, dilation = _window(operation)
            field += round((kernel - 1) * dilation * stride)
            stride *= step
        elif isinstance(operation, (layers.UpSampling2D, layers.Conv2DTranspose)):
            factor = getattr(operation, "size", None) or operation.strides
            stride /= factor[0]
        elif isinstance(operation, layers.Resizing):
            step = tensors[0].shape[1] / output.shape[1]
            field += round((max(step, 1) - 1) * stride)
            stride *= step
        elif spatial and len(output.shape) != 4:
            field = size  # pooled or flattened: the whole photo
        reach[id(output)] = (stride, field)
    return reach


def _window(layer: Any) -> tuple[int, int, int]:
    """Read kernel, stride and dilation of a layer with a square window."""
    kernel = getattr(layer, "kernel_size", None) or layer.pool_size
    return kernel[0], layer.strides[0], getattr(layer, "dilation_rate", (1,))[0]

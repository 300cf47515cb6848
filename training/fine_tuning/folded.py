"""The trained blocks with batch normalisation folded into their convolutions: faster steps.

While its statistics stand still, batch normalisation multiplies each channel by a number and
adds another. Both can be done to the kernel and the bias of the convolution in front: the same
function of the same weights, with the same gradients, without two passes over whole feature
maps. The variables stay those of the backbone's own layers.
"""

from typing import Any

import keras
from keras import layers, ops

from training.fine_tuning.products import depthwise, product


class FoldedConvolution(layers.Layer):
    """A convolution and the batch normalisation after it, as one convolution."""

    def __init__(self, convolution: Any, norm: layers.BatchNormalization, precision: str):
        super().__init__(name=f"{norm.name}_folded")
        self.convolution = convolution
        self.norm = norm
        self.precision = precision

    def call(self, maps: Any) -> Any:
        """Convolve (N, H, W, C) maps with the kernel and bias that the norm would give."""
        norm, convolution = self.norm, self.convolution
        scale = ops.rsqrt(norm.moving_variance + norm.epsilon)
        if norm.scale:
            scale = norm.gamma * scale
        shift = -norm.moving_mean * scale
        if norm.center:
            shift = shift + norm.beta
        if convolution.use_bias:
            shift = shift + convolution.bias * scale
        return self._convolve(maps, scale) + shift

    def _convolve(self, maps: Any, scale: Any) -> Any:
        layer = self.convolution
        if isinstance(layer, layers.DepthwiseConv2D):
            kernel = layer.kernel * scale[:, None]
            return depthwise(maps, kernel, layer.strides[0], layer.padding)
        kernel = layer.kernel * scale
        if layer.kernel_size == (1, 1) and layer.strides == (1, 1):
            return product(maps, kernel[0, 0], self.precision)
        return ops.conv(maps, kernel, layer.strides, layer.padding)


def fold(blocks: keras.Model, maps: Any, start: Any, precision: str) -> Any:
    """Put `blocks` on `maps`, every convolution that can be folded being folded.

    Args:
        blocks: the part of a flat backbone after a cut; its layers are called again, so their
            variables are shared.
        maps: the new input; start: the tensor in the backbone that it stands for.
        precision: `float32` or `bfloat16`, of matrix products.

    Returns:
        The output of `blocks` for `maps`.
    """
    calls = [op._inbound_nodes[0] for op in blocks.operations if not _is_input(op)]
    readers: dict[int, list[Any]] = {}
    for call in calls:
        for tensor in call.input_tensors:
            readers.setdefault(id(tensor), []).append(call.operation)
    tensors: dict[int, Any] = {id(start): maps}
    waiting: dict[int, tuple[Any, Any]] = {}  # convolutions whose norm comes next, with input
    for call in calls:
        made, read = id(call.output_tensors[0]), id(call.input_tensors[0])
        if _can_fold(call.operation, readers.get(made, [])):
            waiting[made] = (call.operation, tensors[read])
        elif read in waiting:
            convolution, seen = waiting[read]
            tensors[made] = FoldedConvolution(convolution, call.operation, precision)(seen)
        else:
            given = (call.arguments.args, call.arguments.kwargs)
            args, kwargs = keras.tree.map_structure(lambda v: tensors.get(id(v), v), given)
            tensors[made] = call.operation(*args, **kwargs)
    return tensors[id(blocks.operations[-1]._inbound_nodes[0].output_tensors[0])]


def _is_input(operation: Any) -> bool:
    return isinstance(operation, layers.InputLayer)


def _can_fold(layer: Any, readers: list[Any]) -> bool:
    """Tell whether nothing stands between a convolution and one batch normalisation."""
    if len(readers) != 1 or not isinstance(readers[0], layers.BatchNormalization):
        return False
    if type(layer) is layers.DepthwiseConv2D:
        plain = layer.depth_multiplier == 1 and layer.strides[0] == layer.strides[1]
    elif type(layer) is layers.Conv2D:
        plain = layer.groups == 1
    else:
        return False
    linear = layer.activation is keras.activations.linear
    return plain and linear and layer.dilation_rate == (1, 1) and _channels_last(layer, readers[0])


def _channels_last(layer: Any, norm: layers.BatchNormalization) -> bool:
    return layer.data_format == "channels_last" and norm.axis in (-1, 3)

"""The last layer of somebody's network: what its answers are, and what they are made of.

Layers that only reshape the answers stand behind it: `Flatten` after a convolution, a linear
`Activation` of mixed precision. Taken for the end, they would hide the softmax in front of them,
and its probabilities be read as logits.
"""

from typing import Any

import keras
from keras import layers

from models.errors import AdoptError

# Activations that are layers, and what each is called in a refusal.
_CURVES = (layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)
# Layers whose answers are probabilities where all that they read are.
_MIXING = (
    *(layers.Add, layers.Average, layers.Concatenate, layers.Maximum, layers.Minimum),
    *(layers.Multiply, layers.Subtract, layers.Rescaling, layers.UnitNormalization),
    *(layers.Reshape, layers.Flatten, layers.Permute, layers.Cropping2D, layers.RepeatVector),
    *(layers.AveragePooling2D, layers.MaxPooling2D, layers.UpSampling2D),
    *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D),
    *(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D),
)
_PROBABILITIES = ("softmax", "sigmoid", "hard_sigmoid")


def below_reshapes(answer: Any) -> Any:
    """Return the tensor (N, K) or (N, 1, 1, K) below the layers that only reshape the answers.

    Raises:
        AdoptError: the network answers with more than one number for each class.
    """
    classes = answer.shape[-1]
    while _is_row(answer) and answer.shape[-1] == classes:
        layer = answer._keras_history.operation
        linear = isinstance(layer, layers.Activation) and _function(layer) == "linear"
        if not linear and not isinstance(layer, (layers.Reshape, layers.Flatten)):
            return answer
        if not _is_row(layer.input) or layer.input.shape[-1] != classes:
            return answer
        answer = layer.input
    if _is_row(answer):
        return answer
    raise AdoptError(
        f"the network answers with {' x '.join(map(str, answer.shape[1:]))} numbers for a "
        "photo; expected one for each class: segmentation and detection are not adopted"
    )


def _is_row(tensor: Any) -> bool:
    return len(tensor.shape) >= 2 and all(side == 1 for side in tensor.shape[1:-1])


def final_activation(last: Any) -> tuple[str, Any]:
    """Return the last activation, and the tensor below it where it is a layer of its own."""
    if isinstance(last, layers.Softmax):
        own = last.axis in (-1, len(last.output.shape) - 1)
        return ("softmax" if own else f"softmax of axis {last.axis}"), last.input
    if isinstance(last, _CURVES):
        return type(last).__name__, last.input
    name = _function(last) or "linear"
    return name, last.input if isinstance(last, layers.Activation) else None


def _function(layer: Any) -> str | None:
    return getattr(getattr(layer, "activation", None), "__name__", None)


def bounded_by(tensor: Any) -> tuple[str, str] | None:
    """Return a softmax or sigmoid, and its layer, that numbers come from with no weights after it.

    None: they do not, so they can be logits.
    """
    found, waiting, seen = None, [tensor], set()
    while waiting:
        layer = waiting.pop()._keras_history.operation
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        function, _ = final_activation(layer)
        if function in _PROBABILITIES:
            found = function, layer.name
        elif isinstance(layer, _MIXING):
            waiting += keras.tree.flatten(layer.input)
        else:
            return None
    return found


def as_vector(tensor: Any, function: str, network: keras.Model) -> Any:
    """Return (N, K) of a tensor (N, 1, 1, K), before the activation of the layer that made it.

    Args:
        function: the network's last activation; linear: there is none to be taken off.
        network: its names are taken.
    """
    layer = tensor._keras_history.operation
    if function != "linear" and _function(layer) == function:
        copy = type(layer).from_config({**layer.get_config(), "activation": "linear"})
        tensor = copy(layer.input)
        copy.set_weights(layer.get_weights())
    name, taken = f"{layer.name}_flat", {one.name for one in network.layers}
    while name in taken:
        name += "_"
    return layers.Flatten(name=name)(tensor)

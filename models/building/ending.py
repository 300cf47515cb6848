"""The end of somebody's network: its last activation taken off, its head as plain numbers.

What follows the features becomes a `Head`, so that saliency, calibration and familiarity
work on it as on our own. The features are the pooled vector where the network pools its last
maps and nothing but dense layers follows; else the vector that the last dense layer reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from models.building.head import DenseLayer, Head
from models.building.last_layer import as_vector, below_reshapes, bounded_by, final_activation
from models.errors import AdoptError

# Activations that a head may have, as `training/heads/forward.py` computes them.
HEAD_ACTIVATIONS = (
    "linear",
    "relu",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "sigmoid",
    "tanh",
)
_POOLS = (layers.GlobalAveragePooling2D,)


@dataclass(frozen=True)
class Ending:
    """A network taken apart into features and head."""

    features: Any  # Keras tensor (N, F)
    head: Head  # features -> logits
    kind: str  # softmax, sigmoid (one unit, two classes) or logits
    layer: str  # the name of the last layer
    unit: bool  # whether one number was the whole answer

    @property
    def classes(self) -> int:
        """How many classes the head tells apart."""
        last = self.head[-1]
        return last.bias.size if isinstance(last, DenseLayer) else 0


@dataclass
class _Affine:
    """A batch normalisation on vectors: x * scale + offset."""

    scale: np.ndarray
    offset: np.ndarray


@dataclass
class _Dense:
    kernel: np.ndarray
    bias: np.ndarray


_Item = _Affine | _Dense | str  # a string: an activation


def split_ending(network: keras.Model) -> Ending:
    """Take the last activation off, and the head from the features.

    Raises:
        AdoptError: what the network answers is no choice of one class.
    """
    answer = below_reshapes(network.output)
    last = _maker(answer)
    function, below = final_activation(last)
    kind = _kind_of(function, answer.shape[-1], last.name)
    if kind == "logits" and (source := bounded_by(answer)):
        raise AdoptError(
            f"the network puts probabilities together after their {source[0]} (layer "
            f"{source[1]!r}), as an average of networks does, and ends with layer {last.name!r}: "
            "the numbers before them are needed. Put those together instead, end with one softmax "
            "or sigmoid, and save it again"
        )
    if len(answer.shape) > 2:
        below = as_vector(answer if below is None else below, function, network)
    items, features = _chain(answer, below)
    head = _fold(items)
    if head is None:
        raise AdoptError(f"layer {last.name!r}, the last, cannot be read as a head")
    if kind == "sigmoid" or answer.shape[-1] == 1:
        head = _two_classes(head)
    return Ending(features, head, kind, last.name, answer.shape[-1] == 1)


def _maker(tensor: Any) -> Any:
    return tensor._keras_history.operation


def _activation(layer: Any) -> str | None:
    """Name the activation of a layer as heads do; None: none, or one that no head has."""
    if isinstance(layer, layers.ReLU):
        plain = layer.max_value is None and not layer.negative_slope and not layer.threshold
        return "relu" if plain else None
    if isinstance(layer, layers.LeakyReLU):
        return "leaky_relu" if abs(layer.negative_slope - 0.2) < 1e-9 else None
    if isinstance(layer, layers.ELU):
        return "elu" if layer.alpha == 1 else None
    return getattr(getattr(layer, "activation", None), "__name__", None)


def _kind_of(function: str, units: int, name: str) -> str:
    """Say what the answers are. Raises AdoptError where they are no probabilities of classes."""
    if function == "softmax":
        if units == 1:
            raise AdoptError(
                f"layer {name!r} is a softmax over one unit, which always answers 1: the model "
                "cannot tell anything apart; it needs a sigmoid, and training anew"
            )
        return "softmax"
    if function == "sigmoid":
        if units > 1:
            raise AdoptError(
                f"layer {name!r} is a sigmoid over {units} units: each class is judged by itself, "
                "and several may be true. Models that choose one class are adopted: end it with "
                "a softmax if exactly one is true"
            )
        return "sigmoid"
    if function not in ("linear", "log_softmax"):  # softmax makes the same of both
        raise AdoptError(
            f"the network ends with {function!r} (layer {name!r}); expected softmax, one sigmoid, "
            "or none (logits)"
        )
    return "logits"


def _chain(answer: Any, below: Any) -> tuple[list[_Item], Any]:
    """Return the layers of the head, first to last, and the features they read."""
    items: list[_Item] = []
    tensor = answer if below is None else below
    first = True
    stops: list[tuple[list[_Item], Any]] = [([], tensor)]
    while len(tensor.shape) == 2:
        found = _item(_maker(tensor), last=first and below is None)
        if found is None:
            break
        items = [*found, *items]
        tensor = _maker(tensor).input
        stops.append((items, tensor))
        first = False
    if len(tensor.shape) == 2 and isinstance(_maker(tensor), _POOLS):
        for chain, start in reversed(stops):  # the longest that can be folded
            if _fold(chain) is not None:
                return chain, start
    for chain, start in stops:  # the shortest with a dense layer
        if any(isinstance(item, _Dense) for item in chain) and _fold(chain) is not None:
            return chain, start
    tensor = answer if below is None else below
    count = tensor.shape[-1]
    return [_Dense(np.eye(count, dtype=np.float32), np.zeros(count, np.float32))], tensor


def _item(layer: Any, last: bool) -> list[_Item] | None:
    """Read one layer of a head, the last without its activation; None: it cannot be in one."""
    if isinstance(layer, layers.BatchNormalization):
        variance = np.asarray(layer.moving_variance) + layer.epsilon
        gamma = 1.0 if layer.gamma is None else np.asarray(layer.gamma)
        beta = 0.0 if layer.beta is None else np.asarray(layer.beta)
        scale = gamma / np.sqrt(variance)
        return [_Affine(scale, beta - np.asarray(layer.moving_mean) * scale)]
    if isinstance(layer, layers.Dense):
        kernel = np.asarray(layer.kernel, np.float32)
        bias = np.zeros(kernel.shape[1]) if layer.bias is None else np.asarray(layer.bias)
        name = "linear" if last else _activation(layer)
        if name not in HEAD_ACTIVATIONS:
            return None
        return [_Dense(kernel, bias), *([name] if name != "linear" else [])]
    if isinstance(layer, (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU)):
        name = _activation(layer)
        return [name] if name in HEAD_ACTIVATIONS else None
    return None


def _fold(items: Sequence[_Item]) -> Head | None:
    """Fold normalisations into the dense layers next to them; None: there is none next to one."""
    head: list[DenseLayer] = []
    pending: _Affine | None = None
    for item in items:
        open_ = bool(head) and head[-1].activation == "linear"
        if isinstance(item, _Affine):
            if open_:
                kernel, bias = head[-1].kernel, head[-1].bias
                head[-1] = _layer(kernel * item.scale, bias * item.scale + item.offset)
            elif pending is None:
                pending = item
            else:
                scale = pending.scale * item.scale
                pending = _Affine(scale, pending.offset * item.scale + item.offset)
        elif isinstance(item, _Dense):
            kernel, bias = item.kernel.astype(np.float64), item.bias.astype(np.float64)
            if pending is not None:
                bias = bias + pending.offset @ kernel
                kernel = pending.scale[:, None] * kernel
                pending = None
            head.append(_layer(kernel, bias))
        else:
            if pending is not None or not open_:
                return None
            head[-1] = DenseLayer(head[-1].kernel, head[-1].bias, item)
    if pending is not None or not head or head[-1].activation != "linear":
        return None
    return head


def _layer(kernel: Any, bias: Any) -> DenseLayer:
    return DenseLayer(np.asarray(kernel, np.float32), np.asarray(bias, np.float32))


def _two_classes(head: Head) -> Head:
    """Halve the one number of a network between its two classes: minus for the first.

    The probabilities are the same as of 0 and that number, but 0 is no logit that a part of a
    photo could raise: saliency would show nothing for the first class.
    """
    last = head[-1]
    if not isinstance(last, DenseLayer):
        return head
    kernel = np.concatenate([-last.kernel / 2, last.kernel / 2], axis=1)
    bias = np.concatenate([-last.bias / 2, last.bias / 2])
    return [*head[:-1], DenseLayer(kernel, bias)]

"""Arithmetic between layers, such as `x / 127.5 - 1` or `preprocess_input`, as layers.

Keras 3 writes an operation by its class (TrueDivide), Keras 2 by TensorFlow's name
(math.truediv). Both become the built-in layer that computes the same, so that the network
holds layers alone. What has no such layer is refused by its name.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from models.adopting.arguments import DOTS, Call, Slice
from models.adopting.assemble import Assembly, View, is_tensor
from models.adopting.weights import snake_case
from models.errors import AdoptError

FLOATS = ("float16", "bfloat16", "float32", "float64", "half", "float", "double")


class Operation(NamedTuple):
    """One operation of a file, with what it was called with."""

    function: str  # its plain name, such as truediv
    tensors: list[Any]  # that it was called with, in order
    others: list[Any]  # numbers and the like, in order
    settings: dict[str, Any]  # by name
    path: Sequence[str]  # names of the models around it, then its own
    first: Any  # its first argument: a tensor, or a number as in 255 - x

    @property
    def name(self) -> str:
        """Its own name."""
        return self.path[-1]

    def setting(self, *names: str, default: Any = None) -> Any:
        """Return a setting by one of its names, else the first plain argument."""
        for name in names:
            if name in self.settings:
                return self.settings[name]
        return self.others[0] if self.others else default

    def refused(self, why: str) -> AdoptError:
        """Say that this cannot be rebuilt."""
        return AdoptError(
            f"operation {self.name!r} ({self.function}) {why}: use a built-in layer such as "
            "Rescaling, Resizing or Normalization instead, and save the model again"
        )


def read_operation(kind: str, config: dict[str, Any], call: Call, path: Sequence[str]) -> Operation:
    """Bring an operation of either form into one."""
    function = config.get("function") if kind == "TFOpLambda" else snake_case(kind)
    if kind == "SlicingOpLambda":
        function = "getitem"
    function = str(function or config.get("name")).rpartition(".")[2].strip("_").lower()
    settings = {key: value for key, value in config.items() if key not in ("name", "function")}
    tensors: list[Any] = []
    others: list[Any] = []
    for item in _flat(call.args):
        (tensors if is_tensor(item) else others).append(item)
    for key, value in call.named.items():
        inside = [item for item in _flat([value]) if is_tensor(item)]
        tensors += inside
        if not inside:
            settings[key] = value
    first = call.args[0] if call.args else None
    return Operation(function, tensors, others, settings, path, first)


def _flat(items: Sequence[Any]) -> list[Any]:
    """Open lists that hold tensors; a list of numbers stays one item."""
    found: list[Any] = []
    for item in items:
        holds = isinstance(item, list) and any(is_tensor(one) for one in item)
        found += item if holds else [item]
    return found


def translate(network: Assembly, operation: Operation) -> Any:
    """Add what an operation computes to the network. Raises AdoptError, with its name."""
    write = _TABLE.get(operation.function)
    if write is None:
        raise operation.refused("has no counterpart here")
    if not operation.tensors:
        raise operation.refused("reads nothing of the network")
    return write(network, operation)


def is_operation(kind: str) -> bool:
    """Return whether a class of Keras 3 stands for an operation that is known."""
    return snake_case(kind) in _TABLE


def _number(operation: Operation, tensor: Any, *names: str) -> Any:
    """Return the number, or the list of one for each channel, that meets a tensor."""
    value = operation.setting(*names)
    array = np.asarray(value, np.float64) if value is not None else np.zeros(0)
    channels = tensor.shape[-1]
    if array.size == 1:
        return float(array.ravel()[0])
    if array.size == channels and array.shape[-1] == channels:
        return [float(number) for number in array.ravel()]
    raise operation.refused(f"has a constant of shape {array.shape}")


def _arithmetic(kind: str) -> Callable[[Assembly, Operation], Any]:
    def write(network: Assembly, operation: Operation) -> Any:
        tensors = [network.tensor(one, operation.name) for one in operation.tensors]
        if len(tensors) == 2:
            if kind == "Divide":
                raise operation.refused("divides by an answer of the network")
            return network.plain(kind, {}, tensors, operation.path)
        x = tensors[0]
        number = _number(operation, x, "y", "x2", "x1", "x", "value", "bias")
        signs = np.asarray(number)
        if kind == "Add":
            return network.scale(x, 1.0, number, operation.path)
        if kind == "Multiply":
            return network.scale(x, number, 0.0, operation.path)
        reversed_ = not is_tensor(operation.first)
        if kind == "Subtract" and reversed_:
            return network.scale(x, -1.0, number, operation.path)
        if kind == "Subtract":
            return network.scale(x, 1.0, (-signs).tolist(), operation.path)
        if reversed_ or not signs.all():
            raise operation.refused("divides by an answer of the network, or by zero")
        return network.scale(x, (1 / signs).tolist(), 0.0, operation.path)

    return write


def _function(name: str) -> Callable[[Assembly, Operation], Any]:
    def write(network: Assembly, operation: Operation) -> Any:
        x = network.tensor(operation.tensors[0], operation.name)
        slope = operation.settings.get("negative_slope", operation.settings.get("alpha"))
        path = operation.path
        if name == "leaky_relu":
            return network.plain("LeakyReLU", {"negative_slope": slope or 0.2}, [x], path)
        if name == "elu" and slope not in (None, 1, 1.0):
            return network.plain("ELU", {"alpha": slope}, [x], path)
        if name == "gelu" and operation.setting("approximate", default=name != "gelu"):
            raise operation.refused("is the approximate form")
        if name == "softmax" and operation.setting("axis", default=-1) not in (-1, None):
            return network.plain("Softmax", {"axis": operation.setting("axis")}, [x], path)
        return network.plain("Activation", {"activation": name}, [x], path)

    return write


def _same(network: Assembly, operation: Operation) -> Any:
    return operation.tensors[0]


def _cast(network: Assembly, operation: Operation) -> Any:
    wanted = operation.setting("dtype")
    if str(wanted) not in FLOATS:
        raise operation.refused(f"makes {wanted} of its numbers")
    return operation.tensors[0]


def _getitem(network: Assembly, operation: Operation) -> Any:
    """Select channels: `x[..., k]`, `x[..., ::-1]`, `x[..., a:b]`."""
    key = operation.settings.get("slice_spec", operation.settings.get("key"))
    if key is None:
        key = operation.others
        if len(key) == 1 and isinstance(key[0], list):
            key = key[0]
    x = operation.tensors[0]
    if isinstance(x, View) or not isinstance(key, list) or not key:
        raise operation.refused("selects in a way that is not known")
    whole = all(one == DOTS or one == Slice(None, None, None) for one in key[:-1])
    axes = len(x.shape) - 1 if DOTS in [k for k in key if isinstance(k, str)] else len(key) - 1
    if not whole or axes != len(x.shape) - 1:
        raise operation.refused("selects along other axes than that of the channels")
    last, count = key[-1], x.shape[-1]
    if isinstance(last, int):
        return View(x, (range(count)[last],), True)
    if isinstance(last, Slice):
        chosen = range(count)[slice(last.start, last.stop, last.step)]
        return View(x, tuple(chosen), False)
    raise operation.refused("selects in a way that is not known")


def _join_channels(network: Assembly, operation: Operation, squeezed: bool) -> Any | None:
    """Join selected channels of one tensor again, in their new order; None: it is not that."""
    views = operation.tensors
    if not all(isinstance(one, View) and one.squeezed == squeezed for one in views):
        return None
    if len({id(one.source) for one in views}) != 1:
        return None
    chosen = [channel for one in views for channel in one.channels]
    return network.select(views[0].source, chosen, operation.path)


def _stack(network: Assembly, operation: Operation) -> Any:
    if operation.setting("axis", default=0) in (-1, 3):
        joined = _join_channels(network, operation, squeezed=True)
        if joined is not None:
            return joined
    raise operation.refused("stacks something else than channels")


def _concatenate(network: Assembly, operation: Operation) -> Any:
    axis = operation.setting("axis", default=-1)
    if axis in (-1, 3):
        joined = _join_channels(network, operation, squeezed=False)
        if joined is not None:
            return joined
    tensors = [network.tensor(one, operation.name) for one in operation.tensors]
    return network.plain("Concatenate", {"axis": axis}, tensors, operation.path)


def _merge(kind: str) -> Callable[[Assembly, Operation], Any]:
    def write(network: Assembly, operation: Operation) -> Any:
        if len(operation.tensors) < 2:
            raise operation.refused("compares with a constant")
        tensors = [network.tensor(one, operation.name) for one in operation.tensors]
        return network.plain(kind, {}, tensors, operation.path)

    return write


def _over_space(kind: str) -> Callable[[Assembly, Operation], Any]:
    def write(network: Assembly, operation: Operation) -> Any:
        x = network.tensor(operation.tensors[0], operation.name)
        axis = operation.setting("axis")
        found = axis if isinstance(axis, list) else [axis]
        axes = sorted(one % 4 for one in found if isinstance(one, int))
        keep = bool(operation.settings.get("keepdims", False))
        if len(x.shape) == 4 and axes == [3] and keep:
            return network.reduce_channels(f"Global{kind}Pooling1D", x, operation.path)
        if len(x.shape) != 4 or axes != [1, 2]:
            raise operation.refused("reduces other axes than height and width, or the channels")
        return network.plain(f"Global{kind}Pooling2D", {"keepdims": keep}, [x], operation.path)

    return write


def _reshape(network: Assembly, operation: Operation) -> Any:
    x = network.tensor(operation.tensors[0], operation.name)
    shape = operation.setting("newshape", "shape", "target_shape")
    if not isinstance(shape, list) or not shape or shape[0] not in (-1, None):
        raise operation.refused("has a shape that holds the number of photos")
    return network.plain("Reshape", {"target_shape": shape[1:]}, [x], operation.path)


def _expand(network: Assembly, operation: Operation) -> Any:
    x = network.tensor(operation.tensors[0], operation.name)
    axis, shape = operation.setting("axis"), list(x.shape[1:])
    if not isinstance(axis, int) or axis == 0:
        raise operation.refused("adds an axis in a way that is not known")
    place = axis % (len(x.shape) + 1) - 1
    return network.plain(
        "Reshape", {"target_shape": [*shape[:place], 1, *shape[place:]]}, [x], operation.path
    )


def _resize(network: Assembly, operation: Operation) -> Any:
    x = network.tensor(operation.tensors[0], operation.name)
    size = operation.setting("size", "images_size")
    how = operation.settings.get("interpolation", operation.settings.get("method", "bilinear"))
    if not (isinstance(size, list) and len(size) == 2) or operation.settings.get("antialias"):
        raise operation.refused("resizes in a way that is not known")
    settings = {"height": size[0], "width": size[1], "interpolation": how}
    return network.plain("Resizing", settings, [x], operation.path)


_ARITHMETIC = {
    "Add": ("add", "addv2", "bias_add", "radd", "iadd"),
    "Subtract": ("subtract", "sub"),
    "Multiply": ("multiply", "mul", "rmul"),
    "Divide": ("true_divide", "truediv", "divide", "div", "realdiv"),
}
_FUNCTIONS = {
    "relu6": ("relu6",), "relu": ("relu",), "silu": ("silu", "swish"), "elu": ("elu",),
    "sigmoid": ("sigmoid",), "tanh": ("tanh",), "softmax": ("softmax",), "selu": ("selu",),
    "gelu": ("gelu",), "leaky_relu": ("leaky_relu",), "softplus": ("softplus",),
    "softsign": ("softsign",), "hard_sigmoid": ("hard_sigmoid",), "exponential": ("exp",),
    "hard_silu": ("hard_silu", "hard_swish"), "log_softmax": ("log_softmax",),
}  # fmt: skip
_TABLE: dict[str, Callable[[Assembly, Operation], Any]] = {
    **{name: _arithmetic(kind) for kind, names in _ARITHMETIC.items() for name in names},
    **{name: _function(kind) for kind, names in _FUNCTIONS.items() for name in names},
    **dict.fromkeys(("identity", "convert_to_tensor", "stop_gradient", "copy"), _same),
    "cast": _cast,
    "getitem": _getitem,
    "get_item": _getitem,
    "stack": _stack,
    **dict.fromkeys(("concatenate", "concat"), _concatenate),
    "maximum": _merge("Maximum"),
    "minimum": _merge("Minimum"),
    "average": _merge("Average"),
    **dict.fromkeys(("mean", "reduce_mean"), _over_space("Average")),
    **dict.fromkeys(("max", "reduce_max"), _over_space("Max")),
    "reshape": _reshape,
    "expand_dims": _expand,
    **dict.fromkeys(("resize", "resize_images", "resize_images_v2"), _resize),
}

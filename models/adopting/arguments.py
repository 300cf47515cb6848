"""What a layer was called with, in the form of Keras 3 and in that of Keras 2."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.errors import AdoptError

MOST = 10_000  # items in one call


@dataclass(frozen=True)
class Reference:
    """The output of another layer's call."""

    layer: str
    call: int  # which of its calls
    output: int  # which of its outputs


@dataclass(frozen=True)
class Slice:
    """Part of an axis, as in `x[..., ::-1]`."""

    start: Any
    stop: Any
    step: Any


DOTS = "..."  # all axes before


@dataclass(frozen=True)
class Call:
    """One call of a layer: references, numbers and lists of them."""

    args: list[Any] = field(default_factory=list)
    named: dict[str, Any] = field(default_factory=dict)

    def references(self) -> list[Reference]:
        """List the outputs of other layers that the call needs, in order."""
        return [item for item in self.items() if isinstance(item, Reference)]

    def items(self) -> Iterator[Any]:
        """Yield every argument in order; lists of them opened, however deep."""
        waiting = [*self.args, *self.named.values()][::-1]
        while waiting:
            item = waiting.pop()
            if isinstance(item, list):
                waiting += reversed(item)
            else:
                yield item


def read_calls(entry: dict[str, Any], known: set[str], name: str) -> list[Call]:
    """Read every call of a layer.

    Args:
        known: names of the layers that may be referred to.

    Raises:
        AdoptError: the calls cannot be read.
    """
    nodes = entry.get("inbound_nodes", [])
    if not isinstance(nodes, list):
        raise AdoptError(f"layer {name!r} has inbound_nodes that are no list")
    if nodes and isinstance(nodes[0], list) and nodes[0] and isinstance(nodes[0][0], str):
        # One node of an operation of Keras 2: [[layer, 0, 0, {...}]]. A node of a layer is a list
        # of such lists.
        nodes = [[node] for node in nodes]
    return [_read_call(node, known, name) for node in nodes]


def _read_call(node: Any, known: set[str], name: str) -> Call:
    if isinstance(node, dict):
        args = _decode(node.get("args", []), name)
        named = node.get("kwargs", {})
        if not isinstance(args, list) or not isinstance(named, dict):
            raise AdoptError(f"layer {name!r} was called in a way that cannot be read")
        return Call(args, {str(key): _decode(value, name) for key, value in named.items()})
    if not isinstance(node, list):
        raise AdoptError(f"layer {name!r} was called in a way that cannot be read")
    tensors, named = [], {}
    for item in node:
        tensors.append(_old_reference(item, name))
        if len(item) > 3:
            if not isinstance(item[3], dict):
                raise AdoptError(f"layer {name!r} was called in a way that cannot be read")
            named |= {key: _decode_old(v, known, name) for key, v in item[3].items()}
    return Call([tensors if len(tensors) > 1 else tensors[0]] if tensors else [], named)


def _old_reference(item: Any, name: str) -> Reference:
    good = (
        isinstance(item, list)
        and len(item) in (3, 4)
        and isinstance(item[0], str)
        and all(isinstance(number, int) for number in item[1:3])
    )
    if not good:
        raise AdoptError(f"layer {name!r} was called in a way that cannot be read")
    return Reference(item[0], item[1], item[2])


def _decode_old(value: Any, known: set[str], name: str) -> Any:
    """Decode a named argument of Keras 2, where a reference is `[layer, 0, 0]`."""
    if isinstance(value, list):
        if len(value) == 3 and isinstance(value[0], str) and value[0] in known:
            return _old_reference(value, name)
        return [_decode_old(item, known, name) for item in value[:MOST]]
    if isinstance(value, dict) and set(value) == {"start", "stop", "step"}:
        return Slice(value["start"], value["stop"], value["step"])
    return _decode(value, name)


def _decode(value: Any, name: str, depth: int = 0) -> Any:
    """Decode an argument of Keras 3. Raises AdoptError."""
    if depth > 8:
        raise AdoptError(f"layer {name!r} was called with arguments that are nested too deep")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [_decode(item, name, depth + 1) for item in value[:MOST]]
    if not isinstance(value, dict):
        raise AdoptError(f"layer {name!r} was called with what cannot be read")
    kind, inner = value.get("class_name"), value.get("config")
    if kind == "__keras_tensor__" and isinstance(inner, dict):
        return _old_reference(inner.get("keras_history"), name)
    if kind in ("__tensor__", "__numpy__") and isinstance(inner, dict):
        try:
            return np.asarray(inner.get("value"), np.float32)
        except (TypeError, ValueError) as error:
            raise AdoptError(f"layer {name!r} was called with numbers that are none") from error
    if kind == "__ellipsis__":
        return DOTS
    if kind == "__slice__" and isinstance(inner, dict):
        return Slice(inner.get("start"), inner.get("stop"), inner.get("step"))
    if kind == "__tuple__":
        return _decode(value.get("items", []), name, depth + 1)
    raise AdoptError(f"layer {name!r} was called with a {str(kind)[:60]}, which cannot be read")

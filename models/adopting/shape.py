"""What a network reads, as its configuration says: images, or something else."""

from typing import Any

from models.adopting.entries import MODELS, layers_of, settings_of
from models.errors import AdoptError

LARGEST_PX = 4096
TEXT = ("Embedding", "TextVectorization")


def read_input_shape(config: dict[str, Any], size: int | None) -> tuple[int, ...]:
    """Return (H, W, C), or (H, W) where the network takes grey images without that axis.

    Args:
        size: px, for what the file leaves open.

    Raises:
        AdoptError: the network reads something else, or its size is not known.
    """
    shape = _shape_of(config, 0)
    if shape is None:
        raise AdoptError(
            "the file does not say what shape the network reads: call the model once on an image, "
            "or build it with an Input layer, and save it again"
        )
    if _reads_text(config):
        raise AdoptError("the network reads text, not images")
    if len(shape) == 1:
        side = round((shape[0] or 0) ** 0.5)
        grid = f" ({side} x {side} in a row)" if shape[0] and side * side == shape[0] else ""
        raise AdoptError(
            f"the network reads vectors of {shape[0]} numbers{grid}, not images: put a Reshape or "
            "Flatten layer in front, with an Input of height, width and channels, and save it again"
        )
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3)):
        colours = f" with {shape[-1]} channels" if len(shape) == 3 else ""
        raise AdoptError(
            f"the network reads arrays of shape {tuple(shape)}{colours}; expected images of grey "
            "(1 channel) or RGB (3 channels), channels last"
        )
    sides = [size if side is None else side for side in shape[:2]]
    if any(side is None for side in sides):
        inner = _resized_to(config, 0)
        if inner is None:
            raise AdoptError("the network takes images of any size: say which, with --size")
        sides = [
            wanted if side is None else side for side, wanted in zip(sides, inner, strict=True)
        ]
    if size and any(side != size for side in sides):
        raise AdoptError(f"--size is {size}; the network reads {sides[0]} x {sides[1]} px only")
    known = [side for side in sides if isinstance(side, int) and 1 <= side <= LARGEST_PX]
    if len(known) != 2:
        raise AdoptError(f"the network reads images of {sides[0]} x {sides[1]} px")
    return (*known, *(channels or 0 for channels in shape[2:]))


def _shape_of(entry: dict[str, Any], depth: int) -> list[int | None] | None:
    """Find the shape of one input, without the number of photos; None: nothing says it."""
    config, kind = settings_of(entry), entry.get("class_name")
    if depth > 12:
        return None
    if kind in MODELS:
        layers = layers_of(entry)
        first = layers[:1]
        if kind != "Sequential":
            names = _names(config.get("input_layers"))
            if len(names) != 1:
                raise AdoptError(f"the network has {len(names)} inputs; expected one, the image")
            first = [
                one for one in layers if names[0] in (one.get("name"), settings_of(one).get("name"))
            ]
        found = _shape_of(first[0], depth + 1) if first else None
        built = entry.get("build_config")
        said = [config.get("build_input_shape")]
        said += [built.get("input_shape")] if isinstance(built, dict) else []
        return found or next((s for one in said if (s := _plain(one)) is not None), None)
    built = entry.get("build_config")
    places = [config.get("batch_shape"), config.get("batch_input_shape")]
    places += [built.get("input_shape")] if isinstance(built, dict) else []
    return next((shape for one in places if (shape := _plain(one)) is not None), None)


def _names(value: Any) -> list[str]:
    """List the names of the layers in `input_layers`, in any of its forms."""
    if isinstance(value, dict):
        return [name for one in value.values() for name in _names(one)]
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [value[0]]
    return [name for one in value for name in _names(one)] if isinstance(value, list) else []


def _plain(shape: Any) -> list[int | None] | None:
    """Read a shape that begins with the number of photos."""
    if isinstance(shape, dict):
        shape = shape.get("items", shape.get("config"))
    good = isinstance(shape, list) and 2 <= len(shape) <= 6
    if not good or not all(side is None or type(side) is int for side in shape):
        return None
    return list(shape[1:])


def _resized_to(entry: dict[str, Any], depth: int) -> list[int] | None:
    """Find the size that the first Resizing inside brings any image to."""
    if depth > 12:
        return None
    for one in layers_of(entry):
        if one.get("class_name") in MODELS:
            if found := _resized_to(one, depth + 1):
                return found
        elif one.get("class_name") in ("Resizing", "CenterCrop"):
            config = settings_of(one)
            return [config.get("height", 0), config.get("width", 0)]
    return None


def _reads_text(config: dict[str, Any]) -> bool:
    return any(one.get("class_name") in TEXT for one in layers_of(config))

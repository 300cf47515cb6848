"""What a network reads, as its configuration says: images, or something else."""

from typing import Any, NamedTuple

from models.adopting.entries import MODELS, layers_of, settings_of
from models.errors import AdoptError

LARGEST_PX = 4096
TEXT = ("Embedding", "TextVectorization")
SMALLEST_ROW_PX = 8  # side of an image in a row; shorter rows are tables
FEATURES = (1024, 4096)  # lengths of rows that pooled features have, too: MobileNet's, VGG's


class InputShape(NamedTuple):
    """What a network reads."""

    image: tuple[int, ...]  # (H, W, C), or (H, W) of grey images without that axis
    in_a_row: bool = False  # its pixels as one row of numbers


def read_input_shape(config: dict[str, Any], size: int | None) -> InputShape:
    """Find out which images a network reads.

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
        return _in_a_row(shape[0] or 0, size)
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
    return InputShape((*known, *(channels or 0 for channels in shape[2:])))


def _in_a_row(length: int, size: int | None) -> InputShape:
    """Read a row of numbers as a square image, row after row: grey, or RGB. Raises AdoptError."""
    for channels in (1, 3):
        side = round((length / channels) ** 0.5)
        if side * side * channels != length or side < SMALLEST_ROW_PX:
            continue
        if length in FEATURES and not size:
            raise AdoptError(
                f"the network reads rows of {length:,} numbers: grey images of {side} x {side} px, "
                "or the features of another network, which are no images? If they are images, "
                f"say --size {side}"
            )
        if size and size != side:
            raise AdoptError(f"--size is {size}; the network reads {side} x {side} px only")
        return InputShape((side, side) if channels == 1 else (side, side, 3), in_a_row=True)
    raise AdoptError(
        f"the network reads vectors of {length} numbers, which are no square images: put a Flatten "
        "layer in front, with an Input of height, width and channels, and save it again"
    )


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

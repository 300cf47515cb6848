"""Tiny photo folders, and a classifier whose answers can be worked out by hand.

Nothing here needs TensorFlow: the graph averages the three colours of a photo, so red,
green and blue photos are told apart without any training.
"""

import io
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from models.bundle import Bundle, Manifest, new_bundle, seal
from models.bundles.calibration import FamiliarityThreshold, PredictionSet, Thresholds
from models.images import Framing
from training.features.rows import Rows, RowWriter

Colour = tuple[int, int, int]
COLOURS: dict[str, Colour] = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
SHARPNESS = 0.1  # logit for each step of brightness: 10 steps brighter is e times as probable
GPS = 0x8825  # the EXIF tag that says where a photo was taken


def picture(
    colour: Colour, seed: int | None = None, side: int = 40, kind: str = "PNG", gps: bool = False
) -> bytes:
    """A square photo of one colour; each seed adds another noise, so no two files are equal."""
    pixels = np.full((side, side, 3), colour, np.int16)
    if seed is not None:
        pixels += np.random.default_rng(seed).integers(-30, 31, pixels.shape, np.int16)
    exif = Image.Exif()
    if gps:
        exif.get_ifd(GPS).update({1: "N", 2: (52.0, 30.0, 0.0)})
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, kind, exif=exif)
    return buffer.getvalue()


def write_classes(
    folder: Path, count: int, colours: Mapping[str, Colour] = COLOURS, first: int = 0
) -> Path:
    """`count` different photos in each of some class folders; `first` begins the seeds."""
    for label, colour in colours.items():
        (folder / label).mkdir(parents=True, exist_ok=True)
        for seed in range(first, first + count):
            (folder / label / f"{seed:03}.png").write_bytes(picture(colour, seed))
    return folder


def write_sides(folder: Path, counts: Mapping[str, int]) -> Path:
    """Class folders below a folder for each side; no photo is on two of them."""
    for number, (side, count) in enumerate(counts.items()):
        write_classes(folder / side, count, first=1000 * number)
    return folder


def write_table(path: Path, *lines: str, encoding: str = "utf-8") -> Path:
    """A CSV of these lines."""
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def _large() -> bytes:
    """A PNG of 30 million pixels in 4 kB: one bit each, all black."""
    buffer = io.BytesIO()
    Image.new("1", (6000, 5000)).save(buffer, "PNG")
    return buffer.getvalue()


# A file that is no photo -> its content, and words that the reason must hold.
DEFECTS: dict[str, tuple[bytes, str]] = {
    "cut.jpg": (picture(COLOURS["red"], 7, kind="JPEG")[:600], "damaged"),
    "empty.jpg": (b"", "0 bytes"),
    "large.png": (_large(), "the limit is 25,000,000"),
    "page.jpg": (b"<!doctype html><title>404</title>", "not an image"),
}


def write_defects(folder: Path) -> None:
    """Every kind of defective file, into `folder`."""
    for name, (content, _) in DEFECTS.items():
        (folder / name).write_bytes(content)


def colour_graph(sharpness: float = SHARPNESS, pooled: bool = False) -> bytes:
    """An ONNX graph: `features` is the mean red, green and blue; `logits` a share of that.

    Args:
        pooled: whether the features leave it as `pooled` too.
    """
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["features"], keepdims=0),
        helper.make_node("Mul", ["features", "sharpness"], ["logits"]),
    ] + [helper.make_node("Identity", ["features"], ["pooled"])] * pooled
    constants = [
        numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
        numpy_helper.from_array(np.float32(sharpness), "sharpness"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", "S", "S", 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3])
        for name in ("logits", "features", *["pooled"] * pooled)
    ]
    graph = helper.make_graph(nodes, "colours", [image], outputs, constants)
    imports = [helper.make_opsetid("", 20)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=imports, ir_version=10)
    return model.SerializeToString()


def colour_bundle(target: Path, sharpness: float = SHARPNESS, pooled: bool = False) -> Path:
    """A bundle around `colour_graph`, with the classes red, green and blue."""
    with new_bundle(target) as folder:
        (folder / "predict.onnx").write_bytes(colour_graph(sharpness, pooled))
        manifest = Manifest(
            name=target.name,
            class_names=list(COLOURS),
            image=Framing(size=8, resize="squash", fraction=1.0),
            backbone={"name": "mean colour"},
            head={"kind": "by hand"},
            layers=[],
        )
        seal(folder, manifest, target)
    return target


@contextmanager
def small_disk(place: Path, size_kib: int) -> Iterator[Path]:
    """A disk of its own at `place`, that is soon full; skips the test where none can be made."""
    place.mkdir()
    options = f"size={size_kib}k"
    mount = ["mount", "-t", "tmpfs", "-o", options, "layerscope-test", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small disk can be made here: {error}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def believe_colours(source: Path, target: Path, least_probability: float = 0.2) -> Path:
    """`colour_bundle` with prediction sets, and familiar with pure red, green and blue alone."""
    manifest = Bundle(source).manifest
    with new_bundle(target) as folder:
        (folder / "predict.onnx").write_bytes(colour_graph())
        corners = np.eye(3, dtype=np.float32)
        np.savez(folder / "familiarity.npz", directions=corners, photos=corners)
        chosen = PredictionSet(coverage=0.9, least_probability=least_probability)
        known = FamiliarityThreshold(neighbours=1, least=0.8)
        thresholds = Thresholds(prediction_set=chosen, familiarity=known)
        update = {"name": target.name, "thresholds": thresholds, "files": {}}
        seal(folder, manifest.model_copy(update=update), target)
    return target


def filed(array: np.ndarray, folder: Path) -> Rows:
    """The same rows in a file, written in parts, as those of many photos are kept."""
    writer = RowWriter(len(array), array.shape[1], folder, limit=0)
    for part in np.array_split(array, 3):
        writer.add(part)
    found = writer.finish()
    assert isinstance(found, Rows)
    return found

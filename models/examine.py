"""A bundle put to the test before it may serve: all that a request can ask is asked once."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from models.bundle import Bundle, LayerEntry
from models.choose_precision import open_fastest
from models.classifier import Classifier
from models.device import choose_device
from models.errors import BundleError, UnusableGraph
from models.inside import look_inside
from models.precision import has_int8
from models.saliency import BATCH
from models.terms import SENT_BYTES, Device

CLOSE = 0.02  # of the largest logit: one step of whole numbers may fall otherwise
NUMBERS_AT_ONCE = 30_000_000  # of maps in memory; all of EfficientNet-Lite0 are 7 million


def examine(bundle: Bundle, precision: str = "fp32", device: str = "cpu") -> Classifier:
    """Verify every file, load every graph and every layer's insight, and answer a photo.

    Args:
        precision: to answer in: auto, fp32 or int8 (`open_fastest`).
        device: to compute on: auto, cpu or cuda (`device.py`).

    Raises:
        SettingError: cuda is asked for and cannot be used.
        BundleError: something would have failed later; the message says what.
    """
    bundle.verify()
    _check_sent(bundle)
    chosen = choose_device(device, lambda one: _attempt(bundle, precision, one))
    classifier = open_fastest(bundle, precision, chosen)
    size = classifier.framing.size
    photo = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    classifier.describe(classifier.read(photo), top=5)
    if classifier.insight:
        classifier.insight.check(classifier.layers, bundle.manifest.class_names)
    if classifier.layers:
        _check_maps(classifier, photo)
        look_inside(classifier, photo)
    _check_together(classifier, photo)
    return classifier


def open_classifier(bundle: Bundle, precision: str, device: str) -> Classifier:
    """Open a bundle to predict with, in the arithmetic that is asked for.

    Args:
        precision: fp32 or int8. device: auto, cpu or cuda.

    Raises:
        SettingError: cuda is asked for and cannot be used. BundleError.
    """
    chosen = choose_device(device, lambda one: _attempt(bundle, precision, one))
    return Classifier(bundle, precision=precision, device=chosen)


def _attempt(bundle: Bundle, precision: str, device: str) -> None:
    """Open what predicts, and what shows layers, on a device. Raises DeviceUnusable."""
    asked = "int8" if precision == "int8" and has_int8(bundle) else "fp32"
    classifier = Classifier(bundle, precision=asked, device=Device(device))
    size = classifier.framing.size
    if classifier.layers:
        classifier.look(np.zeros((size, size, 3), np.uint8), [])


def _check_sent(bundle: Bundle) -> None:
    """See that samples and report, which are sent as they are, are there and not too large."""
    for sample in bundle.manifest.data.get("samples", []):
        if f"samples/{sample['name']}" not in bundle.manifest.files:
            reason = f"data.samples names {sample['name']!r}, which is not among its files"
            raise BundleError(bundle.path, reason)
    for name, entry in bundle.manifest.files.items():
        if name.startswith(("samples/", "report")) and entry.size > SENT_BYTES:
            reason = f"{name} has {entry.size:,} bytes; of what is sent the limit is {SENT_BYTES:,}"
            raise BundleError(bundle.path, reason)


def _check_maps(classifier: Classifier, photo: np.ndarray) -> None:
    """See that each layer's maps have the shape that the manifest says."""
    for names in _batches(classifier.manifest.layers):
        for name, found in classifier.look(photo, names).maps.items():
            expected = _shape(classifier.layers[name])
            if found.shape != expected:
                reason = f"layer {name!r} has maps of {found.shape}; its manifest says {expected}"
                raise BundleError(classifier.bundle.path, reason)


def _check_together(classifier: Classifier, photo: np.ndarray) -> None:
    """See that a photo is answered alike alone and among others: saliency asks about several."""
    photos = np.stack([photo, *[255 - photo] * (BATCH - 1)])
    cut = classifier.cut if classifier.layers else None
    asked = [("the network", classifier.predictor, photos)]
    if cut:
        maps = [classifier.look(one, [cut.layer]).maps[cut.layer] for one in (photo, photos[-1])]
        several = np.stack([maps[0], *[maps[1]] * (BATCH - 1)]).transpose(0, 3, 1, 2)
        asked.append((f"the network above {cut.layer}", cut.upper, several))
    for name, graph, inputs in asked:
        try:
            together = graph.run(inputs, ["logits"])[0]
            alone = [graph.run(one, ["logits"])[0] for one in (inputs[:1], inputs[-1:])]
            expected = np.concatenate(alone)
            close = CLOSE * max(1.0, float(np.abs(expected).max()))
            np.testing.assert_allclose(together[[0, -1]], expected, 0, close)
        except (UnusableGraph, AssertionError, ValueError) as error:  # or of another shape
            reason = f"{name} does not answer {BATCH} photos at once as each alone: {error}"
            raise BundleError(classifier.bundle.path, " ".join(reason.split())) from error


def _batches(layers: Sequence[LayerEntry]) -> Iterator[list[str]]:
    """Names of layers, as many at a time as memory is meant to hold."""
    batch: list[str] = []
    numbers = 0
    for entry in layers:
        size = math.prod(_shape(entry))
        if batch and numbers + size > NUMBERS_AT_ONCE:
            yield batch
            batch, numbers = [], 0
        batch.append(entry.name)
        numbers += size
    yield batch


def _shape(entry: LayerEntry) -> tuple[int, int, int]:
    return entry.height, entry.width, entry.channels

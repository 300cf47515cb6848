"""A bundle put to the test before it may serve: all that a request can ask is asked once."""

import numpy as np

from models.bundle import Bundle
from models.classifier import Classifier
from models.errors import BundleError
from models.inside import look_inside

LAYERS_AT_ONCE = 8  # whose maps are in memory


def examine(bundle: Bundle, threads: int = 1) -> Classifier:
    """Verify every file, load every graph and every layer's insight, and answer a photo.

    Raises:
        BundleError: something would have failed later; the message says what.
    """
    bundle.verify()
    classifier = Classifier(bundle, threads)
    _check_samples(bundle)
    size = classifier.framing.size
    photo = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    classifier.describe(classifier.read(photo), top=5)
    if classifier.insight:
        classifier.insight.check(classifier.layers, bundle.manifest.class_names)
    if classifier.layers:
        _check_maps(classifier, photo)
        look_inside(classifier, photo)
    return classifier


def _check_samples(bundle: Bundle) -> None:
    for sample in bundle.manifest.data.get("samples", []):
        if f"samples/{sample['name']}" not in bundle.manifest.files:
            reason = f"data.samples names {sample['name']!r}, which is not among its files"
            raise BundleError(bundle.path, reason)


def _check_maps(classifier: Classifier, photo: np.ndarray) -> None:
    """See that each layer's maps have the shape that the manifest says."""
    names = list(classifier.layers)
    for start in range(0, len(names), LAYERS_AT_ONCE):
        maps = classifier.look(photo, names[start : start + LAYERS_AT_ONCE]).maps
        for name, found in maps.items():
            entry = classifier.layers[name]
            expected = (entry.height, entry.width, entry.channels)
            if found.shape != expected:
                reason = f"layer {name!r} has maps of {found.shape}; its manifest says {expected}"
                raise BundleError(classifier.bundle.path, reason)

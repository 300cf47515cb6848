"""Run one photo through every block of the network: maps, effects of channels, saliency.

All of it comes from one run of the graph, so that walking from layer to layer waits only once.
"""

from dataclasses import dataclass

import numpy as np

from models import mosaic, saliency
from models.bundles.manifest import LayerEntry
from models.classifier import Classifier, Reading
from models.errors import SettingError, UnknownClass

METHODS = ("position", "masks", "occlusion")  # of saliency


@dataclass
class LayerAnswer:
    """The maps of one layer for a photo, and what its channels contribute."""

    entry: LayerEntry
    maps: np.ndarray  # (h, w, C) float32
    strengths: np.ndarray  # (C,) mean positive answer
    effects: np.ndarray | None  # (C,) what each channel adds to the logit; None: not known


@dataclass
class Inside:
    """The layers of the network on one photo, from the first block to the last."""

    reading: Reading
    label: int  # the class that effects and heat explain
    layers: list[LayerAnswer]
    heat: np.ndarray  # (h, w) float32, `saliency.positions`; one 0 where there is none

    @property
    def probabilities(self) -> np.ndarray:
        """(K,) float32."""
        return self.reading.probabilities


def look_inside(classifier: Classifier, photo: np.ndarray, label: str | None = None) -> Inside:
    """Run one photo through every block, and explain a class.

    Args:
        photo: (S, S, 3) uint8 RGB, from `classifier.decode`.
        label: the class to explain; None: the predicted one.

    Raises:
        UnknownClass: the model has no such class.
    """
    blocks = classifier.blocks
    answer = classifier.look(photo, [entry.name for entry in blocks])
    index = class_index(classifier, answer.probabilities, label)
    layers = [answer_of(classifier, entry, answer.maps[entry.name], index) for entry in blocks]
    heat = np.zeros((1, 1), np.float32)
    if classifier.pooled_layer:
        heat = saliency.positions(classifier.head, layers[-1].maps, index)
    return Inside(answer.reading, index, layers, heat)


def answer_of(
    classifier: Classifier, entry: LayerEntry, maps: np.ndarray, label: int
) -> LayerAnswer:
    """Add to one layer's maps the strengths of its channels, and their effects on a class."""
    effects = effects_of(classifier, entry.name, maps, label)
    return LayerAnswer(entry, maps, mosaic.strengths(maps), effects)


def effects_of(
    classifier: Classifier, layer: str, maps: np.ndarray, label: int
) -> np.ndarray | None:
    """Compute (C,) what each channel adds to a class; None where that is not known.

    It is measured on the head at the last layer, and on its linear probe at the others.
    """
    pooled = maps.mean(axis=(0, 1))
    if layer == classifier.pooled_layer:
        return saliency.channels(classifier.head, pooled, label)
    known = classifier.insight.layer(layer) if classifier.insight else None
    if classifier.insight is None or known is None:
        return None
    return classifier.insight.effects(known, pooled, classifier.class_names[label])


def explain(classifier: Classifier, photo: np.ndarray, label: str | None, method: str) -> Inside:
    """Compute which parts of a photo speak for a class: `heat`, without the layers.

    Args:
        method: one of `METHODS`; `choose_method` says which is used where it is not possible.

    Raises:
        UnknownClass: the model has no such class. SettingError: no such method.
    """
    method = choose_method(classifier, method)
    cut = classifier.cut if method == "masks" else None
    layer = cut.layer if cut else classifier.pooled_layer
    answer = classifier.look(photo, [layer] if layer else [])
    index = class_index(classifier, answer.probabilities, label)
    if method == "occlusion":
        heat = saliency.occlusion(classifier.predictor, photo, index)
    elif cut:
        flat = np.broadcast_to(photo.mean(axis=(0, 1)).round(), photo.shape)
        blank = classifier.look(flat, [cut.layer]).maps[cut.layer]
        heat = saliency.masks(cut.upper, answer.maps[cut.layer], blank, index)
    else:
        assert layer is not None  # as `choose_method` saw
        heat = saliency.positions(classifier.head, answer.maps[layer], index)
    return Inside(answer.reading, index, [], heat)


def choose_method(classifier: Classifier, asked: str | None = None) -> str:
    """Return how saliency is computed for this network.

    Nothing asked: by position where the head reads the mean of the last maps, else by masks.
    Where a path leads around every layer that could be masked, occlusion takes their place.

    Raises:
        SettingError: no such method, or the head reads no positions.
    """
    if asked is None:
        asked = "position" if classifier.pooled_layer else "masks"
    if asked not in METHODS:
        raise SettingError(f"method is {asked[:40]!r}; expected {', '.join(METHODS)}")
    if asked == "position" and not classifier.pooled_layer:
        raise SettingError(
            "the head of this network does not read a layer with height and width, so no position "
            "can be removed: use method=masks"
        )
    return "occlusion" if asked == "masks" and not classifier.cut else asked


def class_index(classifier: Classifier, probabilities: np.ndarray, label: str | None) -> int:
    """Return the index of a class by its name; None stands for the most probable one."""
    if label is None:
        return int(probabilities.argmax())
    try:
        return classifier.class_names.index(label)
    except ValueError:
        raise UnknownClass(label, classifier.class_names) from None

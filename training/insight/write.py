"""Find out what each layer detects, from the training photos, and write it into a bundle.

For every channel: how it answers, for which class it fires, and the photos that excite it
most. For every layer: the accuracy of a linear probe, and how many of its channels are dead or
duplicates. All of it comes from the summaries that were kept when the features were computed;
photos are opened again only to cut out exemplars.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import LayerEntry, pick_blocks, spread
from models.errors import UnknownLayer
from models.images import Framing, decode_image
from models.runtime import Graph
from models.saliency import is_pooled
from training.evaluation.folds import share_of
from training.features.cache import FeatureCache
from training.features.compute import Features
from training.features.summaries import LayerSummaries
from training.heads.fit import fit_head
from training.heads.held_out import Sides
from training.insight.channel_facts import (
    ChannelFacts,
    class_weights,
    duplicate_share,
    selectivity,
)
from training.insight.exemplars import COLUMNS, TILE, Exemplars, TopPhotos, cut_sprites
from training.insight.trust import score_saliency
from training.photos.pictures import still_readable
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.settings.printable import printable
from training.sides.split import Split, class_indices

PROBE_STRENGTHS = (1e-2,)  # C of a probe: the same for all layers, so that they compare
CHANNELS_AT_ONCE = 256  # bounds memory, with the next one: 170 MB
PHOTOS_AT_ONCE = 65_536
PROBED = 32_768  # photos of a side that a probe sees
TRUST_PHOTOS = 12  # to test the saliency on


class Material:
    """Photos with their sides and labels, and how they become the network's input."""

    def __init__(
        self,
        features: Features,
        split: Split,
        framing: Framing,
        config: FitConfig,
        class_names: Sequence[str] | None = None,
    ):
        """Gather it. `class_names`: in the network's order; None: that of `class_indices`."""
        self.photos, self.digests = features.photos, features.digests
        self.split = split
        self.class_names, self.labels = class_indices(split, features.photos, class_names)
        self.framing = framing
        self.limits, self.workers, self.seed = config.limits, config.workers, config.seed


@dataclass
class LayerFacts:
    """The facts about one layer, without pictures."""

    numbers: dict[str, np.ndarray]  # goes into the layer's .npz
    exemplars: Exemplars
    summary: dict[str, Any]  # goes into insight.json


def choose_layers(layers: Sequence[LayerEntry], named: Sequence[str] = ()) -> list[LayerEntry]:
    """Choose the layers to describe, from photo to answer: those named, or every block.

    The last layer, which is pooled, is always among them. Raises UnknownLayer.
    """
    known = [layer.name for layer in layers]
    for name in named:
        if name not in known:
            raise UnknownLayer(name, known)
    if not named:
        return pick_blocks(layers)
    return [layer for layer in layers if layer.name in named or layer is layers[-1]]


def write_insight(
    bundle: Path,
    layers: Sequence[LayerEntry],
    material: Material,
    cache: FeatureCache,
    stages: Stages,
) -> dict[str, Any]:
    """Write the folder insight/ of a bundle that already has its graphs.

    Args:
        layers: those with summaries of every photo in the cache; the last is pooled.

    Returns:
        The content of insight.json.
    """
    record = LayerSummaries(layers)
    facts = []
    with stages.counted("find out what each layer detects", len(layers), "layers") as advance:
        for layer in layers:
            facts.append(describe_layer(layer, record, material, cache))
            advance(1)
    head_model = (bundle / "head.onnx").read_bytes()
    inner = Graph((bundle / "layers.onnx").read_bytes(), material.workers)
    pooled = is_pooled(inner, layers[-1].name, material.framing.size)
    if pooled:
        facts[-1].numbers["weights"] = class_weights(Graph(head_model), facts[-1].numbers["mean"])
    folder = bundle / "insight"
    folder.mkdir()
    chosen = _write_layers(folder, facts, material, stages)
    trust, photos = None, _trial_photos(material)
    if photos and pooled:  # photos may have been moved since
        with stages.stage("test the saliency"):
            predict = Graph((bundle / "predict.onnx").read_bytes(), material.workers)
            last = layers[-1].name
            trust = score_saliency(predict, inner, head_model, last, photos, material.seed)
    index = {
        "class_names": material.class_names,
        "photos": {
            "train": len(material.split.train),
            "validation": len(material.split.validation),
        },
        "chance": _chance(material),
        "tile": TILE,
        "columns": COLUMNS,
        "exemplar_names": [printable(material.photos[i].path.name) for i in chosen],
        "exemplar_labels": [material.photos[i].label for i in chosen],
        "layers": [each.summary for each in facts],
        "trust": trust,
    }
    text = json.dumps(index, indent=1)  # a file's name may be no Unicode
    (folder / "insight.json").write_text(text, encoding="utf-8")
    return index


def _write_layers(
    folder: Path, facts: Sequence[LayerFacts], material: Material, stages: Stages
) -> np.ndarray:
    """Cut exemplars out and write a file for each layer; returns the photos that are exemplars."""
    chosen = np.unique(np.concatenate([each.exemplars.photo.ravel() for each in facts]))
    chosen = chosen[chosen >= 0]
    with stages.counted("cut out exemplars", len(chosen), "photos") as advance:
        sprites = cut_sprites(
            [each.exemplars for each in facts],
            [photo.path for photo in material.photos],
            material.framing,
            material.limits,
            folder,
            material.workers,
            advance,
        )
    for number, (each, pictures) in enumerate(zip(facts, sprites, strict=True)):
        name = f"layer{number:02}.npz"
        each.summary["file"] = name
        _write_layer(folder / name, each, chosen, pictures)
    return chosen


def describe_layer(
    layer: LayerEntry, record: LayerSummaries, material: Material, cache: FeatureCache
) -> LayerFacts:
    """Describe one layer from its summaries, some channels of some photos at a time."""
    split, labels, size = material.split, material.labels, material.framing.size
    classes, distinct = len(material.class_names), _first_copies(material)
    probed, judged = _probed(material, split.train), _probed(material, split.validation)
    pooled, held = (np.empty((len(p), layer.channels), np.float32) for p in (probed, judged))
    facts, exemplars = [], []
    for start in range(0, layer.channels, CHANNELS_AT_ONCE):
        channels = range(start, min(start + CHANNELS_AT_ONCE, layer.channels))
        gathered, top = ChannelFacts(len(channels), classes), TopPhotos(len(channels))
        for rows in np.array_split(split.train, -(-len(split.train) // PHOTOS_AT_ONCE)):
            digests = [material.digests[index] for index in rows]
            found = cache.summaries(record, layer.name, digests, channels)
            gathered.add(found, labels[rows])
            first, seen = distinct[rows], np.isin(rows, probed)
            top.add(found, rows, first)
            places = np.searchsorted(probed, rows[seen])
            pooled[places, channels.start : channels.stop] = found["mean"][seen]
        facts.append(gathered.as_arrays())
        exemplars.append(top.exemplars(layer, size))
        digests = [material.digests[index] for index in judged]
        found = cache.summaries(record, layer.name, digests, channels)
        held[:, channels.start : channels.stop] = found["mean"]
    numbers = {key: np.concatenate([each[key] for each in facts]) for key in facts[0]}
    numbers["selectivity"] = selectivity(numbers.pop("own"), numbers.pop("others"))
    sides = Sides(
        train=pooled,
        train_labels=labels[probed],
        validation=held,
        validation_labels=labels[judged],
        classes=classes,
    )
    probe = fit_head("logistic", sides, values=PROBE_STRENGTHS)
    scores = probe.record.scores
    numbers |= {"probe_kernel": probe.last.kernel, "probe_bias": probe.last.bias}
    return LayerFacts(
        numbers,
        Exemplars.join(exemplars),
        {
            "name": layer.name,
            "probe_accuracy": scores.validation_accuracy if scores else None,
            "dead_share": float((numbers["class"] < 0).mean()),
            "duplicate_share": duplicate_share(pooled),
        },
    )


def _probed(material: Material, side: Sequence[int]) -> np.ndarray:
    """Choose the photos of a side that a probe sees: all, or a like share of each class."""
    rows = np.asarray(side, int)
    return rows[share_of(material.labels[rows], PROBED, material.seed)]


def _write_layer(path: Path, facts: LayerFacts, chosen: np.ndarray, pictures: list[bytes]) -> None:
    """Write numbers and sprites of one layer as one file of plain arrays."""
    exemplars = facts.exemplars
    found = exemplars.photo >= 0
    shown = np.where(found, np.searchsorted(chosen, exemplars.photo), -1)
    arrays: dict[str, Any] = facts.numbers | {
        "exemplar_photo": shown.astype(np.int32),
        "exemplar_value": exemplars.value.astype(np.float32),
        "exemplar_box": exemplars.box,
        "exemplar_at": exemplars.at,
        "sprites": np.frombuffer(b"".join(pictures), np.uint8),
        "sprite_ends": np.cumsum([len(picture) for picture in pictures]),
    }
    np.savez(path, **arrays)


def _first_copies(material: Material) -> np.ndarray:
    """Tell which training photos' content has not come before: (N,) bool, over all photos."""
    seen: set[bytes] = set()
    distinct = np.zeros(len(material.photos), bool)
    for index in material.split.train:
        distinct[index] = material.digests[index] not in seen
        seen.add(material.digests[index])
    return distinct


def _trial_photos(material: Material) -> list[np.ndarray]:
    """Decode some validation photos, spread over the classes."""
    validation = material.split.validation
    chosen = [validation[place] for place in spread(len(validation), TRUST_PHOTOS)]
    paths = [material.photos[index].path for index in chosen]
    pictures = still_readable(
        paths,
        TRUST_PHOTOS,
        material.limits,
        lambda data: decode_image(data, material.framing, material.limits),
    )
    return [pixels for _, pixels in pictures]


def _chance(material: Material) -> float:
    """Return the accuracy of always answering the commonest class."""
    counts = np.bincount(material.labels[material.split.validation])
    return float(counts.max() / counts.sum())

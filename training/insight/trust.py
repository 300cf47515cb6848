"""Test whether the saliency can be trusted, on validation photos.

Deletion and insertion (Petsiuk et al. 2018, arXiv:1806.07421, section 3.3): the parts of a
photo that the map marks as important are covered first, or shown first; the probability of the
class must fall, or rise, faster than in a random order. Randomisation (Adebayo et al. 2018,
arXiv:1810.03292, section 3): with the head's weights drawn at random the map must become
another one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from models import saliency
from models.classifier import softmax
from models.runtime import Graph

STEPS = 4  # in which the photo is covered, and shown again


def score_saliency(
    predict: Graph,
    layers: Graph,
    head_model: bytes,
    last: str,
    photos: Sequence[np.ndarray],
    seed: int,
) -> dict[str, Any]:
    """Score the position saliency of the predicted class.

    Args:
        predict: photos -> logits; layers: photos -> `logits` and the feature map `last`.
        head_model: the head as a serialised ONNX graph.
        photos: each (S, S, 3) uint8 RGB, at the network's size.

    Returns:
        `photos`; `deletion` and `insertion`, each the mean probability of the class over
        all steps for `saliency` and for a `random` order; `randomised_correlation`, the mean
        rank correlation of the maps of the true and of a random head.
    """
    from scipy.stats import spearmanr  # half a second to load

    rng = np.random.default_rng(seed)
    head, random_head = Graph(head_model), Graph(randomise(head_model, rng))
    names = ("saliency", "random")
    areas: dict[str, dict[str, list[float]]] = {
        kind: {name: [] for name in names} for kind in ("deletion", "insertion")
    }
    correlations = []
    for photo in photos:
        logits, maps = layers.run(photo[None], ["logits", last])
        label = int(logits[0].argmax())
        channels_last = maps[0].transpose(1, 2, 0)
        heat = saliency.positions(head, channels_last, label)
        other = saliency.positions(random_head, channels_last, label)
        if np.ptp(heat) > 0 and np.ptp(other) > 0:
            correlations.append(float(spearmanr(heat.ravel(), other.ravel()).statistic))
        orders = {"saliency": np.argsort(-heat, axis=None), "random": rng.permutation(heat.size)}
        for name, order in orders.items():
            covered = cover_in_order(photo, order, heat.shape)
            chance = softmax(predict.run(covered, ["logits"])[0])[:, label]
            areas["deletion"][name].append(float(chance[: STEPS + 1].mean()))
            areas["insertion"][name].append(float(chance[STEPS:].mean()))
    means = {
        kind: {name: float(np.mean(values)) for name, values in both.items()}
        for kind, both in areas.items()
    }
    correlation = float(np.mean(correlations)) if correlations else None
    return {"photos": len(photos), **means, "randomised_correlation": correlation}


def cover_in_order(photo: np.ndarray, order: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Cover a photo step by step in its mean colour until nothing is left, then uncover it.

    Returns:
        (2 * STEPS + 1, S, S, 3) uint8: whole, then parts taken away in `order`, all of them
        gone in the middle; then the same parts put back in the same order.
    """
    size = photo.shape[0]
    rank = np.empty(order.size, int)
    rank[order] = np.arange(order.size)
    rows, columns = (np.arange(size) * n // size for n in grid)
    place = rank.reshape(grid)[rows][:, columns]  # when each pixel goes
    colour = photo.mean(axis=(0, 1)).round().astype(np.uint8)
    counts = np.round(np.linspace(0, order.size, STEPS + 1)).astype(int)
    gone = [place < count for count in counts] + [place >= count for count in counts[1:]]
    return np.stack([np.where(hidden[..., None], colour, photo) for hidden in gone])


def randomise(model: bytes, rng: np.random.Generator) -> bytes:
    """Replace the weights of a graph by random ones, normal with the same spread."""
    graph = onnx.load_from_string(model)
    for constant in graph.graph.initializer:
        weights = numpy_helper.to_array(constant)
        if weights.dtype == np.float32 and weights.size > 1:
            drawn = rng.normal(0, weights.std() or 1, weights.shape).astype(np.float32)
            constant.CopyFrom(numpy_helper.from_array(drawn, constant.name))
    return bytes(graph.SerializeToString())

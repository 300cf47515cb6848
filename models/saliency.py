"""Find which parts of a photo speak for a class: its saliency.

A part is removed, and the loss of the class's logit is measured: exact for any head, without
gradients. `positions` removes one position of the last feature map and pools the others; with a
linear head that is class activation mapping (Zhou et al. 2016, arXiv:1512.04150, section 2)
less its mean, so that what is everywhere speaks for nothing. `occlusion` covers a part of the
photo itself (Zeiler and Fergus 2013, arXiv:1311.2901, section 4.2): finer, and slower with each
part. `masks` hides half of an earlier layer at a time (RISE, Petsiuk et al. 2018,
arXiv:1806.07421, does so with the photo), and asks only the network above that layer: finer too,
and quicker. This file only computes; mosaic.py draws.
"""

from functools import cache

import numpy as np

from models.runtime import Graph

BATCH = 8  # covered photos in one run: bounds memory, which the runtime keeps; 16 are no faster
CHANNELS_AT_ONCE = 256  # also bounds memory
CELLS = 8  # a side of the grid that masks hide; a power of 2


def is_pooled(layers: Graph, layer: str, size: int) -> bool:
    """Return whether the head reads the mean of `layer`: else its positions explain nothing.

    Where the last maps have a single position, an earlier layer is the last one with maps.
    """
    photo = np.random.default_rng(0).integers(0, 256, (1, size, size, 3))
    features, maps = layers.run(photo, ["features", layer])
    pooled = maps.mean(axis=(2, 3))
    return features.shape == pooled.shape and np.allclose(features, pooled, rtol=1e-3, atol=1e-4)


def positions(head: Graph, maps: np.ndarray, label: int) -> np.ndarray:
    """Compute what the logit of `label` loses without each position of the last feature map.

    Args:
        head: pooled features -> logits.
        maps: (h, w, C) float32, the last feature map, whose mean the head reads.

    Returns:
        (h, w) float32; above 0 where the position speaks for the class more than the others.
        With a linear head they sum to 0.
    """
    height, width, channels = maps.shape
    each = maps.reshape(-1, channels)
    pooled = each.mean(axis=0)
    others = max(height * width - 1, 1)
    return _lost(head, pooled, (each - pooled) / others, label).reshape(height, width)


def channels(head: Graph, features: np.ndarray, label: int) -> np.ndarray:
    """Compute what the logit of `label` loses without each channel of the pooled features.

    Args:
        features: (C,) float32.

    Returns:
        (C,) float32; above 0 where the channel speaks for the class.
    """
    lost = []
    for start in range(0, features.size, CHANNELS_AT_ONCE):
        stop = min(start + CHANNELS_AT_ONCE, features.size)
        parts = np.zeros((stop - start, features.size), np.float32)
        parts[np.arange(stop - start), np.arange(start, stop)] = features[start:stop]
        lost.append(_lost(head, features, parts, label))
    return np.concatenate(lost)


def _lost(head: Graph, whole: np.ndarray, parts: np.ndarray, label: int) -> np.ndarray:
    """Compute what the logit of `label` loses when each of `parts` is subtracted from `whole`."""
    logits = head.run(np.concatenate([whole[None], whole - parts]), ["logits"])[0][:, label]
    return logits[0] - logits[1:]


def occlusion(predict: Graph, photo: np.ndarray, label: int, cells: int = 14) -> np.ndarray:
    """Compute what the logit of `label` loses when a part of the photo is covered.

    A square two cells wide, of the photo's mean colour, covers each cell in turn.

    Args:
        predict: photos -> logits.
        photo: (S, S, 3) uint8 RGB, at the network's size.

    Returns:
        (cells, cells) float32.
    """
    size = photo.shape[0]
    colour = photo.mean(axis=(0, 1)).round().astype(np.uint8)
    centres = (np.arange(cells) + 0.5) * size / cells
    half = size / cells
    low = np.maximum(np.round(centres - half), 0).astype(int)
    high = np.minimum(np.round(centres + half), size).astype(int)
    places = [(row, column) for row in range(cells) for column in range(cells)]
    whole = predict.run(photo[None], ["logits"])[0][0, label]
    lost = []
    for start in range(0, len(places), BATCH):
        some = places[start : start + BATCH]
        covered = np.repeat(photo[None], BATCH, axis=0)  # the last ones, too: as it was tried
        for one, (row, column) in zip(covered, some, strict=False):
            one[low[row] : high[row], low[column] : high[column]] = colour
        lost.append(whole - predict.run(covered, ["logits"])[0][: len(some), label])
    return np.concatenate(lost).reshape(cells, cells)


def masks(upper: Graph, maps: np.ndarray, blank: np.ndarray, label: int) -> np.ndarray:
    """Compute what the logit of `label` loses, on average, when a part of a layer is hidden.

    Of 8 x 8 cells each mask hides half: there the maps are those of a photo that shows nothing,
    with a smooth border. Between the cells the effects are interpolated.

    Args:
        upper: maps of the layer -> logits.
        maps: (h, w, C) float32, of the photo.
        blank: (h, w, C) float32, of a photo of one colour.

    Returns:
        (h, w) float32; above 0 where the position speaks for the class.
    """
    height, width, _ = maps.shape
    down, right = _share_of_cells(height), _share_of_cells(width)
    hidden, added = blank.transpose(2, 0, 1), (maps - blank).transpose(2, 0, 1)
    cells = hide_halves()
    logits = []
    for start in range(0, len(cells), BATCH):
        shown = down @ cells[start : start + BATCH] @ right.T  # (N, h, w), 0 hidden to 1 shown
        logits.append(upper.run(hidden + shown[:, None] * added, ["logits"])[0][:, label])
    sides = (2 * cells - 1) * 2 / len(cells)  # mean where it is shown, less mean where hidden
    effects = np.tensordot(np.concatenate(logits), sides, axes=1)
    return np.asarray(down @ effects @ right.T)


@cache
def hide_halves() -> np.ndarray:
    """Return (128, 8, 8) float32: which cells each mask shows (1) and hides (0).

    Any two cells are shown together as often as apart, so none takes part in another's effect
    (Plackett and Burman 1946); with each mask comes its opposite, so that no pair of cells does
    either. At random it takes several times as many masks.
    """
    rng = np.random.default_rng(0)
    signs = np.ones((1, 1), np.float32)
    while len(signs) < CELLS**2:
        signs = np.kron(np.array([[1, 1], [1, -1]], np.float32), signs)  # orthogonal columns
    signs = signs[:, rng.permutation(CELLS**2)]  # or the masks would be stripes
    signs *= rng.choice(np.array([-1, 1], np.float32), CELLS**2)
    return (np.concatenate([signs, -signs]).reshape(-1, CELLS, CELLS) + 1) / 2


def _share_of_cells(length: int) -> np.ndarray:
    """(length, CELLS) float32: how each position lies between the two nearest cells."""
    places = (np.arange(length, dtype=np.float32) + 0.5) * (CELLS - 1) / length
    return np.maximum(1 - np.abs(places[:, None] - np.arange(CELLS, dtype=np.float32)), 0)

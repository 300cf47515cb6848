"""Align pairs of thumbnails by a shift and a scale, and compare them where they overlap.

Gauss-Newton on brightness in its inverse compositional form (Baker and Matthews 2004, "Lucas-Kanade
20 years on", section 3.2). A shift and a scale along the axes are two small matrices, one for
rows and one for columns, so all pairs are moved at once.
"""

import numpy as np

from training.features.thumbnails import SIDE

STEPS = 5
FARTHEST = 6.0  # px of shift: a fifth of the thumbnail
LARGEST = 0.25  # change of scale
_CENTRE = (SIDE - 1) / 2
_AXIS = np.arange(SIDE, dtype=np.float32) - np.float32(_CENTRE)


def compare_thumbnails(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare pairs of thumbnails where they overlap.

    Args:
        left, right: (P, SIDE, SIDE, 3) uint8.

    Returns:
        (P,) correlation of the finer details, -1 to 1; and (P,) root mean square
        difference of colours, in levels of 0 to 255.
    """
    one, other = left.astype(np.float32), right.astype(np.float32)
    rows, columns, inside = _lay_over(
        _standardise(_blur(one.mean(3))), _standardise(_blur(other.mean(3)))
    )
    count = np.maximum(3 * inside.sum((1, 2, 3)), 1)
    moved = _move(other, rows, columns)
    difference = np.sqrt((((moved - one) * inside) ** 2).sum((1, 2, 3)) / count)
    first, second = _detail(one) * inside, _move(_detail(other), rows, columns) * inside
    power = np.sqrt((first**2).sum((1, 2, 3)) * (second**2).sum((1, 2, 3)))
    return (first * second).sum((1, 2, 3)) / np.maximum(power, 1e-3), difference


def _lay_over(still: np.ndarray, moving: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find matrices that move rows and columns, (P, SIDE, SIDE) each, and the pixels covered."""
    down, right = np.gradient(still, axis=(1, 2))
    slopes = [down, down * _AXIS[:, None], right, right * _AXIS]  # shift, scale; shift, scale
    slope = np.stack(slopes, axis=-1).reshape(len(still), -1, 4)
    curve = slope.transpose(0, 2, 1) @ slope + 0.3 * np.eye(4, dtype=np.float32)  # never singular
    move = np.zeros((len(still), 4), np.float32)
    limits = np.array([FARTHEST, LARGEST, FARTHEST, LARGEST], np.float32)
    for _ in range(STEPS):
        rows, columns, inside = _matrices(move)
        gap = (_move(moving[..., None], rows, columns)[..., 0] - still) * inside[..., 0]
        step = np.linalg.solve(curve, slope.transpose(0, 2, 1) @ gap.reshape(len(still), -1, 1))
        move = (move - step[..., 0]).clip(-limits, limits)
    return _matrices(move)


def _matrices(move: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the interpolation along both axes, and (P, SIDE, SIDE, 1): what stays inside."""
    places = [_AXIS * (1 + move[:, i + 1, None]) + move[:, i, None] + _CENTRE for i in (0, 2)]
    rows, columns = (
        np.maximum(0, 1 - np.abs(place[:, :, None] - np.arange(SIDE, dtype=np.float32)))
        for place in places
    )
    low, high = ((place >= 0) & (place <= SIDE - 1) for place in places)
    return rows, columns, (low[:, :, None] & high[:, None, :])[..., None].astype(np.float32)


def _move(photos: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    channels = photos.transpose(0, 3, 1, 2)
    return (rows[:, None] @ channels @ columns.transpose(0, 2, 1)[:, None]).transpose(0, 2, 3, 1)


def _detail(photos: np.ndarray) -> np.ndarray:
    """Return the details: what a little blur keeps and more blur removes."""
    soft = _blur(photos)
    return soft - _blur(_blur(_blur(soft)))


def _blur(photos: np.ndarray) -> np.ndarray:
    """Blur (P, SIDE, SIDE, ...) by a quarter, half, a quarter along both axes."""
    for axis in (1, 2):
        first, last = (photos.take([end], axis) for end in (0, -1))
        wide = np.concatenate([first, photos, last], axis)
        before, middle, after = (wide.take(range(n, n + SIDE), axis) for n in range(3))
        photos = (before + after) / 4 + middle / 2
    return photos


def _standardise(photos: np.ndarray) -> np.ndarray:
    photos = photos - photos.mean((1, 2), keepdims=True)
    return photos / np.maximum(photos.std((1, 2), keepdims=True), 1e-3)

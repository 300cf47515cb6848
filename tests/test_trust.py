"""A saliency map has to find what was planted, and has to change with the weights."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from models.bundle import Bundle
from models.classifier import Classifier
from models.inside import look_inside
from models.runtime import Graph
from training.fit import fit
from training.insight.trust import STEPS, cover_in_order, randomise
from training.settings.config import FitConfig
from training.settings.console import Stages

Box = tuple[int, int, int, int]  # left, top, right, bottom


def planted(seed: int, size: int, side: int, motif: bool) -> tuple[np.ndarray, Box]:
    """A cloudy photo, with a target of red and white rings at one place or without it."""
    rng = np.random.default_rng(seed)
    clouds = Image.fromarray(rng.integers(0, 256, (size // 16, size // 16, 3)).astype(np.uint8))
    pixels = np.asarray(clouds.resize((size, size), Image.Resampling.BICUBIC)) * 0.35 + 80
    top, left = (int(edge) for edge in rng.integers(0, size - side + 1, 2))
    if motif:
        down, right = np.mgrid[0:side, 0:side] - (side - 1) / 2
        radius = np.hypot(down, right)
        rings = (radius // (side / 10) % 2 == 0)[..., None]
        part = pixels[top : top + side, left : left + side]
        inside = radius < side / 2
        part[inside] = np.where(rings, (220, 30, 30), (245, 245, 245))[inside]
    pixels = pixels + rng.normal(0, 6, pixels.shape)
    return pixels.clip(0, 255).astype(np.uint8), (left, top, left + side, top + side)


def fit_planted(place: Path, backbone: str, size: int, side: int) -> Classifier:
    """A classifier of `plain` photos and of those with a `target`; 60 of each."""
    for label in ("plain", "target"):
        (place / "photos" / label).mkdir(parents=True)
        for number in range(60):
            seed = 2 * number + (label == "target")
            pixels, _ = planted(seed, size, side, motif=label == "target")
            Image.fromarray(pixels).save(place / "photos" / label / f"{number:02}.png")
    config = FitConfig(backbone=backbone, size=size, fraction=1.0, cache=place / "cache")
    fit(place / "photos", place / "planted", config, Stages(quiet=True))
    return Classifier(Bundle(place / "planted"), threads=2)


@pytest.mark.parametrize(
    ("backbone", "size", "side"),
    [
        ("tiny", 64, 32),
        pytest.param("efficientnet-lite0", 224, 128, marks=pytest.mark.slow),
    ],
)
def test_a_planted_motif_is_found_by_channels_and_by_saliency(backbone, size, side, tmp_path):
    classifier = fit_planted(tmp_path, backbone, size, side)
    insight = classifier.insight
    assert insight is not None
    late = insight.layer(classifier.blocks[-1].name)
    assert late is not None
    best = int(late.arrays["selectivity"].argmax())
    assert insight.label_of(late, best) == "target"
    labels = [one.label for one in insight.exemplars(late, best)]
    assert labels.count("target") >= 8

    shares = []
    for seed in range(10_000, 10_050):  # 50 photos it has not seen
        photo, (left, top, right, bottom) = planted(seed, size, side, motif=True)
        heat = np.maximum(look_inside(classifier, photo, "target").heat, 0)
        cells = Image.fromarray(heat.astype(np.float32))
        pixels = np.asarray(cells.resize((size, size), Image.Resampling.BOX))
        shares.append(pixels[top:bottom, left:right].sum() / pixels.sum())
    assert np.mean(shares) >= 0.8  # the motif covers a quarter of the photo, or a third

    trust: Any = insight.index["trust"]
    assert abs(trust["randomised_correlation"]) < 0.5
    assert trust["deletion"]["saliency"] < trust["deletion"]["random"]
    assert trust["insertion"]["saliency"] > trust["insertion"]["random"]


def test_parts_are_covered_in_order_and_shown_in_order():
    photo = np.zeros((4, 4, 3), np.uint8)
    photo[:2, :2], photo[:2, 2:], photo[2:, :2] = 40, 80, 120  # quarters; the fourth is black
    order = np.array([2, 0, 3, 1])  # bottom left first
    steps = cover_in_order(photo, order, (2, 2))
    grey = 60  # the mean of 40, 80, 120 and 0
    assert steps.shape == (2 * STEPS + 1, 4, 4, 3)  # four steps: a quarter each
    quarters = steps[:, [0, 0, 2, 2], [0, 2, 0, 2], 0].tolist()
    assert quarters[:5] == [
        [40, 80, 120, 0],
        [40, 80, grey, 0],
        [grey, 80, grey, 0],
        [grey, 80, grey, grey],
        [grey, grey, grey, grey],
    ]
    assert quarters[5:] == [
        [grey, grey, 120, grey],
        [40, grey, 120, grey],
        [40, grey, 120, 0],
        [40, 80, 120, 0],
    ]


def test_a_random_head_has_other_weights_of_the_same_spread(insight_bundle):
    model = Bundle(insight_bundle).read("head.onnx")
    drawn = randomise(model, np.random.default_rng(0))
    one, other = (
        {c.name: numpy_helper.to_array(c) for c in onnx.load_from_string(m).graph.initializer}
        for m in (model, drawn)
    )
    kernel = next(name for name, value in one.items() if value.ndim == 2)
    assert other[kernel].std() == pytest.approx(one[kernel].std(), rel=0.3)
    assert abs(np.corrcoef(one[kernel].ravel(), other[kernel].ravel())[0, 1]) < 0.4
    assert Graph(drawn).run(np.ones((1, 16)), ["logits"])[0].shape == (1, 3)

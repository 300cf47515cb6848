"""How well each kind of saliency finds what the network uses, and what it costs.

    python -m benchmarks.saliency BUNDLE PHOTOS [--most 100] [--threads 1]
        [--methods random position masks occlusion RISE]

The predicted class is explained on photos of a folder, at any depth. Deletion and insertion as
in training/insight/trust.py: the mean probability of the class while the parts that a map calls
important are covered first (lower is better), or shown first (higher is better). RISE (Petsiuk et
al. 2018) masks the photo itself. One prediction is timed beside each map, in the same minute.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from models.bundle import Bundle
from models.classifier import Classifier, softmax
from models.inside import explain
from training.insight.trust import STEPS, cover_in_order

ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}
BATCH = 16
METHODS = ("random", "position", "masks", "occlusion", "RISE")
RISE_MASKS = 400
Explain = Callable[[np.ndarray], np.ndarray]  # photo (S, S, 3) uint8 -> heat (h, w)


def main() -> None:
    """Measure every method on the same photos, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--most", type=int, default=100, help="photos, drawn evenly")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    options = parser.parse_args()
    classifier = Classifier(Bundle(options.bundle), options.threads)
    found = sorted(path for path in options.photos.rglob("*") if path.suffix.lower() in ENDINGS)
    chosen = found[:: max(1, len(found) // options.most)][: options.most]
    photos = [classifier.decode(path.read_bytes()) for path in chosen]
    print(
        f"{len(photos)} photos; masks at {classifier.cut.layer if classifier.cut else 'no layer'}"
    )
    print(
        f"{'method':<12}{'deletion':>10}{'insertion':>11}{'difference':>12}{'+-':>7}"
        f"{'ms':>9}{'predictions':>13}"
    )
    for name, compute in choose(classifier, options.methods).items():
        areas, times, ones = [], [], []
        compute(photos[0])  # warm
        for photo in photos:
            start = time.perf_counter()
            classifier.predict(photo[None])
            between = time.perf_counter()
            heat = compute(photo)
            times.append(time.perf_counter() - between)
            ones.append(between - start)
            areas.append(score(classifier, photo, heat))
        deletion, insertion = np.mean(areas, axis=0)
        differences = [shown - covered for covered, shown in areas]
        error = float(np.std(differences, ddof=1) / np.sqrt(len(photos)))
        taken, one = statistics.median(times), statistics.median(ones)
        print(
            f"{name:<12}{deletion:>10.3f}{insertion:>11.3f}{insertion - deletion:>12.3f}"
            f"{error:>7.3f}{taken * 1000:>9.1f}{taken / one:>12.1f}x",
            flush=True,
        )


def choose(classifier: Classifier, names: Sequence[str]) -> dict[str, Explain]:
    """Return the named ways to explain the class that `classifier` predicts, if it has them."""
    rng = np.random.default_rng(0)
    made: dict[str, Explain] = {
        "random": lambda photo: rng.random((14, 14)),
        "masks": lambda photo: explain(classifier, photo, None, "masks").heat,
        "occlusion": lambda photo: explain(classifier, photo, None, "occlusion").heat,
        "RISE": lambda photo: rise(classifier, photo),
    }
    if classifier.pooled_layer:
        made["position"] = lambda photo: explain(classifier, photo, None, "position").heat
    return {name: made[name] for name in names if name in made}


def rise(classifier: Classifier, photo: np.ndarray, cells: int = 14) -> np.ndarray:
    """Compute (cells, cells): the mean of random masks on the photo, by the chance they leave."""
    rng = np.random.default_rng(0)
    size = photo.shape[0]
    label = int(classifier.predict(photo[None])[0].argmax())
    colour = photo.mean(axis=(0, 1))
    shown = np.stack([draw_mask(size, rng) for _ in range(RISE_MASKS)])
    answers = [
        classifier.predict(colour + some[..., None] * (photo - colour))[:, label]
        for some in np.array_split(shown, RISE_MASKS // BATCH)
    ]
    chance = np.concatenate(answers)
    heat = np.tensordot(chance - chance.mean(), shown, 1)
    edges = np.arange(cells) * size // cells
    return np.add.reduceat(np.add.reduceat(heat, edges, axis=0), edges, axis=1)


def draw_mask(size: int, rng: np.random.Generator, cells: int = 7) -> np.ndarray:
    """Draw (size, size) float32: a coarse random grid, smoothed and shifted, as RISE does."""
    cell = -(-size // cells)
    grid = rng.integers(0, 2, (cells + 1, cells + 1)).astype(np.float32)
    side = (cells + 1) * cell
    smooth = np.asarray(Image.fromarray(grid).resize((side, side), Image.Resampling.BILINEAR))
    top, left = rng.integers(0, cell, 2)
    return smooth[top : top + size, left : left + size]


def score(classifier: Classifier, photo: np.ndarray, heat: np.ndarray) -> tuple[float, float]:
    """Measure deletion and insertion of one map."""
    covered = cover_in_order(photo, np.argsort(-heat, axis=None), heat.shape)
    probabilities = softmax(classifier.predictor.run(covered, ["logits"])[0])
    chance = probabilities[:, int(probabilities[0].argmax())]
    return float(chance[: STEPS + 1].mean()), float(chance[STEPS:].mean())


if __name__ == "__main__":
    main()

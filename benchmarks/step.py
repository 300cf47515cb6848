"""One training step of fine-tuning: from cached feature maps, and from photos.

    python -m benchmarks.step PHOTOS

Three ways to train the same blocks on batches of 32 photos: from maps that were cached at the
cut, as `fit` does it, in both precisions; from photos, the lower part frozen but computed each
time; and from photos, the whole network trained, as fine-tuning is usually done. Seconds a photo,
decoding and reading included; what caching a view costs, once, is named beside it.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models.building import export
from models.building.graph import mapped_layers
from models.building.head import DenseLayer
from models.images import decode_image
from models.runtime import Graph
from training.features.backbone import build
from training.fine_tuning.cut import choose_cut, cut_network
from training.fine_tuning.map_store import MapStore
from training.fine_tuning.products import usual_precision
from training.fine_tuning.views import PhotoViews, ViewRecipe, compute_views
from training.optimisation.optimiser import MeanWeights, compile_for_training
from training.photos.find import find_photos
from training.settings.config import PRECISIONS, FitConfig
from training.settings.hyperparameters import BLOCKS

BATCH, CLASSES = 32, 10
STEPS = 8  # timed, after one that is not

Step = Callable[[np.ndarray, np.ndarray], Any]  # photos or maps, labels


def main() -> None:
    """Time the three ways in one run and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    photos = find_photos(parser.parse_args().photos).photos[: BATCH * (STEPS + 1)]
    config = FitConfig(fine_tune="yes")
    backbone = build(config)
    name = choose_cut(mapped_layers(backbone), None)
    cut = backbone.get_layer(name).output
    lower = Graph(export.to_onnx(backbone, {"cut": cut}))
    digests = [str(photo.path).encode() for photo in photos]
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(MapStore(Path(folder), "maps", cut.shape[1:])) as store,
    ):
        started = time.perf_counter()
        views = [PhotoViews(*each, [0]) for each in zip(photos, digests, strict=True)]
        recipe = ViewRecipe(config.framing, config.limits, smallest_area=1.0, mirror=False, seed=0)
        compute_views(views, recipe, lower, store, config.workers)
        caching = (time.perf_counter() - started) / len(photos)

        def decode(rows: range) -> np.ndarray:
            data = [photos[row].path.read_bytes() for row in rows]
            return np.stack([decode_image(one, config.framing) for one in data]).astype(np.float32)

        def read(rows: range) -> np.ndarray:
            return store.read([(digests[row], 0) for row in rows])

        ways = {
            f"from cached maps, {precision}": step_s(as_fit_does(name, precision), read)
            for precision in PRECISIONS
        } | {
            "from photos, lower part frozen": step_s(as_usual(cut.shape), decode),
            "from photos, all of it trained": step_s(as_usual(None), decode),
        }
    chosen = ways[f"from cached maps, {usual_precision()}"]
    print(f"caching one view, once: {1000 * caching:.1f} ms a photo")
    print(f"this processor: {usual_precision()}")
    for name, taken in ways.items():
        print(f"{name:<34}{1000 * taken:>8.1f} ms a photo{taken / chosen:>8.1f}x")


def as_fit_does(cut: str, precision: str) -> Step:
    """Make a step of `fit`: the blocks after the cut and a head, the mean of weights included."""
    config = FitConfig(fine_tune="yes", precision=precision)
    backbone = build(config)
    features = backbone.output.shape[-1]
    head = [DenseLayer(np.zeros((features, CLASSES), np.float32), np.zeros(CLASSES, np.float32))]
    model = cut_network(backbone, head, cut, BLOCKS.dropout, config).model
    compile_for_training(model, BLOCKS, STEPS)
    mean = MeanWeights(model.trainable_variables, BLOCKS.averaging)
    one_hot = np.eye(CLASSES, dtype=np.float32)

    def step(inputs: np.ndarray, labels: np.ndarray) -> None:
        model.train_on_batch(inputs, one_hot[labels])
        mean.follow(1)

    return step


def as_usual(frozen_to: tuple[int | None, ...] | None) -> Step:
    """Make a step as Keras' guides have it: the whole network, or frozen up to a shape."""
    backbone = build(FitConfig(fine_tune="yes"))
    model = keras.Model(backbone.input, keras.layers.Dense(CLASSES)(backbone.output))
    last = [i for i, layer in enumerate(model.layers) if layer.output.shape == frozen_to]
    for layer in model.layers[: last[-1] + 1 if last else 0]:
        layer.trainable = False
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adamw", loss, jit_compile=False)
    return model.train_on_batch


def step_s(step: Step, read: Callable[[range], np.ndarray]) -> float:
    """Seconds a photo of a training step, reading included."""
    labels = np.arange(BATCH) % CLASSES
    step(read(range(BATCH)), labels)
    started = time.perf_counter()
    for number in range(1, STEPS + 1):
        step(read(range(number * BATCH, (number + 1) * BATCH)), labels)
    return (time.perf_counter() - started) / STEPS / BATCH


if __name__ == "__main__":
    main()

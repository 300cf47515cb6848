"""One training step of fine-tuning: from cached feature maps, and from photos.

    python -m benchmarks.step PHOTOS

Three ways to train the same blocks on batches of 32 photos: from maps that were cached at the
cut; from photos, the lower part frozen but computed each time; and from photos, the whole
network trained, as fine-tuning is usually done. Seconds a photo, decoding and reading included;
what caching a view costs, once, is named beside it.
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
from models.images import decode_image
from models.runtime import Graph
from training.features.backbone import build
from training.fine_tuning.cut import choose_cut
from training.fine_tuning.map_store import MapStore
from training.fine_tuning.views import PhotoViews, ViewRecipe, compute_views
from training.photos.find import find_photos
from training.settings.config import FitConfig

BATCH, CLASSES = 32, 10
STEPS = 8  # timed, after one that is not


def main() -> None:
    """Time the three ways in one run and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    photos = find_photos(parser.parse_args().photos).photos[: BATCH * (STEPS + 1)]
    config = FitConfig(fine_tune="yes")
    backbone = build(config)
    cut = backbone.get_layer(choose_cut(mapped_layers(backbone), None)).output
    lower = Graph(export.to_onnx(backbone, {"cut": cut}))
    digests = [str(photo.path).encode() for photo in photos]
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(MapStore(Path(folder), "maps", cut.shape[1:])) as store,
    ):
        started = time.perf_counter()
        views = [PhotoViews(*each, [0]) for each in zip(photos, digests, strict=True)]
        recipe = ViewRecipe(config.framing, config.limits, smallest_area=1.0, seed=0)
        compute_views(views, recipe, lower, store, config.workers)
        caching = (time.perf_counter() - started) / len(photos)

        def decode(rows: range) -> np.ndarray:
            data = [photos[row].path.read_bytes() for row in rows]
            return np.stack([decode_image(one, config.framing) for one in data]).astype(np.float32)

        def read(rows: range) -> np.ndarray:
            return store.read([(digests[row], 0) for row in rows])

        ways = {
            "from cached maps": step_s(upper(backbone, cut), read),
            "from photos, lower part frozen": step_s(whole(build(config), cut.shape), decode),
            "from photos, all of it trained": step_s(whole(build(config), None), decode),
        }
    first = ways["from cached maps"]
    print(f"caching one view, once: {1000 * caching:.1f} ms a photo")
    for name, taken in ways.items():
        print(f"{name:<34}{1000 * taken:>8.1f} ms a photo{taken / first:>8.1f}x")


def upper(backbone: keras.Model, cut: Any) -> keras.Model:
    """The blocks after the cut, with a head."""
    return frozen_statistics(keras.Model(cut, keras.layers.Dense(CLASSES)(backbone.output)))


def whole(backbone: keras.Model, frozen_to: tuple[int | None, ...] | None) -> keras.Model:
    """The whole network with a head; frozen up to the last layer of a shape, if one is given."""
    model = keras.Model(backbone.input, keras.layers.Dense(CLASSES)(backbone.output))
    last = [i for i, layer in enumerate(model.layers) if layer.output.shape == frozen_to]
    for layer in model.layers[: last[-1] + 1 if last else 0]:
        layer.trainable = False
    return frozen_statistics(model)


def frozen_statistics(model: keras.Model) -> keras.Model:
    """The same, its batch normalisation as it is; ready to be trained."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adamw", loss, jit_compile=False)
    return model


def step_s(model: keras.Model, read: Callable[[range], np.ndarray]) -> float:
    """Seconds a photo of a training step, reading included."""
    labels = np.arange(BATCH) % CLASSES
    model.train_on_batch(read(range(BATCH)), labels)
    started = time.perf_counter()
    for step in range(1, STEPS + 1):
        model.train_on_batch(read(range(step * BATCH, (step + 1) * BATCH)), labels)
    return (time.perf_counter() - started) / STEPS / BATCH


if __name__ == "__main__":
    main()

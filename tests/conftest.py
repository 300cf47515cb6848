"""What several test files share: encoded photos, and one tiny network saved as a bundle.

Keras is imported inside the fixtures that need it: tests of the decoder, of bundles and of
the service start without it.
"""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow

CLASS_NAMES = ["apple", "pear", "plum"]
SIZE = 32  # px, the native size of the backbone `tiny`

Encode = Callable[..., bytes]


def encode_photo(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """An array, or a Pillow image in a mode that arrays do not have, as an encoded photo."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def paint_photo(height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8: smooth, as JPEG likes it, and unlike any of its mirror images."""
    down, right = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    bands = [right, down, (right - 0.3) ** 2 + 0.5 * down**2]
    return np.stack([(255 * band).clip(0, 255) for band in bands], axis=-1).astype(np.uint8)


def liven_network(network: Any, photos: np.ndarray) -> None:
    """Give every weight that starts at 0, 1 or nearly 0 a value of its own, in place.

    A fresh network's biases are 0 and its batch normalisation does nothing: an export that
    swapped or dropped them would pass. Statistics are those of `photos`, so that no feature
    map vanishes, however deep the network.
    """
    from keras import layers

    rng = np.random.default_rng(1)
    norms = [one for one in network.layers if isinstance(one, layers.BatchNormalization)]
    for weight in network.trainable_weights:
        numbers = np.asarray(weight)
        if np.ptp(numbers) == 0:
            weight.assign(rng.uniform(0.5, 1, numbers.shape) if numbers.max() else
                          rng.normal(0, 0.1, numbers.shape))  # fmt: skip
        elif np.abs(numbers).max() < 1e-3:  # the scales of ConvNeXt's branches start at 1e-6
            weight.assign(rng.uniform(0.5, 1, numbers.shape))
    momenta = [one.momentum for one in norms]
    for one in norms:
        one.momentum = 0.0
    network(photos.astype("float32"), training=True)
    for one, momentum in zip(norms, momenta, strict=True):
        one.momentum = momentum


def save_network(network: Any, target: Path, photos: np.ndarray, class_names: list[str]) -> Path:
    """`network` as a bundle at `target`, its parity measured on `photos`."""
    from models.bundle import ImageEntry, LayerEntry, Manifest, new_bundle, seal
    from models.export import export_network, measure_parity
    from models.graph import mapped_layers

    graphs = export_network(network)
    manifest = Manifest(
        name=target.name,
        class_names=class_names,
        image=ImageEntry(size=photos.shape[1], resize="crop", fraction=0.875),
        backbone={"name": network.name},
        head={"kind": "random"},
        layers=[LayerEntry(**layer.as_json()) for layer in mapped_layers(network)],
        parity=measure_parity(network, graphs, photos).as_json(),
    )
    with new_bundle(target) as folder:
        network.save(folder / "model.keras")
        for name, content in graphs.items():
            (folder / name).write_bytes(content)
        seal(folder, manifest, target)
    return target


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests leave the cache of whoever runs them alone, and share one that begins empty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERSCOPE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def clothing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle trained on the real clothing photos; what it computed stays in the cache."""
    from tests.real import command, dataset

    out = tmp_path_factory.mktemp("clothing") / "clothing"
    command("fit", dataset("clothing"), "--out", out, "--quiet")
    return out


@pytest.fixture(scope="session")
def encode() -> Encode:
    """The function `encode_photo`."""
    return encode_photo


@pytest.fixture(scope="session")
def paint() -> Callable[[int, int], np.ndarray]:
    """The function `paint_photo`."""
    return paint_photo


@pytest.fixture(scope="session")
def noise() -> np.ndarray:
    """(4, 32, 32, 3) uint8: four photos of noise, which reaches every unit of a network."""
    return np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def tiny_network(noise: np.ndarray) -> Any:
    """The backbone `tiny` with a head for three classes; no weight has its starting value."""
    from models.backbones import find_backbone
    from models.head import DenseLayer
    from models.network import add_head, build_backbone

    rng = np.random.default_rng(0)
    head = [DenseLayer(rng.normal(size=(16, 3)).astype("f4"), rng.normal(size=3).astype("f4"))]
    network = add_head(build_backbone(find_backbone("tiny"), SIZE, "none"), head)
    liven_network(network, noise)
    return network


@pytest.fixture(scope="session")
def tiny_bundle(
    tiny_network: Any, noise: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """`tiny_network` as a bundle called `tiny`. Shared: copy it before changing anything."""
    return save_network(tiny_network, tmp_path_factory.mktemp("b") / "tiny", noise, CLASS_NAMES)


@pytest.fixture(scope="session")
def insight_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fitted bundle called `colours`, with insight: 36 photos, three classes, `tiny`."""
    from tests.making import write_classes
    from training.config import FitConfig
    from training.console import Stages
    from training.fit import fit

    place = tmp_path_factory.mktemp("insight")
    photos = write_classes(place / "photos", 12)
    config = FitConfig(backbone="tiny", cache=place / "cache")
    fit(photos, place / "colours", config, Stages(quiet=True))
    return place / "colours"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A running Chromium; a new page of it is a fresh visitor."""
    from tests.browsing import browsing

    with browsing() as running:
        yield running

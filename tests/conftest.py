"""What several test files share: encoded photos, and one tiny network saved as a bundle.

Keras is imported inside the fixtures that need it: tests of the decoder, of bundles and of
the service start without it.
"""

import io
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.building.head import DenseLayer, Head

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow

# A shell without job control ignores Ctrl-C in what it starts with `&`, and so would every command
# that a test starts, however it is signalled.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

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
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the pretrained network, where the photos that it is tried on are there."""
    from tests.real import command, dataset

    dataset("imagenet-100")
    out = tmp_path_factory.mktemp("imagenet") / "imagenet"
    command("imagenet", "--out", out, "--quiet")
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
def tiny_backbone(noise: np.ndarray) -> Any:
    """The backbone `tiny`; no weight has its starting value."""
    from models.building.backbones import find_backbone
    from models.building.network import build_backbone
    from tests.networks import liven_network

    return liven_network(build_backbone(find_backbone("tiny"), SIZE, "none"), noise)


@pytest.fixture(scope="session")
def tiny_head() -> Head:
    """A head of one layer for three classes."""
    rng = np.random.default_rng(0)
    return [DenseLayer(rng.normal(size=(16, 3)).astype("f4"), rng.normal(size=3).astype("f4"))]


@pytest.fixture(scope="session")
def tiny_network(tiny_backbone: Any, tiny_head: Head) -> Any:
    """`tiny_backbone` with `tiny_head`, in Keras."""
    from tests.networks import add_head

    return add_head(tiny_backbone, tiny_head)


@pytest.fixture(scope="session")
def tiny_bundle(
    tiny_backbone: Any,
    tiny_head: Head,
    noise: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """`tiny_network` as a bundle called `tiny`. Shared: copy it before changing anything."""
    from tests.networks import save_network

    target = tmp_path_factory.mktemp("b") / "tiny"
    return save_network(tiny_backbone, tiny_head, target, noise, CLASS_NAMES)


@pytest.fixture(scope="session")
def insight_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fitted bundle called `colours`, with insight: 36 photos, three classes, `tiny`."""
    from tests.making import write_classes
    from training.fit import fit
    from training.settings.config import FitConfig
    from training.settings.console import Stages

    place = tmp_path_factory.mktemp("insight")
    photos = write_classes(place / "photos", 12)
    config = FitConfig(backbone="tiny", cache=place / "cache")
    fit(photos, place / "colours", config, Stages(quiet=True))
    return place / "colours"


@pytest.fixture(scope="session")
def int8_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `photos`, enough to judge a graph in INT8, and with their cache."""
    from tests.making import write_sides
    from tests.quantising import COUNTS

    place = tmp_path_factory.mktemp("int8")
    write_sides(place / "photos", COUNTS)
    return place


@pytest.fixture(scope="session")
def int8_bundle(int8_photos: Path) -> Path:
    """A fitted bundle called `colours` with a graph in INT8. Shared: copy it before changing it."""
    from tests.quantising import train

    train(int8_photos, int8_photos / "colours")
    return int8_photos / "colours"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A running Chromium; a new page of it is a fresh visitor."""
    from tests.browsing import browsing

    with browsing() as running:
        yield running


@pytest.fixture
def memory() -> Iterator[str]:
    """An address in the memory of this process; it begins empty."""
    pytest.importorskip("obstore", reason="needs requirements-scale.txt")
    from training.places.system import open_store

    open_store.cache_clear()
    yield "memory://photos"
    open_store.cache_clear()

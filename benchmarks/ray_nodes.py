"""Measure how much faster two nodes of a Ray cluster are than one, each of one core.

Photos are made by turning, cropping and lightening those of a folder. The same run computes
their features on one node, then on two, with the default backbone and empty caches. Seconds
include the start of the processes that compute. The machine needs two free cores.

    python -m benchmarks.ray_nodes PHOTOS [--photos 10000]
"""

import argparse
import os
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from tests.ray_cluster import TestCluster, running
from training.features.backbone import compile_backbone
from training.features.compute import compute_features
from training.photos.find import find_photos
from training.photos.listing import Photo
from training.prepare import open_cache
from training.scale.cluster import Cluster
from training.scale.portable import PortableGraph
from training.settings.config import FitConfig
from training.settings.console import Stages

LEAST_RATIO = 1.7


def main() -> None:
    """Compute the same features on one node and on two; print photos/s and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, metavar="PHOTOS")
    parser.add_argument("--photos", type=int, default=10_000, dest="count", metavar="N")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ray") as name:
        place = Path(name)
        photos = augment(find_photos(chosen.photos).photos, chosen.count, place / "photos")
        config = FitConfig(cache=place / "cache")
        compiled = compile_backbone(config, Stages(quiet=True))
        rates, found = [], []
        for nodes in (1, 2):
            kept = open_cache(compiled, config, place / str(nodes))
            with running(place / str(nodes), nodes) as cluster, closing(kept):
                engine = Cluster(cluster.address, place / str(nodes))
                graph = PortableGraph(compiled.graph_with(["features"]))
                started, own = time.perf_counter(), time.process_time()
                features = compute_features(photos, graph, kept, engine)
                seconds, own = time.perf_counter() - started, time.process_time() - own
                others = cpu_seconds(cluster)
            rates.append(len(photos) / seconds)
            found.append(features)
            print(f"{nodes} node(s) of one core: {rates[-1]:.1f} photos/s, {seconds:.1f} s")
            print(f"  CPU s: driver {own:.1f}, Ray's own processes since their start {others:.1f}")
    same = np.array_equal(found[0].vectors[:], found[1].vectors[:])
    print(f"ratio {rates[1] / rates[0]:.2f} (at least {LEAST_RATIO}); equal bit for bit: {same}")


def cpu_seconds(cluster: TestCluster) -> float:
    """Sum the CPU seconds of all processes of the nodes, except those that compute."""
    ticks = 0
    for pid in [pid for node in cluster.nodes for pid in node.processes()]:
        place = Path(f"/proc/{pid}")
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            if b"ray::" not in (place / "cmdline").read_bytes():
                ticks += int(fields[11]) + int(fields[12])  # user and system
        except OSError:  # it ended
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def augment(photos: list[Photo], count: int, folder: Path) -> list[Photo]:
    """Write `count` different photos, each made of one of these."""
    folder.mkdir()
    rng, made = np.random.default_rng(0), []
    for number in range(count):
        photo = photos[number % len(photos)]
        with Image.open(photo.path) as opened:
            image = opened.convert("RGB")
        width, height = image.size
        share = rng.uniform(0.8, 1)
        left, top = (rng.uniform(0, side * (1 - share)) for side in image.size)
        image = image.crop((int(left), int(top), int(left + width * share),
                            int(top + height * share)))  # fmt: skip
        image = image.rotate(rng.uniform(-10, 10), Image.Resampling.BILINEAR)
        image = ImageOps.mirror(image) if rng.random() < 0.5 else image
        image = ImageEnhance.Brightness(image).enhance(rng.uniform(0.7, 1.3))
        path = folder / f"{number:06}.jpg"
        image.save(path, quality=90)
        made.append(Photo(path, photo.label))
    return made


if __name__ == "__main__":
    main()

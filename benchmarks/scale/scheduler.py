"""What a driver carries: a cluster of many pretended cores, whose photos take time and no work.

Ray, its tasks and shards are real, and so is the cache that the driver writes; only reading,
decoding and the network are a sleep as long as they take. So two cores can stand for many. A
process may stand for several cores, by sleeping a part of the time: Ray sends as many tasks.
"""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale.arithmetic import core_s
from models.bundle import LayerEntry
from models.images import Framing
from training.features.cache import FeatureCache
from training.features.compute import compute_features
from training.features.summaries import LayerSummaries
from training.features.thumbnails import SIDE
from training.photos.listing import Photo
from training.scale.cluster import SHARD, Cluster
from training.scale.connection import SETTINGS
from training.scale.engine import Row, Work

PROCESSES = 16  # of Ray, at most; each takes 200 MB
SHARDS = 12  # for each process, measured; two before them start the processes
CHANNELS = 2_912  # of all layers that insight watches in EfficientNet-Lite0
NOTHING: Any = None  # in the place of a network
FEATURES, THUMBNAIL = 1280, SIDE * SIDE * 3


@dataclass(frozen=True)
class Asleep(Work[Photo, Any]):
    """Takes the time of a photo, and answers with as many bytes as a photo has, by chance."""

    work: Work[Photo, Any]  # whose rows these are
    seconds: float
    record: int  # bytes of its summaries
    kept_elsewhere = True

    def __call__(self, photo: Photo) -> Any:
        """Sleep, then make up what was found."""
        time.sleep(self.seconds)
        rng = np.random.default_rng(int(photo.path.stem))
        return self.work.result(photo, self._row(rng), True)

    def _row(self, rng: np.random.Generator) -> Row:
        return {
            "size": 28_000, "changed_ns": 1, "digest": rng.bytes(32),
            "vector": rng.random(FEATURES, np.float32).tobytes(),
            "record": rng.bytes(self.record), "thumbnail": rng.bytes(THUMBNAIL),
            "width": 400, "height": 400, "kind": "JPEG", "spread": 50.0, "alpha_ignored": False,
            "left_out": None, "reason": None,
        }  # fmt: skip

    @property
    def identity(self) -> str:
        """Name the work, and the sleep."""
        return f"asleep {self.seconds} {self.work.identity}"

    @property
    def result_bytes(self) -> int:  # type: ignore[override]
        """Return those of the work."""
        return self.work.result_bytes

    def key(self, photo: Photo) -> bytes:
        """Return that of the work."""
        return self.work.key(photo)

    def row(self, result: Any) -> Row:
        """Return that of the work."""
        return self.work.row(result)

    def result(self, photo: Photo, row: Row, fresh: bool) -> Any:
        """Return that of the work."""
        return self.work.result(photo, row, fresh)

    def unread(self, result: Any) -> bool:
        """Every photo is read."""
        return False


@dataclass(frozen=True)
class Sleeping:
    """The cluster, where photos sleep."""

    cluster: Cluster
    seconds: float
    record: int

    def map(self, work: Work[Any, Any], items: Mapping[int, Any]) -> Iterator[Any]:
        """Yield what was made up, in order."""
        return self.cluster.map(Asleep(work, self.seconds, self.record), items)


def measure_scheduler(cores: list[int]) -> str:
    """Measure photos/s of pretended cores, without and with summaries, as a table in Markdown."""
    os.environ.update(SETTINGS | {"RAY_AUTH_MODE": "disabled"})  # else it leaves a token at home
    lines = ["| pretended cores | as processes | summaries | photos/s | of what the cores could | "
             "driver, ms of a core a photo |", "|---|---|---|---|---|---|"]  # fmt: skip
    for count in cores:
        for summaries in (False, True):
            processes = min(count, PROCESSES)
            rate, own = _rate(processes, count / processes, summaries)
            most = count / core_s()
            lines.append(f"| {count} | {processes} | {'yes' if summaries else 'no'} | {rate:,.0f} "
                         f"| {100 * rate / most:.0f} % | {1000 * own:.2f} |")  # fmt: skip
    return "\n".join(lines)


def _rate(processes: int, times: float, summaries: bool) -> tuple[float, float]:
    """Return photos/s, and the driver's seconds of a core for each."""
    import ray

    watched = LayerSummaries([_layer()]) if summaries else None
    with tempfile.TemporaryDirectory(prefix="ray") as name:
        ray.init(num_cpus=processes, include_dashboard=False, log_to_driver=False,
                 logging_level="ERROR", _temp_dir=name)  # fmt: skip
        try:
            engine = Sleeping(Cluster("auto", Path(name)), core_s() / times,
                              watched.size if watched else 0)  # fmt: skip
            count = SHARD * processes
            with closing(FeatureCache(Path(name), "made", "up", Framing(224))) as cache:
                for first, shards in ((0, 2), (2, SHARDS)):
                    numbers = range(first * count, (first + shards) * count)
                    photos = [Photo(Path(name, f"{number}.jpg"), "one") for number in numbers]
                    began, own = time.perf_counter(), time.process_time()
                    compute_features(photos, NOTHING, cache, engine, watched=watched)
                seconds, own = time.perf_counter() - began, time.process_time() - own
        finally:
            ray.shutdown()
    return len(photos) / seconds, own / len(photos)


def _layer() -> LayerEntry:
    sizes = {"height": 1, "width": 1, "channels": CHANNELS, "stride": 1, "receptive_field": 1}
    return LayerEntry(name="all", kind="add", trunk=True, block=True, **sizes)

"""One of several workers, in a process of its own that an engine starts on some machine.

`fit` under TF_CONFIG is a worker by itself and does not need this. An engine that computes the
features elsewhere sends what came of them, and gets the trained network back from the chief:
`NodeWorker` is what a Ray cluster starts (on_nodes.py). No TensorFlow until training begins.
"""

import pickle
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from training.features.backbone import build
from training.fine_tuning.start import Frozen, Start
from training.optimisation.tracking import Tracker, Trackers
from training.scale.node import enter_node
from training.settings.cluster import Cluster
from training.settings.config import FitConfig, default_cache
from training.settings.console import Stages
from training.settings.quiet import load_keras

if TYPE_CHECKING:
    from training.fine_tuning.fine_tune import Tuned

NODES = "nodes"  # in the cache folder: caches of workers, which may not share SQLite files

Reported = tuple[int, Mapping[str, float]]  # an epoch's number, from 1, and what a tracker gets


def tune_as_worker(
    frozen: Frozen,
    weights: Sequence[np.ndarray],
    config: FitConfig,
    cluster: Cluster,
    stages: Stages,
    tracker: Tracker | None = None,
) -> "Tuned":
    """Train this worker's share, in a process where TensorFlow has computed nothing yet.

    All workers return the same network; discard the states once the chief's is safe.

    Args:
        frozen: as the process that computed the features made it; photos by paths that this
            machine can read. weights: of its backbone, so that no worker needs their source.
        config: with a cache of this machine, or one that all share.

    Raises:
        As `fine_tune`; WorkerLost too where another worker does not come.
    """
    load_keras(config.device)
    from training.fine_tuning.fine_tune import fine_tune
    from training.optimisation.together import open_workers

    workers = open_workers(cluster)
    backbone = build(replace(config, weights="none"))
    backbone.set_weights(list(weights))
    start = Start(**vars(frozen), backbone=backbone)
    return fine_tune(start, config, stages, tracker or Trackers(), workers)


class NodeWorker:
    """A worker as a Ray actor, which reports its epochs while it trains: two calls at once."""

    def __init__(self) -> None:
        self._epochs: list[Reported] = []

    def join(self, software: str, folder: str) -> str:
        """Get ready to work for a driver; see `enter_node`.

        Returns:
            An address, host:port, that is free here, and that other nodes can reach.

        Raises:
            ClusterError: this node has other software.
        """
        import ray

        enter_node(software, folder)
        with socket.create_server(("", 0)) as free:
            port = free.getsockname()[1]
        return f"{ray.util.get_node_ip_address()}:{port}"

    def tune(self, package: bytes, cluster: Cluster) -> bytes | None:
        """Train as one of `cluster`; see `tune_as_worker`.

        Args:
            package: frozen, weights and config, pickled.

        Returns:
            What was trained, pickled: arrays that Ray itself sends vanish when it disconnects.
            None where this is not the chief.
        """
        frozen, weights, config = pickle.loads(package)
        if cluster.rank > 0:
            own = default_cache() / NODES / socket.gethostname()
            config = replace(config, cache=own)
        reports = _Reports(self._epochs)
        tuned = tune_as_worker(frozen, weights, config, cluster, Stages(quiet=True), reports)
        return pickle.dumps(tuned) if cluster.rank == 0 else None

    def epochs_after(self, count: int) -> list[Reported]:
        """List the epochs that are done, without the first `count`."""
        return self._epochs[count:]


class _Reports(Trackers):
    """Keeps the numbers of each epoch for whoever asks."""

    def __init__(self, epochs: list[Reported]):
        super().__init__()
        self._epochs = epochs

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        self._epochs.append((number, dict(values)))

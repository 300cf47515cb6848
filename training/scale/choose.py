"""Choose the engine that a person asked for: threads, or a Ray cluster."""

from training.scale.cluster import Cluster
from training.scale.engine import Workers
from training.settings.config import FitConfig

SHARDS = "shards"  # in the cache folder


def choose_workers(config: FitConfig) -> Workers:
    """Return the number of threads, or the cluster, that computes features and predictions."""
    if config.engine == "ray":
        return Cluster(config.address, config.cache / SHARDS)
    return config.workers

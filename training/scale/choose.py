"""Choose the engine that a person asked for: threads, or a Ray cluster."""

from models.bundle import Bundle
from models.classifier import Classifier
from models.device import open_graph
from models.examine import open_classifier
from models.runtime import Graph
from training.scale.cluster import Cluster
from training.scale.engine import Workers
from training.scale.portable import PortableClassifier, PortableGraph
from training.settings.config import FitConfig
from training.settings.console import Stages

SHARDS = "shards"  # in the cache folder
ON_CLUSTER = "the processors of the cluster"


def choose_workers(config: FitConfig) -> Workers:
    """Return the number of threads, or the cluster, that computes features and predictions."""
    if config.engine == "ray":
        return Cluster(config.address, config.cache / SHARDS)
    return config.workers


def open_network(
    model: bytes, output: str, config: FitConfig, stages: Stages | None = None
) -> Graph:
    """Open a graph of photos where it is computed, and say where.

    Args:
        output: whose numbers another device is compared by.

    Raises:
        SettingError: the device cannot be used.
    """
    device: object = ON_CLUSTER
    if config.engine == "ray":
        graph: Graph = PortableGraph(model)
    else:
        graph, device = open_graph(model, output, config.device, config.framing.size)
    if stages:
        stages.say(f"device: {device}")
    return graph


def open_predictor(bundle: Bundle, precision: str, config: FitConfig, stages: Stages) -> Classifier:
    """Open a bundle to predict with where it is computed, and say where.

    Raises:
        BundleError: it is damaged. SettingError: the device cannot be used.
    """
    if config.engine == "ray":
        stages.say(f"device: {ON_CLUSTER}")
        return PortableClassifier(bundle, precision)
    classifier = open_classifier(bundle, precision, config.device)
    stages.say(f"device: {classifier.device}")
    return classifier

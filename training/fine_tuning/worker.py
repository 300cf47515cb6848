"""One of several workers, in a process of its own that an engine starts on some machine.

`fit` under TF_CONFIG is a worker by itself and does not need this. An engine that computes the
features elsewhere sends what came of them, and gets the trained network back from the chief.
"""

from training.features.backbone import build
from training.fine_tuning.fine_tune import Tuned, fine_tune
from training.fine_tuning.start import Frozen, Start
from training.optimisation.together import open_workers
from training.optimisation.tracking import Tracker, Trackers
from training.settings.cluster import Cluster
from training.settings.config import FitConfig
from training.settings.console import Stages


def tune_as_worker(
    frozen: Frozen,
    config: FitConfig,
    cluster: Cluster,
    stages: Stages,
    tracker: Tracker | None = None,
) -> Tuned:
    """Train this worker's share, in a process where TensorFlow has computed nothing yet.

    All workers return the same network; discard the states once the chief's is safe.

    Args:
        frozen: as the process that computed the features made it; photos by paths that this
            machine can read. config: with a cache of this machine, or one that all share.

    Raises:
        As `fine_tune`; WorkerLost too where another worker does not come.
    """
    workers = open_workers(cluster)
    start = Start(**vars(frozen), backbone=build(config))
    return fine_tune(start, config, stages, tracker or Trackers(), workers)

"""Fine-tuning by one worker on each node of a Ray cluster; this machine's is the chief.

The workers are actors that train as those that TF_CONFIG names do. A placement group starts all
of them or none, each with all cores of its node. The chief keeps the state after each epoch in this
machine's cache: where a worker dies, all are started again, on the nodes that are left, and go
on from there.
"""

import math
import os
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from models.errors import ClusterError, WorkerLost
from training.fine_tuning.start import Frozen, Start
from training.fine_tuning.worker import NodeWorker
from training.optimisation.tracking import Tracker
from training.scale.connection import connected, meaning_of
from training.scale.software import software
from training.settings.cluster import Cluster
from training.settings.config import ADDRESS, FitConfig
from training.settings.console import Stages

if TYPE_CHECKING:
    from training.fine_tuning.fine_tune import Tuned

RESTARTS = 3  # of all workers, without an epoch in between
WAIT_S = 600.0  # for the cores of all nodes, and for the workers' processes
LOOK_S = 1.0  # between two looks at the nodes and the epochs
ID = "ray.io/node-id"  # a label that Ray gives to every node


class _Node(NamedTuple):
    """A node that trains, and what its worker takes of it."""

    name: str  # Ray's
    wanted: dict[str, float]


def tune_on_nodes(
    start: Start, config: FitConfig, stages: Stages, tracker: Tracker
) -> "Tuned | None":
    """Train the upper blocks with a worker on each node; `tracker` gets each epoch once.

    Returns:
        What the chief has trained; None where there is but this machine, which then has to do it
        itself, and goes on from the chief's state if there is one.

    Raises:
        ClusterError: the cluster cannot be reached, its cores do not become free, or workers die
            again and again. LayerscopeError: as `fine_tune`.
    """
    if config.minutes is not None or config.find_rate:
        option = "--find-rate" if config.minutes is None else "--minutes"
        stages.say(f"this machine alone trains the blocks: {option} measures on one machine")
        return None
    most = min(len(start.split.train), len(start.split.validation))
    with connected(config.address) as ray:
        nodes = _list_nodes(ray, most, config)
        if len(nodes) < 2:
            return None
        frozen = Frozen(**{entry.name: getattr(start, entry.name) for entry in fields(Frozen)})
        there = replace(config, engine="threads", address=ADDRESS)
        package = ray.put(pickle.dumps((frozen, start.backbone.get_weights(), there)))
        with stages.stage("train the upper blocks on the cluster") as doing:
            run, lost = _Run(ray, package, tracker, doing), 0
            while len(nodes) > 1:
                stages.say(f"{len(nodes)} workers train the blocks, one on each node")
                before = run.known
                try:
                    return run.train(nodes)
                except WorkerLost as error:
                    lost = 1 if run.known > before else lost + 1
                    if lost > RESTARTS:
                        raise ClusterError(
                            f"workers were lost {lost} times without an epoch in between: "
                            f"{error.reason}; what was trained before is kept: run it again"
                        ) from error
                    stages.say(f"a worker was lost, all start again: {error.reason}")
                nodes = _list_nodes(ray, most, config)
    stages.say("one node is left: this machine goes on alone")
    return None


@dataclass
class _Run:
    """Workers of one training, and the workers that take their place."""

    ray: Any
    package: Any  # its reference in the object store
    tracker: Tracker
    doing: Callable[[str], None]
    known: int = 0  # epochs that the tracker has

    def train(self, nodes: Sequence[_Node]) -> "Tuned":
        """Train with a worker on each of `nodes`. Raises WorkerLost where one is gone."""
        with _placed(self.ray, nodes) as actors:
            self.doing("waiting for the cores of all nodes")
            joined = [actor.join.remote(software(), os.getcwd()) for actor in actors]
            addresses = self._answers(joined, nodes, within_s=WAIT_S)
            self.doing("computing views")
            trained = [
                actor.tune.remote(self.package, Cluster(tuple(addresses), rank))
                for rank, actor in enumerate(actors)
            ]
            try:
                found = self._answers(trained, nodes, lambda: self._report(actors[0]))[0]
            except WorkerLost:
                with suppress(WorkerLost):  # epochs since the last look, if the chief is there
                    self._report(actors[0])
                raise
        tuned: Tuned = pickle.loads(found)
        return tuned

    def _answers(
        self,
        references: Sequence[Any],
        nodes: Sequence[_Node],
        look: Callable[[], None] = lambda: None,
        within_s: float = math.inf,
    ) -> list[Any]:
        """Wait for all answers, and `look` now and then.

        Raises:
            WorkerLost: a worker or its node is gone. ClusterError: it takes too long.
        """
        waiting, ends = list(references), time.monotonic() + within_s
        while waiting:
            done, waiting = self.ray.wait(waiting, timeout=LOOK_S)
            for reference in done:
                self._get(reference)
            look()
            if not {node.name for node in nodes} <= {node["NodeID"] for node in _alive(self.ray)}:
                raise WorkerLost("its node died")
            if time.monotonic() > ends:
                raise ClusterError(
                    f"the cores of {len(nodes)} nodes were not free within {within_s:.0f} s: end "
                    "what else runs on the cluster, or fine-tune without --engine ray"
                )
        return [self._get(reference) for reference in references]

    def _get(self, reference: Any) -> Any:
        """Get an answer. Raises what the worker raised, or WorkerLost where it is gone."""
        try:
            return self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            raise meaning_of(error) from None
        except self.ray.exceptions.RayError as error:
            reason = str(error).strip().partition("\n")[0]
            raise WorkerLost(f"{type(error).__name__}: {reason}") from error

    def _report(self, chief: Any) -> None:
        """Hand new epochs to the tracker; a chief that goes on from a state repeats the old."""
        for number, values in self._get(chief.epochs_after.remote(self.known)):
            self.tracker.epoch(number, values)
            self.doing(f"epoch {number} is done")
            self.known = number


@contextmanager
def _placed(ray: Any, nodes: Sequence[_Node]) -> Iterator[list[Any]]:
    """Ask for a worker on each node, all at once; they end with the block."""
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = placement_group(
        [node.wanted for node in nodes],
        strategy="STRICT_SPREAD",
        bundle_label_selector=[{ID: node.name} for node in nodes],
    )
    actors: list[Any] = []
    try:
        for place, node in enumerate(nodes):
            options = {
                "num_cpus": node.wanted.get("CPU", 0),
                "num_gpus": node.wanted.get("GPU", 0),
                "max_concurrency": 2,  # it reports while it trains
                "scheduling_strategy": PlacementGroupSchedulingStrategy(
                    group, placement_group_bundle_index=place
                ),
            }
            actors.append(ray.remote(NodeWorker).options(**options).remote())
        yield actors
    finally:  # also after Ctrl-C
        for actor in actors:
            ray.kill(actor)
        remove_placement_group(group)


def _alive(ray: Any) -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _list_nodes(ray: Any, most: int, config: FitConfig) -> list[_Node]:
    """List the nodes that train, this machine's first, though it may give no cores to tasks."""
    mine, found = ray.get_runtime_context().get_node_id(), []
    for node in _alive(ray):
        has = node["Resources"]
        cores = int(has.get("CPU", 0))
        if cores or node["NodeID"] == mine:
            # A bundle of nothing is refused by Ray: of a node without cores it is a byte.
            wanted: dict[str, float] = {"CPU": cores} if cores else {"memory": 1}
            if config.device != "cpu" and has.get("GPU", 0) >= 1:
                wanted["GPU"] = 1
            found.append(_Node(node["NodeID"], wanted))
    return sorted(found, key=lambda node: (node.name != mine, node.name))[:most]

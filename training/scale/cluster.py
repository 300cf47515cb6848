"""A Ray cluster as the place where photos are computed: shards go out, results come in order.

Each shard is one Ray task of one core. Ray starts it where a core is free, and again on another
node where the first one died; actors would wait for a node that never comes back. The compiled
network is put into the object store once, and each worker process opens it once. Only a few
shards for each core are in flight: results wait as files (shards.py), not in memory.
"""

import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from models.errors import ClusterError
from training.scale.connection import connected, meaning_of
from training.scale.engine import Item, Result, Work
from training.scale.node import Order, compute_shard
from training.scale.shards import Shards, read_rows
from training.scale.software import software

SHARD = 256  # photos: two seconds of a core with the default backbone
SHARD_BYTES = 32_000_000  # of results, where 256 photos would have more
AHEAD = 4  # shards for each core that are in flight
RETRIES = 10  # of a shard whose process or node died; memory that ran out does not count


@dataclass(frozen=True)
class Cluster:
    """A running Ray cluster, and the folder for results that are not safe elsewhere yet."""

    address: str  # `auto`: the one that this machine is part of; or HOST:PORT
    folder: Path
    shard: int = SHARD  # photos, at most

    def map(self, work: Work[Item, Result], items: Mapping[int, Item]) -> Iterator[Result]:
        """Yield the results in the order of `items`; see `in_order`.

        Raises:
            ClusterError: the cluster cannot be reached or does not finish a shard, or a node has
                other software, or cannot read what this machine can.
            StorageError: the folder cannot be written.
        """
        if not items:
            return
        shards = Shards(self.folder, f"{software()} {work.identity}")
        size = max(1, min(self.shard, SHARD_BYTES // work.result_bytes))
        with connected(self.address) as ray, shards.opened():
            yield from _Run(ray, work, shards).results(_cut(items, size))


class _Flying(NamedTuple):
    """A shard in flight, or done by an earlier run."""

    items: list[Any]
    name: str  # of its file
    reference: Any  # of its result in the object store; None: the file was there


class _Run:
    """One work on a connected cluster."""

    def __init__(self, ray: Any, work: Work[Any, Any], shards: Shards):
        self.ray, self.work, self.shards = ray, work, shards
        self.task = ray.remote(compute_shard).options(num_cpus=1, max_retries=RETRIES)
        reference = ray.put(work.portable())
        self.order = Order(reference, software(), os.getcwd(), "", shards.mark)

    def results(self, cut: Iterator[list[Any]]) -> Iterator[Any]:
        """Yield all results in order; leave no file of them when the last one is taken.

        What is in flight at an error or Ctrl-C ends with the connection. Ray 2.60 aborts the whole
        process, now and then, where a task is cancelled that has just ended.
        """
        flying: deque[_Flying] = deque()
        done: list[str] = []
        for items in cut:
            flying.append(self._send(items))
            if len(flying) >= AHEAD * self._cores():
                yield from self._take(flying.popleft(), done)
        while flying:
            yield from self._take(flying.popleft(), done)
        for name in done:
            self.shards.forget(name)

    def _cores(self) -> int:
        """Count the cores that the cluster has now; nodes come and go."""
        return max(1, int(self.ray.cluster_resources().get("CPU", 1)))

    def _send(self, items: list[Any]) -> _Flying:
        """Give a shard to the cluster, if its file is not there from an earlier run."""
        name = self.shards.name(map(self.work.key, items))
        if (self.shards.folder / name).exists():
            return _Flying(items, name, None)
        return _Flying(items, name, self._start(items, name, self.shards.mark))

    def _start(self, items: list[Any], name: str, mark: str) -> Any:
        file = str(self.shards.folder / name)
        return self.task.remote(replace(self.order, file=file, mark=mark), items)

    def _take(self, shard: _Flying, done: list[str]) -> Iterator[Any]:
        """Wait for a shard and yield its results; its file goes once they are safe."""
        node, content = "", None
        if shard.reference is not None:
            node, content = self._wait(shard.items, shard.reference)
        held = self.shards.read(shard.name) if content is None else content
        rows = read_rows(held, len(shard.items)) if held is not None else None
        if rows is None:  # damaged, removed by another run, or not yet to be seen from here
            node, content = self._wait(shard.items, self._start(shard.items, shard.name, ""))
            rows = read_rows(content, len(shard.items)) if content is not None else None
        if rows is None:
            raise ClusterError(f"node {node} answered a shard with something that is none")
        fresh = bool(node)
        pairs = zip(shard.items, rows, strict=True)
        results = [self.work.result(item, row, fresh) for item, row in pairs]
        if content is not None:
            whole = not any(map(self.work.unread, results))
            results = list(self._read_here(shard.items, results, node))
            if whole and not self.work.kept_elsewhere:
                self.shards.write(shard.name, content)
        yield from results
        if self.work.kept_elsewhere:
            self.shards.forget(shard.name)
        else:
            done.append(shard.name)

    def _wait(self, items: list[Any], reference: Any) -> tuple[str, bytes | None]:
        """Wait for a shard. Raises ClusterError, with what to do where it cannot be computed."""
        errors = self.ray.exceptions
        try:
            answer: tuple[str, bytes | None] = self.ray.get(reference)
            return answer
        except errors.RayTaskError as error:
            raise meaning_of(error) from None
        except errors.RayError as error:
            first = str(error).strip().partition("\n")[0]
            raise ClusterError(
                f"the cluster gave up {len(items)} photos, {items[0]} and those after it, after "
                f"{RETRIES} tries again: {first}; what was computed is kept: run it again"
            ) from error

    def _read_here(self, items: list[Any], results: list[Any], node: str) -> Iterator[Any]:
        """Read again, on this machine, the photos that a node could not read.

        Raises:
            ClusterError: the node could read no photo of a shard, and this machine can.
        """
        none = all(map(self.work.unread, results))
        for item, result in zip(items, results, strict=True):
            if self.work.unread(result):
                again = self.work(item)
                if none and not self.work.unread(again):
                    raise ClusterError(
                        f"node {node} cannot read {item}, which this machine can: let every node "
                        "see the photos at the same path"
                    )
                yield again
            else:
                yield result


def _cut(items: Mapping[int, Item], size: int) -> Iterator[list[Item]]:
    """Cut photos into shards by their number: a photo that is missing moves no other."""
    for _, shard in groupby(items.items(), lambda entry: entry[0] // size):
        yield [item for _, item in shard]

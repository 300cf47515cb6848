"""What a node of the cluster does with one shard of photos: all of it, on one core.

A worker process unpickles the work once, with its compiled network, and keeps it for all later
shards. If the process or its node dies, Ray runs the shard again somewhere else.
"""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from models.errors import ClusterError
from training.scale.engine import Work
from training.scale.shards import write_aside, write_rows
from training.scale.software import software


@dataclass(frozen=True)
class Order:
    """What a node has to know, besides the photos of the shard."""

    work: Any  # its reference in the object store; inside another object, Ray leaves it one
    software: str  # of the driver
    folder: str  # where the driver works: paths may be relative to it
    file: str  # of the shard, as the driver sees it
    mark: str  # a file next to it; empty: return what the shard holds in any case


def compute_shard(order: Order, items: Sequence[Any]) -> tuple[str, bytes | None]:
    """Compute the results of some photos, as the content of a Parquet file.

    Returns:
        The node's name, and the content; None where the node has written the file itself, which
        it does if it sees the driver's folder and could read every photo.

    Raises:
        ClusterError: the node has other code or packages.
        LayerscopeError: as the work.
    """
    node = enter_node(order.software, order.folder)
    file = Path(order.file)
    shared = bool(order.mark) and (file.parent / order.mark).exists()
    if shared and file.exists():  # by an earlier try, whose answer was lost with its node
        return node, None
    work = _fetch(order.work)
    results = [work(item) for item in items]
    content = write_rows([work.row(result) for result in results])
    if shared and not any(map(work.unread, results)):
        with suppress(OSError):  # such as a full disk: the driver tries, and says so
            write_aside(file, content)
            return node, None
    return node, content


def enter_node(expected: str, folder: str) -> str:
    """Make this process one that works for a driver: where it does, and with the same software.

    Args:
        expected: software of the driver; folder: where it works. A node that has no such folder
            cannot read relative paths, and says so of the photos.

    Returns:
        The node's name.

    Raises:
        ClusterError: the node has other code or packages.
    """
    node = socket.gethostname()
    if (mine := software()) != expected:
        raise ClusterError(
            f"node {node} has {mine}; this machine has {expected}: install the same on every "
            "node, and start its Ray again"
        )
    with suppress(OSError):
        os.chdir(folder)
    return node


@lru_cache(maxsize=1)
def _fetch(reference: Any) -> Work[Any, Any]:
    """Get the work from the object store, once in a process for each reference."""
    import ray

    work: Work[Any, Any] = ray.get(reference)
    return work

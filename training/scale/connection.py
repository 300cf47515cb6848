"""Reach a Ray cluster and leave it, and say in our words what went wrong on one of its nodes."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.errors import ClusterError, LayerscopeError, SettingError

REACH_S = 5.0  # to reach the address
# Unless told not to, Ray reports its use to its makers, and hides GPUs from tasks without one.
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a Ray cluster, and leave it as it was. Raises SettingError, ClusterError."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise SettingError(
            "--engine ray needs Ray, which is not installed: pip install -r requirements-scale.txt"
        ) from error
    if ray.is_initialized():  # by a program that uses this one
        yield ray
        return
    _reach(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError) as error:
        first = str(error).strip().partition("\n")[0]
        raise ClusterError(
            f"no Ray cluster at --address {address}: {first}; start one with "
            "`ray start --head`, or give the HOST:PORT of one"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """See that something listens at HOST:PORT: Ray itself would try for a minute, then abort."""
    host, colon, port = address.rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host, int(port)), REACH_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ClusterError(f"no Ray cluster at --address {address}: {error}") from error


def meaning_of(error: Any) -> Exception:
    """Return what the error of a task or an actor means.

    It is what was raised there on purpose, or a ClusterError where a node cannot import the
    sources; else a bug, as it came.
    """
    cause = error.cause
    if isinstance(cause, LayerscopeError):
        return cause
    if isinstance(cause, ImportError) or "failed to import" in str(cause):
        return ClusterError(
            f"a node cannot import Layerscope ({cause}): every node needs the same sources at the "
            "same path, and the packages of requirements-scale.txt"
        )
    found: Exception = error
    return found

"""The workers that train together, as TF_CONFIG names them to each. No TensorFlow."""

import json
import os
from dataclasses import dataclass
from typing import Any

from models.errors import SettingError
from training.settings.config import FitConfig

VARIABLE = "TF_CONFIG"
EXAMPLE = (
    '{"cluster": {"worker": ["one:4000", "two:4000"]}, "task": {"type": "worker", "index": 0}}'
)
JOBS = ("chief", "worker")


@dataclass(frozen=True)
class Cluster:
    """Workers by address, the chief first, and which of them this process is."""

    addresses: tuple[str, ...]  # host:port
    rank: int

    def __str__(self) -> str:
        return f"worker {self.rank + 1} of {len(self.addresses)}"


def read_cluster() -> Cluster | None:
    """Read the cluster from the environment; None where TF_CONFIG names no second worker.

    Raises:
        SettingError: TF_CONFIG is not what TensorFlow defines, or has a task that trains nothing.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        known: dict[str, Any] = json.loads(text)
        jobs, task = known.get("cluster", {}), known.get("task", {})
        addresses = [str(address) for job in JOBS for address in jobs.get(job, [])]
        if len(addresses) <= 1:
            return None
        kind, index = task["type"], int(task["index"])
        if kind not in JOBS or not 0 <= index < len(jobs[kind]):
            raise ValueError(f"its task {kind} {index} is none of its cluster's {', '.join(JOBS)}")
        rank = index if kind == JOBS[0] else len(jobs.get(JOBS[0], [])) + index
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise SettingError(f"{VARIABLE}: {reason}; expected such as {EXAMPLE}") from error
    return Cluster(tuple(addresses), rank)


def refuse_unshared(cluster: Cluster, config: FitConfig) -> None:
    """Refuse settings that several workers cannot share. Raises SettingError."""
    among = f"the {len(cluster.addresses)} workers that {VARIABLE} names"
    if config.fine_tune == "no":
        raise SettingError(
            f"only fine-tuning is shared by {among}: use --fine-tune yes, or unset {VARIABLE}"
        )
    for name, given, instead in (
        ("--minutes", config.minutes is not None, "--views and --epochs"),
        ("--find-rate", config.find_rate, "--learning-rate"),
    ):
        if given:
            raise SettingError(f"{name} measures on one machine, not on {among}: use {instead}")

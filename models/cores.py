"""Count the cores this process may use: in a container, fewer than the machine has."""

import math
import os
from pathlib import Path

# Linux, cgroup v2: "QUOTA PERIOD" in microseconds, or "max".
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Count cores by affinity and by the container's quota, rounded up; at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    try:
        quota, period = CPU_MAX.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # not Linux, or no quota
        return cores

"""Requests a second of one instance and of several behind a proxy, until the cores are used.

    python -m benchmarks.instances BUNDLE [--haproxy PROGRAM] [--seconds 20] [--rounds 3]

Each instance is one worker that is kept on one core, as in a container with one. The proxy is
HAProxy with deploy/proxy/haproxy.cfg, its addresses replaced. Every arrangement is measured in
turns with the others. Clients and proxy share the cores with the instances here, so the seconds of
a core that each takes for a request are printed too: on machines of their own they take none.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.peers.load import ask_all, raw
from benchmarks.serving import free_port, make_photo, running, wait_until_ready
from models.cores import usable_cores

CONFIG = Path(__file__).parents[1] / "deploy/proxy/haproxy.cfg"
TICKS = os.sysconf("SC_CLK_TCK")  # of /proc, a second


class Arrangement(NamedTuple):
    """What is measured: how many instances, and whether a proxy stands in front."""

    instances: int
    proxy: bool

    def __str__(self) -> str:
        words = f"{self.instances} instance{'s' if self.instances > 1 else ''}"
        return f"{words}{' behind the proxy' if self.proxy else ''}"


class Figures(NamedTuple):
    """Of one run. Milliseconds of a core are those of one request."""

    per_second: float
    median_ms: float
    p99_ms: float
    service_ms: float
    proxy_ms: float
    clients_ms: float


def main() -> None:
    """Measure every arrangement in turns, and print the median of each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--haproxy", default="haproxy", help="The program.")
    parser.add_argument("--instances", type=int, default=usable_cores(), help="At most.")
    parser.add_argument("--clients", type=int, default=4, help="For each instance.")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    arrangements = [Arrangement(1, proxy=False)]
    arrangements += [Arrangement(count, proxy=True) for count in range(1, options.instances + 1)]
    request = raw("/predict", make_photo(), "image/jpeg")
    found: dict[Arrangement, list[Figures]] = {one: [] for one in arrangements}
    for _ in range(options.rounds):
        for one in arrangements:
            with arranged(one, options.bundle, options.haproxy) as (port, pids):
                clients = options.clients * one.instances
                ask_all(port, [request], clients, 2.0)  # warm
                found[one].append(measure(port, pids, request, clients, options.seconds))
    columns = ("requests/s", "median ms", "p99 ms", "service", "proxy", "clients")
    print(f"{'':<30}" + "".join(f"{name:>12}" for name in columns) + f"{'cores':>8}")
    for one, runs in found.items():
        row = Figures._make(statistics.median(run[at] for run in runs) for at in range(6))
        cores = row.per_second * (row.service_ms + row.proxy_ms + row.clients_ms) / 1000
        print(f"{one!s:<30}" + "".join(f"{number:>12.2f}" for number in row) + f"{cores:>8.2f}")
    print(f"service, proxy, clients: milliseconds of a core for a request; {usable_cores()} cores")


@contextmanager
def arranged(
    one: Arrangement, bundle: Path, haproxy: str
) -> Iterator[tuple[int, tuple[list[int], list[int]]]]:
    """Start instances and perhaps a proxy: the port to ask, processes of the one and the other."""
    cores = sorted(os.sched_getaffinity(0))
    ports = [free_port() for _ in range(one.instances)]
    with ExitStack() as opened, tempfile.TemporaryDirectory() as folder:
        parents = []
        for number, port in enumerate(ports):
            core = str(cores[number % len(cores)])
            service = [sys.executable, "-m", "service", str(bundle), "--workers", "1"]
            service += ["--port", str(port), "--no-access-log"]
            process = opened.enter_context(running(["taskset", "-c", core, *service]))
            wait_until_ready(process, port, make_photo())
            parents.append(process.pid)
        services = [pid for parent in parents for pid in (parent, *children(parent))]
        if not one.proxy:
            yield ports[0], (services, [])
            return
        port, config = free_port(), Path(folder) / "haproxy.cfg"
        config.write_text(addressed(CONFIG.read_text(encoding="utf-8"), port, ports))
        process = opened.enter_context(running([haproxy, "-f", str(config)]))
        wait_until_ready(process, port, make_photo())
        yield port, (services, [process.pid, *children(process.pid)])


def addressed(config: str, port: int, instances: Sequence[int]) -> str:
    """Put other addresses into the configuration of the proxy."""
    lines = [f"    server i{number} 127.0.0.1:{at}" for number, at in enumerate(instances)]
    config = re.sub(r"(?m)^    bind .*$", f"    bind 127.0.0.1:{port}", config)
    config = re.sub(r"(?m)^    server .*\n?", "", config)
    return "\n".join([config.rstrip(), *lines, ""])


def measure(
    port: int, pids: tuple[list[int], list[int]], request: bytes, clients: int, seconds: float
) -> Figures:
    """Ask for a while."""
    before = [cpu_s(some) for some in (*pids, [os.getpid()])]
    times = sorted(ask_all(port, [request], clients, seconds))
    after = [cpu_s(some) for some in (*pids, [os.getpid()])]
    used = [1000 * (new - old) / len(times) for new, old in zip(after, before, strict=True)]
    return Figures(
        len(times) / seconds,
        1000 * statistics.median(times),
        1000 * times[int(0.99 * len(times))],
        used[0],
        used[1],
        used[2],
    )


def cpu_s(pids: Sequence[int]) -> float:
    """Seconds of a core that processes have used."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / TICKS


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


if __name__ == "__main__":
    subprocess.run(["taskset", "-V"], check=True, stdout=subprocess.DEVNULL)  # util-linux has it
    main()

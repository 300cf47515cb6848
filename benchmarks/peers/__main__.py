"""Our service against peers that serve the same ONNX file, and against no server at all.

    python -m benchmarks.peers BUNDLE PHOTOS --environments DIR [--rounds 3] [--seconds 8]

In each round every service is started, timed until it answers, asked by 8 clients and by 1, and
stopped; so what else the machine does hits all alike. Each peer gets a virtual environment of
its own in DIR, made the first time. Each is tried with the numbers of workers in --workers and
shown with the one that answers most. PHOTOS is a folder of JPEGs at any depth.
"""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.peers.environments import make_environment
from benchmarks.peers.load import Refused, ask_all
from benchmarks.peers.loop import run_loop
from benchmarks.peers.services import PEERS, environment_of, ours
from benchmarks.serving import free_port
from models.cores import usable_cores

MANY, PHOTOS, READY_S = 8, 64, 120


@dataclass
class Row:
    """What was measured of one service with some workers, a number for each round."""

    rates: list[float] = field(default_factory=list)  # requests/s, 8 clients
    many: list[float] = field(default_factory=list)  # s each, 8 clients
    one: list[float] = field(default_factory=list)  # s each, 1 client
    memory: list[float] = field(default_factory=list)  # MiB of all its processes
    ready: list[float] = field(default_factory=list)  # s


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--environments", type=Path, required=True)
    parser.add_argument("--graph", default="predict.onnx", help="what peers and loop run")
    parser.add_argument("--ours", default="", help="more options for our service")
    parser.add_argument("--peers", nargs="*", default=[peer.name for peer in PEERS])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, usable_cores()])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    paths = sorted(p for p in options.photos.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    paths = paths[:: max(1, len(paths) // PHOTOS)][:PHOTOS]
    photos = [path.read_bytes() for path in paths]
    services = [ours(options.bundle, options.ours.split())]
    services += [peer for peer in PEERS if peer.name in options.peers]
    programs = {
        one.name: make_environment(options.environments / one.name, one.packages)
        for one in services
        if one.packages
    }
    rows: dict[tuple[str, int], Row] = defaultdict(Row)
    loop, alone = Row(), []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        times = run_loop(options.bundle, options.graph, paths, options.seconds, usable_cores())
        loop.rates.append(len(times) / options.seconds)
        loop.many += times
        alone += run_loop(options.bundle, options.graph, paths, options.seconds, 1)
        for service in services:
            for workers in options.workers:
                port = free_port()
                command = service.command(programs.get(service.name, Path()), port, workers)
                variables = environment_of(options.bundle, options.graph, workers)
                requests = [service.request(photo) for photo in photos]
                try:
                    row = rows[service.name, workers]
                    measure(command, variables, port, requests, options.seconds, row)
                except (Refused, OSError, TimeoutError) as error:
                    print(f"{service.name}, {workers} workers: {error}", file=sys.stderr)
    loop.one = alone
    show(loop, rows)


def measure(
    command: list[str], variables: dict[str, str], port: int, requests: Sequence[bytes],
    seconds: float, row: Row,
) -> None:  # fmt: skip
    """Start a service, ask it, and add what was found to `row`.

    Raises:
        Refused, OSError, TimeoutError: it does not answer as it should.
    """
    started = time.perf_counter()
    with running(command, variables) as process:
        while True:
            with contextlib.suppress(OSError, Refused):
                ask_all(port, requests[:1], 1, 0.001)
                break
            if process.poll() is not None or time.perf_counter() - started > READY_S:
                raise TimeoutError(f"not ready; it ended with {process.poll()}")
            time.sleep(0.02)
        ready = time.perf_counter() - started
        ask_all(port, requests, MANY, 2.0)  # all workers are up and warm
        many = ask_all(port, requests, MANY, seconds)
        one = ask_all(port, requests, 1, seconds)
        row.ready.append(ready)
        row.rates.append(len(many) / seconds)
        row.many += many
        row.one += one
        row.memory.append(memory_mib(process.pid))


@contextlib.contextmanager
def running(command: list[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A service in a session of its own, all of which is ended."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        command, env=variables, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def memory_mib(process: int) -> float:
    """Proportional MiB of a process and all below it: what they share counts once."""
    total = 0.0
    folder = Path(f"/proc/{process}")
    with contextlib.suppress(OSError):  # it has ended
        lines = (folder / "smaps_rollup").read_text().splitlines()
        total = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
        for thread in (folder / "task").iterdir():
            total += sum(map(memory_mib, map(int, (thread / "children").read_text().split())))
    return total


def show(loop: Row, rows: dict[tuple[str, int], Row]) -> None:
    """Print a table, ours first, each service with the workers that answer most."""
    best: dict[str, tuple[int, Row]] = {}
    for (name, workers), row in rows.items():
        if row.rates and (
            name not in best
            or statistics.median(row.rates) > statistics.median(best[name][1].rates)
        ):
            best[name] = workers, row
    columns = (
        "", "workers", "requests/s, 8 clients", "of the loop", "ours / it",
        "p50, p99 ms, 8 clients", "p50, p99 ms, 1 client", "MiB", "s to ready",
    )  # fmt: skip
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    bound = statistics.median(loop.rates)
    mine = statistics.median(best["ours"][1].rates) if "ours" in best else float("nan")
    print(f"| bare loop | | {bound:.0f} | | {mine / bound:.2f} | {_two(loop.many)} "
          f"| {_two(loop.one)} | | |")  # fmt: skip
    for name, (workers, row) in best.items():
        rate = statistics.median(row.rates)
        print(f"| {name} | {workers} | {rate:.0f} | {rate / bound:.0%} | {mine / rate:.2f} "
              f"| {_two(row.many)} | {_two(row.one)} | {statistics.median(row.memory):.0f} "
              f"| {statistics.median(row.ready):.1f} |")  # fmt: skip
    for (name, workers), row in rows.items():
        rounds = ", ".join(f"{rate:.0f}" for rate in row.rates)
        print(f"{name}, {workers} workers: {rounds} requests/s; 1 client {_two(row.one)} ms")


def _two(times: Sequence[float]) -> str:
    """The median and the 99th percentile in ms."""
    if not times:
        return "–"
    half, late = np.percentile(times, [50, 99]) * 1000
    return f"{half:.1f}, {late:.1f}"


if __name__ == "__main__":
    main()

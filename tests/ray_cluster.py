"""A real Ray cluster on this machine for tests: nodes of one core each, that can be killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.serving import ROOT

STORE_BYTES = 100_000_000  # of each node's objects in shared memory; Ray takes no less than 79 MB
START_S = 120
# A token that another cluster left in the home folder would otherwise be asked for by some
# processes of this one, and not be sent by others.
os.environ["RAY_AUTH_MODE"] = "disabled"
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_period_ms": "500",  # a node that was killed is missed after two seconds
    "RAY_health_check_failure_threshold": "3",
    "PYTHONPATH": str(ROOT),
}


class Node:
    """One node: `ray start --block` in a session of its own, which ends with it."""

    def __init__(self, folder: Path, options: list[str], before: tuple[str, ...] = ()):
        log = (folder / f"node-{time.monotonic_ns()}.log").open("wb")
        command = [*before, sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
        options = ["--num-cpus=1", f"--object-store-memory={STORE_BYTES}", *options]
        options += ["--disable-usage-stats", "--log-color=false"]
        with log:
            self.process = subprocess.Popen(
                command + options,
                env=os.environ | ENVIRONMENT,
                cwd=folder,  # not the sources: they are found by PYTHONPATH
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.log = Path(log.name)

    def processes(self) -> list[int]:
        """Every living process of the node: of its session, or descended from one of these."""
        own = self.process.pid
        parents = {pid: parent for pid, parent, state in _processes() if state not in "ZX"}
        family = {pid for pid in parents if pid == own or _session(pid) == own}
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        return sorted(family)

    def workers(self) -> list[int]:
        """The processes that compute shards."""
        return self.processes_called(b"compute_shard")

    def processes_called(self, name: bytes) -> list[int]:
        """The processes with this in their command line, which Ray sets to what they do."""
        return [pid for pid in self.processes() if name in _command(pid)]

    def kill(self) -> None:
        """Kill the whole node at once, as a power cut does."""
        while alive := self.processes():
            for pid in alive:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.poll()
            time.sleep(0.02)
        self.process.wait()


def _processes() -> Iterator[tuple[int, int, str]]:
    """Number, parent and state of every process of this machine."""
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
            yield int(place.name), int(parent), state


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class TestCluster:
    """A head, and nodes that join it."""

    __test__ = False

    def __init__(self, folder: Path):
        self.folder, self.nodes = folder, list[Node]()
        self.address = f"127.0.0.1:{free_port()}"

    def start(self, nodes: int = 2, before: tuple[str, ...] = ()) -> None:
        """Start the head if there is none, then further nodes, and wait until all are there."""
        host, _, port = self.address.partition(":")
        for _ in range(nodes):
            if not self.nodes:
                options = ["--head", f"--port={port}", "--include-dashboard=false"]
                options += [f"--temp-dir={self.folder}"]
            else:
                options = [f"--address={self.address}"]
            options.append(f"--node-ip-address={host}")
            options += [
                f"--{kind}-port={free_port()}" for kind in ("node-manager", "object-manager")
            ]
            options += ["--min-worker-port=0", "--max-worker-port=0"]
            self.nodes.append(Node(self.folder, options, before))
            self._wait(self.nodes[-1])

    def _wait(self, node: Node) -> None:
        until = time.monotonic() + START_S
        while b"Ray runtime started" not in node.log.read_bytes():
            ended = node.process.poll() is not None or time.monotonic() > until
            assert not ended, node.log.read_text()[-2000:]
            time.sleep(0.1)

    def stop(self) -> None:
        """Kill every node."""
        for node in reversed(self.nodes):
            node.kill()


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(folder: Path, nodes: int = 2) -> Iterator[TestCluster]:
    """A cluster of some nodes, all of it gone at the end. A short path: Ray's sockets lie there."""
    cluster = TestCluster(folder)
    try:
        cluster.start(nodes)
        yield cluster
    finally:
        cluster.stop()


def start_command(*words: object, place: Path) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "training", *map(str, words)],
        cwd=ROOT,
        env=os.environ | {"LAYERSCOPE_CACHE": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_command(*words: object, place: Path) -> tuple[str, str]:
    """What a command writes to standard output, and to standard error, once it has ended well."""
    process = start_command(*words, place=place)
    answer, said = process.communicate()
    assert process.returncode == 0, said
    return answer, said

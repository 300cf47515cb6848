"""One worker of ours against a plain Flask service that calls Keras, over real HTTP.

    python -m benchmarks.serving BUNDLE [--photo FILE] [--seconds 10]

Both serve the same network and get the same 400 px JPEG. Each is started, timed until it
answers, asked by 1 and by 8 clients on kept-open connections, and its memory is read.
"""

import argparse
import http.client
import io
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

CLIENTS = (1, 8)


@dataclass
class Figures:
    """What was measured of one service."""

    ready_s: float
    memory_mib: float
    per_second: dict[int, float]  # requests, by number of clients
    median_ms: dict[int, float]


def main() -> None:
    """Measure both and print a table with the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    photo = options.photo.read_bytes() if options.photo else make_photo()
    ours, plain = commands(options.bundle)
    one = measure(ours, photo, options.seconds)
    other = measure(plain, photo, options.seconds)
    rows = [
        ("requests/s, 8 clients", one.per_second[8], other.per_second[8], True),
        ("requests/s, 1 client", one.per_second[1], other.per_second[1], True),
        ("median ms, 1 client", one.median_ms[1], other.median_ms[1], False),
        ("median ms, 8 clients", one.median_ms[8], other.median_ms[8], False),
        ("memory MiB", one.memory_mib, other.memory_mib, False),
        ("seconds to ready", one.ready_s, other.ready_s, False),
    ]
    print(f"{'':<26}{'ours':>10}{'plain':>10}{'better by':>11}")
    for name, mine, theirs, more_is_better in rows:
        ratio = mine / theirs if more_is_better else theirs / mine
        print(f"{name:<26}{mine:>10.2f}{theirs:>10.2f}{ratio:>10.1f}x")


def commands(bundle: Path) -> tuple[list[str], list[str]]:
    """One worker of ours and of the plain service; `{port}` stands where the port goes."""
    app = f"benchmarks.plain_service:create_app({str(bundle)!r})"
    ours = ["service", str(bundle), "--workers", "1", "--port", "{port}"]
    plain = ["gunicorn", "-w", "1", "--threads", "4", app, "-b", "127.0.0.1:{port}"]
    return [sys.executable, "-m", *ours], [sys.executable, "-m", *plain]


def make_photo() -> bytes:
    """A 400 x 300 px JPEG with detail like a photo's: noise, smoothed."""
    noise = np.random.default_rng(0).integers(0, 255, (75, 100, 3), np.uint8)
    buffer = io.BytesIO()
    image = Image.fromarray(noise).resize((400, 300), Image.Resampling.BICUBIC)
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def measure(command: list[str], photo: bytes, seconds: float) -> Figures:
    """Start a service, ask it, read its memory, stop it."""
    port = free_port()
    started = time.perf_counter()
    with running([part.replace("{port}", str(port)) for part in command]) as process:
        wait_until_ready(process, port, photo)
        ready = time.perf_counter() - started
        ask(port, photo, 1, 1.0)  # warm
        runs = {clients: ask(port, photo, clients, seconds) for clients in CLIENTS}
        memory = _worker_memory(process.pid)
    return Figures(
        ready,
        memory,
        {clients: len(times) / seconds for clients, times in runs.items()},
        {clients: statistics.median(times) * 1000 for clients, times in runs.items()},
    )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_until_ready(process: subprocess.Popen, port: int, photo: bytes) -> None:
    """Ask until there is an answer; end the run if the service ended."""
    while not _answers(port, photo):
        if process.poll() is not None:
            sys.exit(f"the service ended with {process.returncode}")
        time.sleep(0.02)


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen]:
    """A process that is stopped at the end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def ask(
    port: int, photo: bytes, clients: int, seconds: float, path: str = "/predict"
) -> list[float]:
    """Seconds that each request took, of `clients` that ask without a pause."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.perf_counter() < end:
            before = time.perf_counter()
            connection.request("POST", path, photo, {"Content-Type": "image/jpeg"})
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                raise RuntimeError(f"{response.status}: {body[:200]!r}")
            times.append(time.perf_counter() - before)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def _answers(port: int, photo: bytes) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/predict", photo, {"Content-Type": "image/jpeg"})
        return connection.getresponse().status == 200
    except OSError:
        return False


def _worker_memory(parent: int) -> float:
    """Resident MiB of the one worker process."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    (worker,) = children
    pages = int(Path(f"/proc/{worker}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()

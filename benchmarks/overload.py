"""What honest clients and health get while others overload or attack the service.

    python -m benchmarks.overload BUNDLE [--seconds 30] [--requests 20000] [--checkout FOLDER]

Starts two workers and measures, one after the other: eight honest clients alone; ten times as
many clients as fill the service; lingering sockets, half-sent bodies, slow readers and silent
connections; and a long mix of good and bad requests. Health is asked twenty times a second
throughout. `--checkout` measures the service of another folder with the same clients.
"""

import argparse
import http.client
import io
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

from PIL import Image

from benchmarks import attackers
from benchmarks.attackers import Attack, Place, attack
from benchmarks.serving import free_port, make_photo, wait_until_ready

HONEST = 8
FULL = 24  # clients that keep two workers busy and make no one wait for long
ATTACKS: dict[str, tuple[Attack, int]] = {
    "200 lingering sockets": (attackers.lingering, 200),
    "200 half-sent bodies": (attackers.half_bodies, 200),
    "200 dripping headers": (attackers.dripping, 200),
    "40 slow readers": (attackers.slow_readers, 40),
    "1500 idle connections": (attackers.silent, 1500),
}


class Health:
    """A process that asks whether the service lives, twenty times a second, until it is stopped."""

    def __init__(self, port: int):
        self._mine, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.Process(target=_watch, args=(port, theirs), daemon=True)
        self._process.start()

    def result(self) -> str:
        """The longest wait, and how often there was no answer."""
        self._mine.send("stop")
        times, failures = self._mine.recv()
        self._process.join()
        return (
            f"health p99 {_p99(times):4.0f}, at most {max(times) * 1000:4.0f} ms, failed {failures}"
        )


def _watch(port: int, parent: Connection) -> None:
    """Ask on a new connection each time, as a watchdog does."""
    times, failures = [], 0
    while not parent.poll(0.05):
        started = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", "/v2/health/live")
            failures += connection.getresponse().status != 200
        except OSError:
            failures += 1
        connection.close()
        times.append(time.perf_counter() - started)
    parent.send((sorted(times), failures))


def main() -> None:
    """Measure everything and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--checkout", type=Path, default=Path.cwd())
    options = parser.parse_args()
    photo, port = make_photo(), free_port()
    command = [sys.executable, "-m", "service", str(options.bundle.resolve()), "--workers", "2"]
    with subprocess.Popen([*command, "--port", str(port)], cwd=options.checkout) as process:
        try:
            wait_until_ready(process, port, photo)
            measure_attacks(process.pid, port, photo, options.seconds)
            measure_overload(process.pid, port, photo, options.seconds)
            measure_mix(process.pid, port, photo, options.requests)
            measure_fuzz(process.pid, port, options.requests // 4)
        finally:
            process.terminate()


def measure_attacks(pid: int, port: int, photo: bytes, seconds: float) -> None:
    """Eight honest clients alone, then next to each attack."""
    ask(port, photo, HONEST, 2.0)  # warm
    before = workers(pid)
    alone = report(f"{HONEST} honest clients alone", port, photo, HONEST, seconds)
    for name, (kind, count) in ATTACKS.items():
        with Attackers(kind, count, port, seconds + 1):
            rate = report(name, port, photo, HONEST, seconds)
        print(f"{'':<26}{rate / alone:.2f} of the rate alone; workers kept: "
              f"{workers(pid) == before}", flush=True)  # fmt: skip
        time.sleep(1)


def measure_overload(pid: int, port: int, photo: bytes, seconds: float) -> None:
    """Full, ten times as much, and how soon it is normal again."""
    report(f"full: {FULL} clients", port, photo, FULL, seconds)
    memory = resident_mib(pid)
    report(f"overload: {10 * FULL} clients", port, photo, 10 * FULL, 2 * seconds)
    print(f"{'':<26}memory {memory:.0f} -> {resident_mib(pid):.0f} MiB")
    report("right after it", port, photo, HONEST, 5)


def measure_mix(pid: int, port: int, photo: bytes, count: int) -> None:
    """Good and bad requests in quarters: memory, threads and descriptors after each."""
    rng = random.Random(0)
    for quarter in range(5):
        if quarter:
            statuses = mixed(port, photo, count // 4, rng)
            print(f"quarter {quarter}: {dict(sorted(statuses.items()))}")
        time.sleep(1.5)
        threads, descriptors = threads_and_descriptors(pid)
        print(f"{'':<26}{resident_mib(pid):.1f} MiB, {threads} threads, "
              f"{descriptors} descriptors", flush=True)  # fmt: skip


def measure_fuzz(pid: int, port: int, count: int) -> None:
    """Mutated photos of five formats: what they are answered, the longest, and the memory."""
    rng, longest, statuses = random.Random(0), 0.0, Counter[int]()
    image = Image.open(io.BytesIO(make_photo()))
    kinds = ["JPEG", "PNG", "WEBP", "GIF", "BMP"]
    photos = []
    for kind in kinds:
        buffer = io.BytesIO()
        image.save(buffer, kind)
        photos.append(buffer.getvalue())
    memory = resident_mib(pid)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for number in range(count):
        broken = bytearray(photos[number % len(kinds)])
        for _ in range(rng.choice([1, 5, 50])):
            broken[rng.randrange(min(len(broken), rng.choice([64, 1 << 20])))] = rng.randrange(256)
        before = time.perf_counter()
        connection.request(
            "POST", "/predict", bytes(broken[: rng.choice([None, len(broken) // 2])])
        )
        response = connection.getresponse()
        response.read()
        statuses[response.status] += 1
        longest = max(longest, time.perf_counter() - before)
    print(f"{count} mutated photos: {dict(sorted(statuses.items()))}, longest {longest:.2f} s, "
          f"memory {memory:.0f} -> {resident_mib(pid):.0f} MiB")  # fmt: skip


class Attackers:
    """A process of attackers, ended at the end."""

    def __init__(self, kind: Attack, count: int, port: int, seconds: float):
        place: Place = ("127.0.0.1", port)
        self._process = multiprocessing.Process(target=attack, args=(kind, place, seconds, count))

    def __enter__(self) -> None:
        self._process.start()
        time.sleep(1)

    def __exit__(self, *_: object) -> None:
        self._process.join(10)
        self._process.kill()


def report(name: str, port: int, photo: bytes, clients: int, seconds: float) -> float:
    """Ask for a while, print what came; the accepted requests a second."""
    health = Health(port)
    answers = ask(port, photo, clients, seconds)
    taken = sorted(took for status, took in answers if status == 200)
    refused = sorted(took for status, took in answers if status != 200)
    statuses = Counter(status for status, _ in answers)
    line = f"{name:<26}{len(taken) / seconds:6.1f} accepted/s"
    if taken:
        line += f", median {statistics.median(taken) * 1000:5.0f} ms, p99 {_p99(taken):5.0f} ms"
    if refused:
        line += f"; refused {len(refused) / seconds:.0f}/s, p99 {_p99(refused):.0f} ms"
    print(f"{line}; {health.result()}; {dict(sorted(statuses.items()))}", flush=True)
    return len(taken) / seconds


def ask(port: int, photo: bytes, clients: int, seconds: float) -> list[tuple[int, float]]:
    """Status and seconds of every request; who is told to come back does after that time."""
    answers: list[tuple[int, float]] = []
    end = time.perf_counter() + seconds

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while time.perf_counter() < end:
            before = time.perf_counter()
            wait = 0.0
            try:
                connection.request("POST", "/predict", photo, {"Content-Type": "image/jpeg"})
                response = connection.getresponse()
                response.read()
                status = response.status
                wait = float(response.headers.get("Retry-After", 0))
            except OSError:
                status = 0
                connection.close()
                wait = 0.1
            answers.append((status, time.perf_counter() - before))
            time.sleep(min(wait * random.uniform(0.8, 1.2), max(0, end - time.perf_counter())))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def mixed(port: int, photo: bytes, count: int, rng: random.Random) -> Counter[int]:
    """A third hostile: broken photos, wrong routes, broken HTTP, half bodies."""
    statuses: Counter[int] = Counter()
    for _ in range(count):
        kind = rng.random()
        method, path, body = "POST", "/predict", photo
        if kind < 0.1:
            broken = bytearray(photo)
            for _ in range(20):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
            body = bytes(broken)
        elif kind < 0.2:
            path = rng.choice(["//x", "/predict/%00", "/models/../../etc/passwd", "/" + "a" * 3000])
        elif kind < 0.27:
            method, path, body = rng.choice(["GET", "PUT", "OPTIONS", "HEAD"]), "/predict", b""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            if 0.27 <= kind < 0.33:
                connection.connect()
                connection.sock.sendall(attackers.HALF if kind < 0.3 else b"\0\1 no HTTP\r\n\r\n")
                connection.close()
                continue
            connection.request(method, path, body)
            response = connection.getresponse()
            response.read()
            statuses[response.status] += 1
        except (OSError, http.client.HTTPException):
            statuses[0] += 1
        connection.close()
    return statuses


def workers(pid: int) -> list[int]:
    """The processes below the service's own."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident_mib(pid: int) -> float:
    """Resident memory of all workers."""
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in workers(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def threads_and_descriptors(pid: int) -> tuple[int, int]:
    """Of all workers together."""
    found = [Path(f"/proc/{one}") for one in workers(pid)]
    threads = sum(len(list((one / "task").iterdir())) for one in found)
    return threads, sum(len(list((one / "fd").iterdir())) for one in found)


def _p99(times: list[float]) -> float:
    return times[min(len(times) - 1, int(len(times) * 0.99))] * 1000


if __name__ == "__main__":
    main()

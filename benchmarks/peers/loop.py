"""Decode and infer without a server, one process a core: the most that a service could answer.

python -m benchmarks.peers.loop BUNDLE GRAPH SECONDS PHOTO ...     prints seconds a photo, JSON
"""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from PIL import Image


def run_loop(
    bundle: Path, graph: str, photos: Sequence[Path], seconds: float, processes: int
) -> list[float]:
    """Seconds that each photo took, of `processes` at the same time."""
    command = [sys.executable, "-m", "benchmarks.peers.loop", str(bundle), graph, str(seconds)]
    children = [
        subprocess.Popen([*command, *map(str, photos)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]  # fmt: skip
    for child in children:  # all have loaded before one begins
        assert child.stdout is not None
        child.stdout.readline()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    return [one for child in children for one in json.loads(child.communicate()[0])]


def main() -> None:
    """Wait for a line, then answer photos until the time is over."""
    bundle, graph, seconds, *paths = sys.argv[1:]
    os.environ |= {"PEER_BUNDLE": bundle, "PEER_GRAPH": graph}
    from benchmarks.peers.apps.network import Network

    network = Network()
    photos = [Path(path).read_bytes() for path in paths]
    for photo in photos[:10]:
        network.answer(Image.open(io.BytesIO(photo)))
    print("ready", flush=True)
    sys.stdin.readline()
    times: list[float] = []
    end = time.perf_counter() + float(seconds)
    while time.perf_counter() < end:
        photo = photos[len(times) % len(photos)]
        before = time.perf_counter()
        network.answer(Image.open(io.BytesIO(photo)))
        times.append(time.perf_counter() - before)
    print(json.dumps(times))


if __name__ == "__main__":
    main()

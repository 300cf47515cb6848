"""Where the time of one request goes: the layers of the service, run one upon the other.

    python -m benchmarks.stages BUNDLE PHOTOS [--rounds 5]

Nothing is instrumented: each layer is run by itself together with all below it, in turns, and a
stage is the difference between two of them. Times are milliseconds of a core a photo, which
other work on the machine hardly changes, and of the wall. PHOTOS is a folder of JPEGs.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from flask import Flask

from benchmarks.peers.load import ask_all, form, raw
from benchmarks.serving import commands, free_port, running, wait_until_ready
from models.classifier import Classifier
from service.app import create_app
from service.network.connection import CONNECTION
from service.network.environ import Scope, make_environ, put_body, run_wsgi
from service.network.front import Front
from service.network.readable import Phase

PHOTOS = 32
Layer = Callable[[Sequence[bytes]], None]


def main() -> None:
    """Measure each layer in turns and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    paths = sorted(p for p in options.photos.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
    photos = [path.read_bytes() for path in paths[:: max(1, len(paths) // PHOTOS)][:PHOTOS]]
    layers = layers_of(options.bundle)
    port = free_port()
    ours = [part.replace("{port}", str(port)) for part in commands(options.bundle)[0]]
    taken: dict[str, list[tuple[float, float]]] = defaultdict(list)
    threads: dict[str, list[float]] = defaultdict(list)
    with running(ours) as process:
        wait_until_ready(process, port, photos[0])
        worker = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        for number in range(options.rounds + 1):
            found = {name: _time(layer, photos) for name, layer in layers.items()}
            for name, request in (("server, raw body", raw_photo), ("server, form", form_photo)):
                before = cpu_s(worker)
                times = ask_all(port, [request(photo) for photo in photos], 1, 1.0)
                spent = {one: s - before.get(one, 0) for one, s in cpu_s(worker).items()}
                found[name] = sum(spent.values()) / len(times), sum(times) / len(times)
                for one, seconds in spent.items() if number else ():
                    threads[one].append(seconds / len(times))
            for name, pair in found.items() if number else ():  # the first one warms
                taken[name].append(pair)
    show(taken)
    print(", ".join(f"{one} {1000 * statistics.median(s):.2f}" for one, s in threads.items()))


def layers_of(bundle: Path) -> dict[str, Layer]:
    """Every layer with all below it, from the decoder to the front of the event loop."""
    app = create_app([bundle])
    classifier: Classifier = app.extensions["shelf"]().find(None)
    front = Front(app)

    def decode(photo: bytes) -> None:
        classifier.decode(photo)

    def read(photo: bytes) -> None:
        classifier.read(classifier.decode(photo))

    def describe(photo: bytes) -> None:
        json.dumps(classifier.describe(classifier.read(classifier.decode(photo)), 5))

    def flask(photo: bytes) -> None:
        _ask_flask(app, photo)

    async def event_loop(photos: Sequence[bytes]) -> None:
        for photo in photos:
            await _ask_front(front, photo)

    def all_of(one: Callable[[bytes], None]) -> Layer:
        def each(photos: Sequence[bytes]) -> None:
            for photo in photos:
                one(photo)

        return each

    return {
        "decode": all_of(decode),
        "+ network": all_of(read),
        "+ classes, JSON": all_of(describe),
        "+ Flask": all_of(flask),
        "+ hand-over to a thread": lambda photos: asyncio.run(event_loop(photos)),
    }


def scope_of(photo: bytes) -> Scope:
    """What gunicorn's parser makes of a request."""
    length = str(len(photo)).encode()
    return {
        "client": ("127.0.0.1", 1), "server": ("localhost", 80), "method": "POST",
        "raw_path": b"/predict", "query_string": b"", "http_version": "1.1", "scheme": "http",
        "headers": [(b"host", b"localhost"), (b"content-type", b"image/jpeg"),
                    (b"content-length", length)],
    }  # fmt: skip


def _ask_flask(app: Flask, photo: bytes) -> None:
    environ = make_environ(scope_of(photo))
    put_body(environ, photo)
    status, _, body = run_wsgi(app.wsgi_app, environ)
    assert status == 200, body


class _Worker:
    """The worker of a connection without a socket."""

    stopping = False


class _Connection:
    """A connection without a socket."""

    worker = _Worker()

    phase = Phase.ANSWERING
    ended = False
    held = 0

    def enter(self, phase: Phase) -> None:
        self.phase = phase

    def hold(self, size_bytes: int) -> None:
        self.held += size_bytes

    def release(self) -> None:
        self.held = 0


def _ask_front(front: Front, photo: bytes) -> Awaitable[None]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": photo, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 200) == 200, message

    return front({**scope_of(photo), CONNECTION: _Connection()}, receive, send)


def raw_photo(photo: bytes) -> bytes:
    """A photo as the whole body."""
    return raw("/predict", photo, "image/jpeg")


def form_photo(photo: bytes) -> bytes:
    """A photo as a field of a form."""
    return form("/predict", photo)


def _time(layer: Layer, photos: Sequence[bytes]) -> tuple[float, float]:
    """Seconds a photo: of a core, by all threads; and of the wall."""
    cpu, wall = time.process_time(), time.perf_counter()
    layer(photos)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu / len(photos), wall / len(photos)


def cpu_s(process: int) -> dict[str, float]:
    """Seconds of a core that the living threads of a process have taken: event loop, others."""
    found = {"event loop": 0.0, "threads": 0.0}
    for one in Path(f"/proc/{process}/task").iterdir():
        kind = "event loop" if int(one.name) == process else "threads"
        found[kind] += int((one / "schedstat").read_text().split()[0]) / 1e9
    return found


def show(taken: dict[str, list[tuple[float, float]]]) -> None:
    """Print medians over rounds, and what each layer adds to the one before."""
    print("| up to | ms of a core | adds | ms on the clock |\n|---|---|---|---|")
    before: list[float] = []
    for name, pairs in taken.items():
        cpu, wall = ([1000 * pair[place] for pair in pairs] for place in (0, 1))
        added = [now - then for now, then in zip(cpu, before or [0.0] * len(cpu), strict=True)]
        print(f"| {name} | {statistics.median(cpu):.2f} | {statistics.median(added):+.2f} "
              f"| {statistics.median(wall):.2f} |")  # fmt: skip
        before = cpu


if __name__ == "__main__":
    main()

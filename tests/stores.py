"""A store for tests: moto's S3 server on loopback, which can lose photos and fail requests."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from training.places.address import Url, as_place
from training.places.system import open_store

SECRET = "not/for+anybodys-eyes-0123456789"
KEY_ID = "AKIAFORTESTSONLY1234"
App = Callable[[WSGIEnvironment, StartResponse], Any]


class Faulty:
    """A server of photos that counts requests, fails some, and may lose an object meanwhile."""

    def __init__(self, app: App):
        self.app, self.requests = app, 0
        self.asked: list[tuple[str, str]] = []  # method and path, with the query
        self.fail_every = 0  # of how many requests one fails; 0: none
        self.gone: set[str] = set()  # ends of paths that are answered with 404
        self._lock = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Any:
        with self._lock:
            self.requests += 1
            number, path = self.requests, environ["PATH_INFO"]
            query = environ.get("QUERY_STRING", "")
            self.asked.append((environ["REQUEST_METHOD"], f"{path}?{query}"))
        if self.fail_every and number % self.fail_every == 0:
            status = ("500 Internal Server Error", "503 Slow Down")[number // self.fail_every % 2]
            start(status, [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code></Error>"]
        if any(path.endswith(name) for name in self.gone):
            start("404 Not Found", [("Content-Type", "application/xml")])
            return [b"<Error><Code>NoSuchKey</Code></Error>"]
        return self.app(environ, start)

    def count(self, method: str, part: str = "") -> int:
        """How many requests of a method came for paths with `part`."""
        return sum(m == method and part in path for m, path in self.asked)


@contextmanager
def serving_s3(patch: pytest.MonkeyPatch) -> Iterator[Faulty]:
    """Serve the bucket `photos`; the environment leads there, with credentials."""
    pytest.importorskip("obstore", reason="needs requirements-scale.txt")
    pytest.importorskip("moto", reason="needs requirements-moto.txt")
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Silent(WSGIRequestHandler):
        def log(self, *args: Any) -> None:
            """Write no line for each request."""

    app = Faulty(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
    patch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    patch.setenv("AWS_REGION", "us-east-1")
    patch.setattr("training.places.system.WAITS_S", (0.01, 0.01, 0.01))
    open_store.cache_clear()
    try:
        _ask(f"http://127.0.0.1:{server.port}/moto-api/reset", "POST")
        _ask(f"http://127.0.0.1:{server.port}/photos", "PUT")
        app.asked.clear()
        yield app
    finally:
        open_store.cache_clear()
        server.shutdown()
        server.server_close()


def _ask(address: str, method: str) -> None:
    """Ask the server for what clients of photos never do."""
    with urlopen(Request(address, method=method, data=b"")) as answer:
        assert answer.status == 200


def at(address: str) -> Url:
    """Make a place of an address."""
    place = as_place(address)
    assert isinstance(place, Url)
    return place


def upload(folder: Path, address: str) -> Url:
    """Copy the files of a folder to an address."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            put(f"{address}/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return at(address)


def put(address: str, content: bytes) -> Url:
    """Write an object."""
    place = at(address)
    open_store(place.scheme, place.parts[1]).write(place.key, content)
    return place

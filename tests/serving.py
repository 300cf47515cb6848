"""A real server for tests: `python -m service` in a process of its own."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
WAIT_S = 60  # for a server to start or a worker to come back; seconds on a busy machine


class Server:
    """A running server and how to ask it."""

    process: subprocess.Popen[bytes]

    def __init__(self, port: int, process: subprocess.Popen[bytes] | None = None):
        self.port = port
        if process:
            self.process = process

    def ask(
        self, path: str, data: bytes | None = None, accept_json: bool = False
    ) -> tuple[int, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data)
        request.add_header("Content-Type", "application/octet-stream")
        if accept_json:
            request.add_header("Accept", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def raw(self, content: bytes) -> bytes:
        """Send bytes as they are; what comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
            return b"".join(parts)

    def connect(self, content: bytes = b"", buffer: int | None = None) -> socket.socket:
        """A connection on which `content` was sent; `buffer`: bytes that it takes unread."""
        connection = socket.socket()
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        connection.settimeout(30)
        try:
            connection.connect(("127.0.0.1", self.port))
            connection.sendall(content)
        except OSError:
            connection.close()
            raise
        return connection

    def workers(self) -> list[int]:
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in found.split() if not _is_trial(pid)]

    def wait_until_ready(self, workers: int = 1) -> None:
        """Wait until the server answers and has started all its workers, one after the other."""
        limit = time.monotonic() + WAIT_S
        while True:
            try:
                if self.ask("/v2/health/ready")[0] == 200 and len(self.workers()) >= workers:
                    return
            except OSError:
                pass
            assert self.process.poll() is None, "the server ended before it was ready"
            assert time.monotonic() < limit, "the server is not ready"
            time.sleep(0.05)


def post_head(path: str, length: int, *headers: str) -> bytes:
    """The head of a request that posts `length` bytes."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {length}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One answer from a connection: status, headers, body. Status 0: closed without one.

    Nothing behind it is taken: the next answer may be there, too.
    """
    with connection.makefile("rb", buffering=0) as file:
        first = file.readline()
        if not first:
            return 0, {}, b""
        headers = {}
        while (line := file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body, size = b"", int(headers.get("content-length", 0))
        while len(body) < size and (part := file.read(size - len(body))):
            body += part
        return int(first.split()[1]), headers, body


def memory_kb(server: Server, name: str) -> int:
    """Memory of the first worker; `name`: VmRSS for now, VmHWM for the most until now."""
    status = Path(f"/proc/{server.workers()[0]}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name))


@contextmanager
def serving(
    *bundles: Path, workers: int = 2, options: tuple[str, ...] = (), **popen: Any
) -> Iterator[Server]:
    """A server for `bundles`, stopped at the end; a stop that is not clean fails the test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "service", *bundles, "--port", port, "--workers", workers]
    command += options
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, **popen)
    server = Server(port, process)
    try:
        server.wait_until_ready(workers)
        yield server
    finally:
        process.terminate()
        assert process.wait(WAIT_S) == 0  # a clean stop


def _is_trial(pid: str) -> bool:
    """Whether a child puts a bundle to the test, or has just ended: it is no worker then."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return not words or b"models.trial" in words
    except OSError:
        return True

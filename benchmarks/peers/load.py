"""Clients on kept-open connections that cost the machine little: whole requests, made before.

`http.client` takes about half a millisecond of a core a request, on the very cores that are
measured; a socket that sends bytes and looks for one header takes a tenth of that.
"""

import socket
import threading
import time
from collections.abc import Sequence


class Refused(Exception):
    """An answer that is no 200; the message is its beginning."""


def ask_all(port: int, requests: Sequence[bytes], clients: int, seconds: float) -> list[float]:
    """Seconds each request took, of `clients` that ask in turns without a pause, once or more.

    Raises:
        Refused, OSError: the first thing that went wrong for one of them.
    """
    times: list[float] = []
    failed: list[BaseException] = []
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while not failed:
                    before = time.perf_counter()
                    ask(connection, requests[number % len(requests)])
                    times.append(time.perf_counter() - before)
                    number += clients
                    if time.perf_counter() >= end:
                        break
        except (Refused, OSError) as error:
            failed.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return times


def ask(connection: socket.socket, request: bytes) -> bytes:
    """Send a request and read the whole answer. Raises Refused, OSError."""
    connection.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _some(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head[:20]:
        raise Refused((head + b" " + body)[:300].decode("latin-1"))
    lines = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    if b"content-length" in lines:
        while len(body) < int(lines[b"content-length"]):
            body += _some(connection)
    else:  # in chunks
        while not body.endswith(b"0\r\n\r\n"):
            body += _some(connection)
    return body


def _some(connection: socket.socket) -> bytes:
    part = connection.recv(65536)
    if not part:
        raise ConnectionResetError("the service closed the connection")
    return part


def raw(path: str, content: bytes, kind: str) -> bytes:
    """A request with `content` as its body."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def form(path: str, photo: bytes) -> bytes:
    """A request with a photo as the field `image` of a form."""
    part = b'Content-Disposition: form-data; name="image"; filename="photo.jpg"\r\n'
    body = b"--edge\r\n" + part + b"Content-Type: image/jpeg\r\n\r\n" + photo + b"\r\n--edge--\r\n"
    return raw(path, body, "multipart/form-data; boundary=edge")

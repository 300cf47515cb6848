"""A request in the event loop's form (ASGI) -> the environment that Flask wants (WSGI)."""

import io
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from models.terms import SENT_BYTES
from service.errors import BadRequestBody

# Nothing is upgraded to, and Werkzeug would look for a route of WebSocket. Whoever kept an answer
# asks by its ETag: dates, of which Python cannot hold some, and parts of a file are only more ways
# to be wrong, and may be passed over (RFC 9110, 13.2.1 and 14.2).
PASSED_OVER = {
    f"HTTP_{name}"
    for name in ("UPGRADE", "IF_MODIFIED_SINCE", "IF_UNMODIFIED_SINCE", "IF_RANGE", "RANGE")
}
# A list of what the client would like may be passed over, too (RFC 9110, 12.5.1 and 13.1.2); each
# of its items costs more than it is worth.
LISTS = ("HTTP_ACCEPT", "HTTP_IF_NONE_MATCH")
LIST_CHARACTERS = 1_000
Scope = dict[str, Any]
Headers = list[tuple[str, str]]


def make_environ(scope: Scope) -> dict[str, Any]:
    """The WSGI environment of a request, its body still empty.

    SCRIPT_NAME is always empty: no header can move the application to another path.
    """
    client = scope["client"] or ("", 0)
    server = scope["server"] or ("localhost", 80)
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": str(server[0]),
        "SERVER_PORT": str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": str(client[0]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(),
        "wsgi.input_terminated": True,  # it ends where the body ends, whatever the length says
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        if key in PASSED_OVER:
            continue
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    for key in LISTS:
        if len(environ.get(key, "")) > LIST_CHARACTERS:
            del environ[key]
    return environ


def put_body(environ: dict[str, Any], body: bytes) -> None:
    """Give a request its whole body."""
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)


Answer = tuple[int, Headers, bytes]


def start_message(status: int, headers: Headers) -> dict[str, Any]:
    """The status and the headers of an answer, in the event loop's form."""
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": encoded}


def run_wsgi(
    application: Any, environ: dict[str, Any], put: Callable[[Any], bool] | None = None
) -> Answer:
    """Call a WSGI application; its status, headers and whole answer.

    Args:
        put: takes an answer that has no length in pieces, as they are made: first its status and
            headers, then bytes. False: they are no longer wanted.

    Raises:
        BadRequestBody: a whole answer is larger than one may be.
    """
    started: list[tuple[int, Headers]] = []

    def start_response(status: str, headers: Headers, failed: Any = None) -> None:
        started[:] = [(int(status.split(" ", 1)[0]), headers)]

    parts: Iterable[bytes] = application(environ, start_response)
    body = b""
    try:
        if put is None or any(name.lower() == "content-length" for name, _ in started[0][1]):
            body = b"".join(parts)
        elif put(started[0]):
            for part in parts:
                if not put(part):
                    break
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    if len(body) > SENT_BYTES:
        raise BadRequestBody(
            f"the answer has {len(body):,} bytes; the limit is {SENT_BYTES:,}: ask for less"
        )
    status, headers = started[0]
    return status, headers, body

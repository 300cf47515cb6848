"""Which errors may come in place of an answer: their statuses and codes, from service/errors.py."""

from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from service.errors import CODES, STATUS, speaks_protocol
from service.incoming.guard import OPEN
from service.settings import Settings
from service.shelf import NoModel

# Before a request has arrived whole: what is not said by an error of its own.
_EARLY = {408: "request_timeout", 414: "bad_request", 431: "bad_request"}
_RETRY = {"Retry-After": ("Seconds until it may be tried again.", "integer")}
_HEADERS = {
    401: {"WWW-Authenticate": ("Makes a browser ask its user for a key.", "string")},
    405: {"Allow": ("The methods that are answered.", "string")},
    429: _RETRY,
    503: _RETRY,
}
MIXED = (400, 503)  # of a protocol: may also come before its address is known


def codes_by_status() -> dict[int, set[str]]:
    """The codes that answers of each status may have."""
    found = defaultdict[int, set[str]](set)
    for kind, status in STATUS.items():
        found[status].add(kind.code)
    for status, code in (CODES | _EARLY).items():
        found[status].add(code)
    found[503] |= {"internal", NoModel.code}
    found[416].add("bad_request")
    return found


def responses() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every error as a response, by the name that operations refer to it by."""
    for status, codes in codes_by_status().items():
        listed = ", ".join(f"`{code}`" for code in sorted(codes))
        text = f"{HTTPStatus(status).phrase}: {listed}."
        headers = {
            name: {"description": means, "schema": {"type": kind}}
            for name, (means, kind) in _HEADERS.get(status, {}).items()
        }
        for protocol in (False, True):
            content = {"application/json": {"schema": _schema(status, protocol)}}
            response = {"description": text, "headers": headers, "content": content}
            yield name_of(status, protocol), response


def name_of(status: int, protocol: bool) -> str:
    """The name of an error's response."""
    return f"{'protocol_' * protocol}error_{status}"


def _schema(status: int, protocol: bool) -> Any:
    ours = {"$ref": "#/components/schemas/ErrorAnswer"}
    theirs = {"$ref": "#/components/schemas/ProtocolError"}
    if not protocol or status in _EARLY:
        return ours
    return {"anyOf": [ours, theirs]} if status in MIXED else theirs


def statuses(path: str, method: str, names: bool, settings: Settings) -> list[int]:
    """The errors that an address may answer.

    Args:
        names: whether something is asked for by a name, which may be unknown.
    """
    found = {400, 405, 408, 413, 414, 431, 503}
    if names:
        found.add(404)
    if settings.api_keys is not None and not path.startswith(OPEN):
        found.add(401)
    if method == "post":
        found |= {403, 415, 422}
        if settings.rate_limit is not None:
            found.add(429)
    return sorted(found)


def is_protocol(path: str) -> bool:
    """Whether errors below an address have the shape of the two protocols."""
    return speaks_protocol({"PATH_INFO": path})

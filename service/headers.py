"""The headers of every answer: an id, what a browser may do with it, who may read it."""

import json
import re
import secrets
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from service.errors import REQUEST_ID, RETRY_S
from service.settings import Settings

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
VERSION = "X-Model-Version"  # of pictures, and where a protocol has no field for it
BINARY = "Inference-Header-Content-Length"  # where the JSON of a body with binary data ends
EXPOSED = f"X-Request-ID, {VERSION}, Retry-After, {BINARY}"
ALLOWED = f"Accept, Authorization, Content-Type, X-API-Key, {BINARY}"
PREFLIGHT_S = 600  # that a browser may remember what it is allowed

# What an answer that is no page needs: it is never shown, framed, or run as one.
SECURITY = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
]


def new_request_id(environ: dict[str, Any]) -> str:
    """The id that a proxy gave the request, if it is a plain word, or a new one."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _ID.fullmatch(given) else secrets.token_hex(8)


def common_headers(environ: dict[str, Any], settings: Settings) -> list[tuple[str, str]]:
    """The headers that every answer to this request has, unless its route sets its own."""
    headers = [*SECURITY, ("X-Request-ID", environ[REQUEST_ID])]
    headers.append(("Date", formatdate(usegmt=True)))  # gunicorn keeps the latest
    if not settings.allow_origins:
        return headers
    headers.append(("Vary", "Origin"))
    origin = environ.get("HTTP_ORIGIN")
    if origin in settings.allow_origins:
        headers += [
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Expose-Headers", EXPOSED),
        ]
        if environ["REQUEST_METHOD"] == "OPTIONS":
            headers += [
                ("Access-Control-Allow-Methods", "GET, POST"),
                ("Access-Control-Allow-Headers", ALLOWED),
                ("Access-Control-Max-Age", str(PREFLIGHT_S)),
            ]
    return headers


def answer_bytes(status: int, code: str, message: str, request_id: str) -> tuple[bytes, bytes]:
    """Head and body of an error where there is no request yet."""
    error = {"code": code, "message": message, "request_id": request_id}
    body = json.dumps({"error": error}).encode() + b"\n"
    headers = [
        ("Date", formatdate(usegmt=True)),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        *SECURITY,
        ("X-Request-ID", request_id),
        *([("Retry-After", str(RETRY_S))] if status == 503 else []),
        ("Connection", "close"),
    ]
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *map(": ".join, headers)]
    return "\r\n".join([*lines, "", ""]).encode(), body

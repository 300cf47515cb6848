"""Everything that goes wrong -> one shape of answer.

`{"error": {"code": "image_too_large", "message": "...", "request_id": "..."}}`, with a 4xx
status or 503. A bug is logged with its traceback and answered as 503 `internal`: the caller's
input is never answered with 500. What the log says of a request begins with the same id.

Below /v1 and /v2 the shape is `{"error": "..."}`: what the clients of TensorFlow Serving and
of the Open Inference Protocol show their users. The id is in the header X-Request-ID.
"""

import json
import logging
import re
from typing import Any

from flask import Flask, request
from werkzeug.exceptions import HTTPException

from models.errors import (
    BundleError,
    ImageEmpty,
    ImageTooLarge,
    ImageUnreadable,
    ImageUnsupported,
    LayerscopeError,
    SettingError,
    UnknownChannel,
    UnknownClass,
    UnknownLayer,
    UnknownModel,
    UnknownVersion,
)

log = logging.getLogger(__name__)
RETRY_S = 1  # after which a client that got 503 may ask again

STATUS: dict[type[LayerscopeError], int] = {
    ImageEmpty: 400,
    SettingError: 400,
    UnknownChannel: 404,
    UnknownClass: 404,
    UnknownLayer: 404,
    UnknownModel: 404,
    UnknownVersion: 404,
    ImageTooLarge: 413,
    ImageUnsupported: 415,
    ImageUnreadable: 422,
    BundleError: 503,
}
CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
}

Answer = tuple[dict[str, Any], int]
REQUEST_ID = "layerscope.request_id"  # in the WSGI environment
_PROTOCOLS = re.compile(r"/v1(/.*)?|/v2(/(?!health/).*)?", re.DOTALL)  # health has our shape


class BadUpload(LayerscopeError):
    """A request without a photo where one is needed."""

    code = "image_missing"


class BodyIncomplete(LayerscopeError):
    """A body that ends before its length, or before its own form does."""

    code = "body_incomplete"


class BodyTooLarge(LayerscopeError):
    """A body over the limit."""

    code = "request_too_large"

    def __init__(self, found: int, limit: int):
        super().__init__(f"the request has {found:,} bytes or more; the limit is {limit:,}")


class BadRequestBody(LayerscopeError):
    """JSON, or tensors, that are not what a protocol has, or not what the model takes."""

    code = "bad_request"


class NotAPhoto(LayerscopeError):
    """A body in a form that wraps or encodes the photo."""

    code = "unsupported_media_type"


class TooManyPhotos(LayerscopeError):
    """More photos in one request than may be."""

    code = "too_many_images"


class DecodingTimeout(LayerscopeError):
    """Photos that together take too long to decode."""

    code = "decoding_timeout"


class HostRefused(LayerscopeError):
    """A Host that is not in the list."""

    code = "host_not_allowed"


class OriginRefused(LayerscopeError):
    """A post that another site's page sends through a visitor's browser."""

    code = "origin_not_allowed"


class KeyRefused(LayerscopeError):
    """No API key, or one that is not known."""

    code = "unauthorized"


class TooManyRequests(LayerscopeError):
    """More requests of one client than the rate allows."""

    code = "too_many_requests"

    def __init__(self, message: str, retry_after_s: int):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Busy(LayerscopeError):
    """Too much of the same at once; it will pass."""

    code = "busy"

    def __init__(self, message: str, retry_after_s: int = RETRY_S):
        super().__init__(message)
        self.retry_after_s = retry_after_s


STATUS |= {
    BadUpload: 400,
    BodyIncomplete: 400,
    BadRequestBody: 400,
    HostRefused: 400,
    KeyRefused: 401,
    OriginRefused: 403,
    BodyTooLarge: 413,
    TooManyPhotos: 413,
    DecodingTimeout: 413,
    NotAPhoto: 415,
    TooManyRequests: 429,
    Busy: 503,
}


def answer(code: str, message: str, status: int) -> Answer:
    """The body and status of an error, inside Flask."""
    return error_body(code, message, request.environ), status


def error_body(code: str, message: str, environ: dict[str, Any]) -> dict[str, Any]:
    """An error in the shape that clients of this address expect."""
    if speaks_protocol(environ):
        return {"error": message}
    error = {"code": code, "message": message, "request_id": environ.get(REQUEST_ID)}
    return {"error": error}


def speaks_protocol(environ: dict[str, Any]) -> bool:
    """Whether a request is one of the two protocols'."""
    return _PROTOCOLS.fullmatch(environ.get("PATH_INFO", "")) is not None


def describe(
    error: LayerscopeError, environ: dict[str, Any]
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of the answer to an error that was raised on purpose."""
    status = STATUS.get(type(error), 503)
    message = public_message(error, environ[REQUEST_ID])
    headers = [("Content-Type", "application/json")]
    if status in (429, 503):
        headers.append(("Retry-After", str(getattr(error, "retry_after_s", RETRY_S))))
    if isinstance(error, KeyRefused):
        headers.append(("WWW-Authenticate", 'Basic realm="layerscope", charset="UTF-8"'))
    encoded = json.dumps(error_body(error.code, message, environ)).encode() + b"\n"
    return status, [*headers, ("Content-Length", str(len(encoded)))], encoded


def public_message(error: LayerscopeError, request_id: str) -> str:
    """What whoever asked is told; what names folders of this machine goes to the log."""
    status = STATUS.get(type(error), 503)
    told = error.code in ("busy", "not_ready")  # of the service as a whole, and many may ask
    if isinstance(error, BundleError) or (status == 503 and not told):
        log.error("request %s: %s", request_id, error)
        return "the model cannot answer now; the log of the service says why"
    return str(error)


def register(app: Flask) -> None:
    """Make `app` answer every error in that shape."""

    @app.errorhandler(LayerscopeError)
    def explain(error: LayerscopeError) -> Any:
        status, headers, body = describe(error, request.environ)
        return body, status, headers

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Any:
        status = error.code or 400
        if status >= 500:
            return answer("internal", "the request could not be handled", 503)
        message = error.description or error.name
        allowed = getattr(error, "valid_methods", None)
        if status == 405 and allowed:
            message = f"{request.method} is not answered here, {' or '.join(sorted(allowed))} is"
            if "POST" in allowed and not speaks_protocol(request.environ):
                message += ": post the photo, as `curl --data-binary @photo.jpg ADDRESS` does"
        if status == 413:
            limits = request.max_form_parts, request.max_form_memory_size
            message = (
                f"a form may have {limits[0]} fields, and {limits[1]:,} bytes beside its files"
            )
        body, _ = answer(CODES.get(status, "bad_request"), message, status)
        headers = [(k, v) for k, v in error.get_headers() if k.lower() == "allow"]
        return body, status, headers

    @app.errorhandler(Exception)
    def bug(error: Exception) -> Answer:
        log.exception("request %s: unhandled %s", request.environ[REQUEST_ID], type(error).__name__)
        return answer("internal", "the service failed on this request; it has been logged", 503)

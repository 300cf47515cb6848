"""Everything that goes wrong -> one shape of answer.

`{"error": {"code": "image_too_large", "message": "..."}}`, with a 4xx status or 503. A bug
is logged with its traceback and answered as 503 `internal`: the caller's input is never
answered with 500.
"""

import logging
from typing import Any

from flask import Flask
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
    411: "length_required",
    413: "request_too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
}

Answer = tuple[dict[str, Any], int]


class BadUpload(LayerscopeError):
    """A request without a photo where one is needed, or with too many."""

    code = "image_missing"


class TooManyPhotos(LayerscopeError):
    """More photos in one request than may be, or more work than they may be."""

    code = "too_many_images"


class Busy(LayerscopeError):
    """Too much of the same at once; it will pass."""

    code = "busy"
    retry_after_s = 3


STATUS |= {BadUpload: 400, TooManyPhotos: 413, Busy: 503}


def answer(code: str, message: str, status: int) -> Answer:
    """The one shape of an error."""
    return {"error": {"code": code, "message": message}}, status


def register(app: Flask) -> None:
    """Make `app` answer every error in that shape."""

    @app.errorhandler(LayerscopeError)
    def explain(error: LayerscopeError) -> Any:
        headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, Busy) else {}
        return *answer(error.code, str(error), STATUS.get(type(error), 503)), headers

    @app.errorhandler(HTTPException)
    def refuse(error: HTTPException) -> Any:
        status = error.code or 400
        if status >= 500:
            return answer("internal", "the request could not be handled", 503)
        body, _ = answer(CODES.get(status, "bad_request"), error.description or error.name, status)
        headers = [(k, v) for k, v in error.get_headers() if k.lower() == "allow"]
        return body, status, headers

    @app.errorhandler(Exception)
    def bug(error: Exception) -> Answer:
        log.exception("unhandled %s", type(error).__name__)
        return answer("internal", "the service failed on this request; it has been logged", 503)

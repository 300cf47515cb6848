"""Many photos in one request, answered by one line of JSON each, as they are computed.

A photo that cannot be answered is a line with its error; the others are answered all the same.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from flask import Response, current_app, request, stream_with_context

from models.classifier import Classifier
from models.errors import LayerscopeError
from service.errors import REQUEST_ID, error_body, public_message
from service.incoming.asking import said_by, settings
from service.incoming.uploads import decode
from service.watching.metrics import note_reading
from service.watching.record import stage

log = logging.getLogger(__name__)
LINES = "application/x-ndjson"


def wants_lines() -> bool:
    """Whether lines are asked for rather than one document."""
    accepted = request.accept_mimetypes.best_match(["application/json", LINES])
    return accepted == LINES


def answer_in_lines(classifier: Classifier, encoded: Sequence[bytes], top: int) -> Response:
    """The answer to `encoded`, photo by photo; nothing is computed before it is sent."""
    lines = stream_with_context(_lines(classifier, encoded, top))
    return Response(lines, mimetype=LINES)


def _lines(classifier: Classifier, encoded: Sequence[bytes], top: int) -> Iterator[str]:
    for number, data in enumerate(encoded, start=1):
        about = {"photo": number} | said_by(classifier)
        yield _line(classifier, data, top, about) + "\n"


def _line(classifier: Classifier, data: bytes, top: int, about: dict[str, Any]) -> str:
    """What is said of one photo: predictions, or the error."""
    request_id = request.environ[REQUEST_ID]
    try:
        pixels = decode(classifier, data, settings().limits)
        with stage("network"):
            reading = classifier.read(pixels)
        answer = classifier.describe(note_reading(classifier, reading), top)
        return current_app.json.dumps(about | answer)
    except LayerscopeError as error:
        code, message = error.code, public_message(error, request_id)
    except Exception as error:  # a bug: the status has been sent
        log.exception("request %s: unhandled %s", request_id, type(error).__name__)
        code, message = "internal", "the service failed on this photo; it has been logged"
    return current_app.json.dumps(about | error_body(code, message, request.environ))

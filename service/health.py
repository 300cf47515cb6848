"""Is the process alive, is it ready: the Open Inference Protocol's two routes."""

import logging
import time
from typing import Any

from flask import Blueprint, current_app, request

from models.errors import LayerscopeError
from service.errors import REQUEST_ID, Answer, answer
from service.incoming.asking import shelf

log = logging.getLogger(__name__)
REMEMBER_S = 0.5  # an answer: asking for it often must cost nothing
STOPPING = "layerscope.stopping"  # in the WSGI environment: the worker takes no new clients

bp = Blueprint("health", __name__, url_prefix="/v2/health")


@bp.get("/live")
def live() -> dict[str, Any]:
    """The process answers."""
    return {"live": True}


@bp.get("/ready")
def ready() -> dict[str, Any] | Answer:
    """Every model answers a photo, or did half a second ago, and the service is not stopping."""
    if request.environ.get(STOPPING):
        return answer("not_ready", "the service is stopping", 503)
    known: tuple[float, LayerscopeError | None] | None = current_app.extensions.get("ready")
    if known is None or time.monotonic() - known[0] > REMEMBER_S:
        known = time.monotonic(), _what_fails()
        current_app.extensions["ready"] = known
    if known[1] is not None:
        message = "a model does not answer; the log of the service says why"
        return answer("not_ready", message, 503)
    return {
        "ready": True,
        "models": [classifier.name for classifier in shelf()],
    }


def _what_fails() -> LayerscopeError | None:
    try:
        shelf().find(None)  # there is one
        for classifier in shelf():
            classifier.check()
    except LayerscopeError as error:
        log.error("request %s: not ready: %s", request.environ[REQUEST_ID], error)
        return error
    return None

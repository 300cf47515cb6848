"""Is the process alive, is it ready: the Open Inference Protocol's two routes."""

from typing import Any

from flask import Blueprint

from models.errors import LayerscopeError
from service.asking import shelf
from service.errors import Answer, answer

bp = Blueprint("health", __name__, url_prefix="/v2/health")


@bp.get("/live")
def live() -> dict[str, Any]:
    """The process answers."""
    return {"live": True}


@bp.get("/ready")
def ready() -> dict[str, Any] | Answer:
    """Every model answers a photo."""
    try:
        shelf().find(None)  # there is one
        for classifier in shelf():
            classifier.check()
    except LayerscopeError as error:
        return answer("not_ready", str(error), 503)
    return {"ready": True, "models": [classifier.name for classifier in shelf()]}

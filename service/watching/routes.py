"""Which route a request meant, where it was refused before Flask looked for it."""

from typing import Any

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map

from service.watching.metrics import UNKNOWN


def template(routes: Map, environ: dict[str, Any]) -> str:
    """The template of a request's path; one word for all paths that are no route."""
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
    adapter = routes.bind("localhost")
    try:
        return _find(adapter, path, environ["REQUEST_METHOD"])
    except MethodNotAllowed as error:
        return _find(adapter, path, min(error.valid_methods or ["GET"]))
    except HTTPException:
        return UNKNOWN


def _find(adapter: Any, path: str, method: str) -> str:
    rule, _ = adapter.match(path, method, return_rule=True)
    return str(rule.rule)

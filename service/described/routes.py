"""/openapi.json for programs, and /docs for people: the same document, drawn by Jinja.

The page has no script: it works under a policy that allows none, and without the internet. A
package that brings Swagger UI would add 2 MB for what a template does.
"""

from collections.abc import Callable
from itertools import groupby
from typing import Any

from flask import Blueprint, Response, current_app, render_template

from service.described.document import describe

bp = Blueprint("described", __name__, template_folder="templates")
POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


def _document() -> dict[str, Any]:
    """The document of this application."""
    known: dict[str, Any] = _kept("openapi", lambda: describe(current_app))
    return known


def _kept(name: str, make: Callable[[], Any]) -> Any:
    """What this application made when it was first asked for it."""
    if name not in current_app.extensions:
        current_app.extensions[name] = make()
    return current_app.extensions[name]


@bp.get("/openapi.json")
def document() -> dict[str, Any]:
    """This description of all routes, as OpenAPI 3.1."""
    return _document()


@bp.get("/docs", strict_slashes=True)  # its links are relative: `/docs/` would break them
def docs() -> Response:
    """This description as a page."""
    response = Response(_kept("docs", _page), mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


def _page() -> str:
    known = _document()
    return render_template("docs.html", document=known, tags=_by_tag(known))


def _by_tag(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The routes under each heading; the addresses of one route stand together."""
    every = [
        {"path": path, "method": method.upper(), "operation": operation}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    found: dict[str, list[dict[str, Any]]] = {}
    for route, some in groupby(every, lambda one: one["operation"]["operationId"].split("-")[0]):
        first, *others = some
        tag = first["operation"]["tags"][0]
        also = [one["path"] for one in others]
        found.setdefault(tag, []).append(first | {"id": route, "also": also})
    return found

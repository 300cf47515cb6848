"""/openapi.json for programs, and /docs for people: the same document, drawn by Jinja.

The page has no script: it works under a policy that allows none, and without the internet. A
package that brings Swagger UI would add 2 MB for what a template does.
"""

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
    """The document of this application, made when it is first asked for."""
    known: dict[str, Any] | None = current_app.extensions.get("openapi")
    if known is None:
        known = current_app.extensions["openapi"] = describe(current_app)
    return known


@bp.get("/openapi.json")
def document() -> dict[str, Any]:
    """This description of all routes, as OpenAPI 3.1."""
    return _document()


@bp.get("/docs", strict_slashes=True)  # its links are relative: `/docs/` would break them
def docs() -> Response:
    """This description as a page."""
    page: str | None = current_app.extensions.get("docs")
    if page is None:
        known = _document()
        page = render_template("docs.html", document=known, tags=_by_tag(known))
        current_app.extensions["docs"] = page
    response = Response(page, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


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

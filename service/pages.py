"""The page, its files, and what bundles bring for people: samples and reports."""

from pathlib import Path

from flask import Blueprint, Response, request, send_from_directory
from werkzeug.exceptions import NotFound

from service.incoming.asking import shelf

bp = Blueprint("pages", __name__)
PAGE = Path(__file__).parent / "page"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; sandbox"
)


@bp.get("/")
def index() -> Response:
    """The page."""
    response = send_from_directory(PAGE, "index.html")
    response.headers["Content-Security-Policy"] = POLICY
    return response


@bp.get("/page/<path:file>")
def page_file(file: str) -> Response:
    """A style or script of the page."""
    return send_from_directory(PAGE, file)


@bp.get("/models/<name>/samples/<file>")
def sample(name: str, file: str) -> Response:
    """A sample photo of a model."""
    classifier = shelf().find(name)
    names = {entry["name"] for entry in classifier.manifest.data.get("samples", [])}
    if file not in names:
        raise NotFound(f"the model has no sample of that name; it has {len(names)}")
    response = Response(classifier.bundle.read(f"samples/{file}"), mimetype="image/jpeg")
    return _unless_known(response)


@bp.get("/models/<name>/report")
def report(name: str) -> Response:
    """The training report of a model."""
    classifier = shelf().find(name)
    if "report.html" not in classifier.manifest.files:
        raise NotFound("this model has no report")
    response = Response(classifier.bundle.read("report.html"), mimetype="text/html")
    response.headers["Content-Security-Policy"] = REPORT_POLICY
    return _unless_known(response)


def _unless_known(response: Response) -> Response:
    """Let a browser keep it, and ask each time whether it is still the same."""
    response.add_etag()
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request)
    return response

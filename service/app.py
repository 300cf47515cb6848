"""Puts the room together: a Flask application that serves some bundles."""

from collections.abc import Callable, Sequence
from pathlib import Path

from flask import Flask, Response, request

from service import errors, health, inside, pages, routes
from service.described import routes as described_routes
from service.finite_json import FiniteJSON
from service.headers import common_headers, new_request_id
from service.incoming.decode_memory import DecodeMemory
from service.incoming.guard import Guard, check_request
from service.incoming.uploads import PhotoRequest
from service.protocols import oip, tf_serving
from service.settings import Settings
from service.shelf import Shelf, open_shelf
from service.versions import routes as version_routes
from service.watching import exposition
from service.watching.metrics import Metrics
from service.watching.record import record
from service.watching.shared_values import SharedValues

BLUEPRINTS = (
    routes.bp,
    inside.bp,
    pages.bp,
    health.bp,
    exposition.bp,
    oip.bp,
    tf_serving.bp,
    described_routes.bp,
)


def create_app(
    bundles: Sequence[Path] | Callable[[], Shelf], settings: Settings | None = None
) -> Flask:
    """An application that answers for `bundles`; the first is the default model.

    Args:
        bundles: folders, or who says what is served when a request begins.

    Raises:
        BundleError: a bundle that is missing, damaged, or does not run.
    """
    settings = settings or Settings()
    app = Flask(__name__, static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=settings.upload_bytes,
        MAX_FORM_MEMORY_SIZE=500_000,
        MAX_FORM_PARTS=settings.photos_per_request + 8,
    )
    app.json = FiniteJSON(app)
    app.url_map.merge_slashes = False  # else `//page` is redirected to whatever Host was sent
    app.url_map.strict_slashes = False  # `/predict/` is `/predict`
    app.request_class = PhotoRequest
    app.extensions["settings"] = settings
    app.extensions["guard"] = Guard(settings)
    app.extensions["decode_memory"] = DecodeMemory(settings.decode_bytes)
    app.extensions["metrics"] = Metrics(SharedValues())
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    errors.register(app)

    @app.before_request
    def admit() -> None:
        request.environ.setdefault(errors.REQUEST_ID, new_request_id(request.environ))
        if request.url_rule is not None:
            record().route = request.url_rule.rule
        check_request()

    if callable(bundles):
        version_routes.register(app, bundles)
    else:
        shelf = open_shelf(bundles, settings)
        version_routes.register(app, lambda: shelf)

    @app.after_request
    def harden(response: Response) -> Response:
        for name, value in common_headers(request.environ, settings):
            response.headers.setdefault(name, value)
        if response.status_code == 503:
            response.headers.setdefault("Retry-After", str(errors.RETRY_S))
        return response

    return app

"""Puts the room together: a Flask application that serves some bundles."""

from collections.abc import Callable, Sequence
from pathlib import Path

from flask import Flask, Response

from service import errors, health, inside, pages, routes
from service.finite_json import FiniteJSON
from service.settings import Settings
from service.shelf import Shelf, open_shelf
from service.versions import routes as version_routes


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
    app.extensions["settings"] = settings
    for blueprint in (routes.bp, inside.bp, pages.bp, health.bp):
        app.register_blueprint(blueprint)
    errors.register(app)
    if callable(bundles):
        version_routes.register(app, bundles)
    else:
        shelf = open_shelf(bundles, settings.network_threads)
        version_routes.register(app, lambda: shelf)

    @app.after_request
    def harden(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Referrer-Policy", "no-referrer")
        return response

    return app

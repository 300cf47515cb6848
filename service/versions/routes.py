"""Which models a request is answered by: fixed when it begins; and the routes of one version."""

from collections.abc import Callable
from typing import Any

from flask import Flask, g, request

from service.shelf import Shelf

ANY, ONE = "/models/<name>", "/models/<name>/versions/<version>"


def register(app: Flask, current: Callable[[], Shelf]) -> None:
    """Give every request the shelf of its first instant, and every model's route its versions.

    Below /models/NAME/versions/V the same routes answer if V is the version that is served; also
    where a protocol's /v1 or /v2 stands before it.
    """
    app.extensions["shelf"] = current
    for rule in list(app.url_map.iter_rules()):
        if ANY in rule.rule:
            methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            address = rule.rule.replace(ANY, ONE, 1)
            app.add_url_rule(address, rule.endpoint, methods=methods)

    @app.url_value_preprocessor
    def fix(endpoint: str | None, values: dict[str, Any] | None) -> None:
        g.shelf, g.version = current(), None
        if values and "version" in values:
            g.version = values.pop("version")

    @app.before_request
    def check() -> None:
        if g.version is not None and request.view_args:
            g.shelf.check_version(request.view_args["name"], g.version)

    @app.url_defaults
    def stay(endpoint: str, values: dict[str, Any]) -> None:
        if g.get("version") and app.url_map.is_endpoint_expecting(endpoint, "version"):
            values.setdefault("version", g.version)

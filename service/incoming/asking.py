"""What every route asks of the request and of the application."""

from urllib.parse import quote

from flask import Response, current_app, g, request
from werkzeug.datastructures import MIMEAccept

from models.classifier import Classifier
from models.errors import SettingError
from service.headers import VERSION
from service.incoming.queries import Choice, Number
from service.settings import Settings
from service.shelf import Shelf
from service.watching.metrics import note_model


def shelf() -> Shelf:
    """The models that this request is answered by."""
    found: Shelf = g.shelf
    return found


def settings() -> Settings:
    """What the server was told."""
    found: Settings = current_app.extensions["settings"]
    return found


def number(query: Number) -> int:
    """A whole number from the query. Raises SettingError."""
    name, default, lowest, highest, _ = query
    text = request.args.get(name, str(default))
    digits = text.isascii() and text.isdigit() and len(text) < 10  # Python refuses 5,000 of them
    if not (digits and lowest <= int(text) <= highest):
        raise SettingError(f"{name} is {text[:40]!r}; expected {lowest} to {highest}")
    return int(text)


def choice(query: Choice) -> str:
    """One of some words from the query, the first by default. Raises SettingError."""
    text = request.args.get(query.name, query.known[0])
    if text not in query.known:
        expected = " or ".join(query.known)
        raise SettingError(f"{query.name} is {text[:40]!r}; expected {expected}")
    return text


def said_by(classifier: Classifier) -> dict[str, str]:
    """Who answers: the model and its version; the log says so too."""
    note_model(classifier)
    return {"model": classifier.name, "version": classifier.manifest.version}


def drawing(classifier: Classifier, png: bytes) -> Response:
    """A picture; its header says which version of the model it was drawn by."""
    note_model(classifier)
    return Response(
        png, mimetype="image/png", headers={VERSION: quote(classifier.manifest.version)}
    )


def wants_json(accepted: MIMEAccept) -> bool:
    """Whether numbers are asked for rather than a picture."""
    best = accepted.best_match(["image/png", "application/json"], default="image/png")
    return best == "application/json"

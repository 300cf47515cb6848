"""The OpenAPI 3.1 document of an application, from its routes and their types.

apispec puts it together: framework or not, it knows only dictionaries, needs nothing that is not
here already and adds 0.3 MB; flask-openapi3 and spectree would take over routes and checks of
requests, which read bytes before Flask here, and openapi-pydantic costs each worker half a second
and 4 MB. pydantic makes the schemas.
"""

import re
from collections.abc import Iterator
from typing import Any

from apispec import APISpec
from flask import Flask
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from service.described.operations import (
    ERRORS,
    IN_LINES,
    JSON,
    OPERATIONS,
    Kind,
    Operation,
    photo_body,
)
from service.described.refusals import is_protocol, name_of, responses, statuses
from service.headers import VERSION as MODEL_VERSION
from service.incoming.queries import LABEL, Choice, Number, Query
from service.lines import LINES
from service.protocols.bodies import RowAnswer
from service.protocols.oip import NAME, VERSION
from service.settings import Settings

_REFERENCE = "#/components/schemas/{model}"
_RAISES = re.compile(r"\s*Raises [^.]*\.")  # said of the code, not of the route
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
ABOUT = """Names what is on photos, and shows what each layer of the network detects.

Routes without a model's name answer for the first model. HEAD is answered wherever GET is.
An error has one of the codes that its status lists, and a text that says what to change."""
IN_PATH: dict[str, tuple[str, dict[str, Any]]] = {
    "name": ("A model, as `/models` lists them.", {"type": "string"}),
    "version": ("The version that is served.", {"type": "string"}),
    "layer": ("A layer, as `/layers` lists them.", {"type": "string"}),
    "channel": ("Index of a channel, from 0.", {"type": "integer", "minimum": 0}),
    "file": ("A sample, as the model lists them.", {"type": "string"}),
    "verb": ("What to do.", {"type": "string", "enum": ["predict"]}),
}
SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key is the password."},
}


def describe(app: Flask) -> dict[str, Any]:
    """The document: it depends on the settings, not on what is served."""
    settings: Settings = app.extensions["settings"]
    info = {"description": ABOUT}
    spec = APISpec(NAME.title(), VERSION, "3.1.0", info=info)
    for name, schema in _schemas():
        spec.components.schema(name, schema)
    if settings.api_keys is not None:
        for name, scheme in SECURITY.items():
            spec.components.security_scheme(name, scheme)
    used: set[str] = set()  # errors that an operation names
    for rule, endpoint in described_rules(app):
        path = _PARAMETER.sub(r"{\1}", rule.rule)
        method = "post" if "POST" in (rule.methods or ()) else "get"
        operation = _operation(app, rule, path, OPERATIONS[endpoint])
        used |= {name for name in operation["responses"].values() if isinstance(name, str)}
        spec.path(path, operations={method: operation})
    for name, response in responses():
        if name in used:
            spec.components.response(name, response)
    return spec.to_dict()


def described_rules(app: Flask) -> Iterator[tuple[Rule, str]]:
    """The routes that are described, in the order of the table, the shortest address first."""
    places = {endpoint: place for place, endpoint in enumerate(OPERATIONS)}
    known = [rule for rule in app.url_map.iter_rules() if rule.endpoint in OPERATIONS]
    for rule in sorted(known, key=lambda one: (places[one.endpoint], len(one.rule))):
        yield rule, rule.endpoint


def _schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every type of a body, by its name, and those in it."""
    kinds: dict[Kind, None] = {}  # a set that keeps the order
    for operation in OPERATIONS.values():
        for some in operation.answers.values():
            kinds |= dict.fromkeys(some)
        kinds |= dict.fromkeys([operation.body] if operation.body else [])
    kinds |= dict.fromkeys((*IN_LINES, *ERRORS))
    asked: Any = [(kind, "validation") for kind in kinds]
    _, found = models_json_schema(asked, ref_template=_REFERENCE)
    yield from found["$defs"].items()


def _operation(app: Flask, rule: Rule, path: str, known: Operation) -> dict[str, Any]:
    settings: Settings = app.extensions["settings"]
    text = _RAISES.sub("", app.view_functions[rule.endpoint].__doc__ or "").strip()
    method = "post" if "POST" in (rule.methods or ()) else "get"
    names = "<" in rule.rule or any(one is LABEL for one in known.query)
    refused = statuses(path, method, names, settings) + [416] * known.parts
    protocol = is_protocol(path)
    found: dict[str, Any] = {
        "operationId": _identity(rule),
        "tags": [known.tag],
        "summary": text,
        "parameters": [*_in_path(rule), *map(_in_query, known.query)],
        "responses": _answered(known) | {str(one): name_of(one, protocol) for one in refused},
    }
    if known.photos != 0:
        most = settings.photos_per_request
        found["requestBody"] = photo_body(known.photos, settings.limits, most)
    if known.body:
        found["requestBody"] = {"required": True, "content": {JSON: _one_of((known.body,))}}
    if settings.api_keys is not None and 401 in refused:
        found["security"] = [{name: []} for name in SECURITY]
    return found


def _identity(rule: Rule) -> str:
    """A name for one address of a route; what stands before the dash is the route's."""
    below = [word for word in _PARAMETER.findall(rule.rule) if word in ("name", "version")]
    return "-".join([rule.endpoint, *below])


def _answered(known: Operation) -> dict[str, Any]:
    """What comes where nothing is wrong."""
    content = {media: _content(media, kinds) for media, kinds in known.answers.items()}
    whole: dict[str, Any] = {"description": "The answer.", "content": content}
    if "image/png" in content or RowAnswer in known.answers.get(JSON, ()):
        told = "The model's version, of a picture or an answer without a field for it."
        whole["headers"] = {MODEL_VERSION: {"description": told, "schema": {"type": "string"}}}
    found = {"200": whole}
    if known.parts:
        found["206"] = {"description": "A part of it.", "content": content}
    if known.kept:
        found["304"] = {"description": "It is the same still."}
    return found


def _content(media: str, kinds: tuple[Kind, ...]) -> dict[str, Any]:
    if media == LINES:
        names = " or ".join(f"`{kind.__name__}`" for kind in IN_LINES)
        return {"schema": {"type": "string", "description": f"One {names} a line, as JSON."}}
    return _one_of(kinds) if kinds else {}


def _one_of(kinds: tuple[Kind, ...]) -> dict[str, Any]:
    found = [{"$ref": _REFERENCE.format(model=kind.__name__)} for kind in kinds]
    return {"schema": found[0] if len(found) == 1 else {"anyOf": found}}


def _in_path(rule: Rule) -> Iterator[dict[str, Any]]:
    for name in _PARAMETER.findall(rule.rule):
        told, schema = IN_PATH[name]
        yield {"name": name, "in": "path", "required": True, "description": told, "schema": schema}


def _in_query(query: Query) -> dict[str, Any]:
    """One parameter of the query; its range is the one that is checked."""
    if isinstance(query, Number):
        schema: dict[str, Any] = {"type": "integer", "default": query.default}
        schema |= {"minimum": query.lowest, "maximum": query.highest}
    elif isinstance(query, Choice):
        schema = {"type": "string", "enum": list(query.known)}
        schema |= {"default": query.known[0]} if query.fixed_default else {}
    else:
        schema = {"type": "string"}
        schema |= {} if query.default is None else {"default": query.default}
        schema |= {} if query.pattern is None else {"pattern": query.pattern}
    return {"name": query.name, "in": "query", "description": query.means, "schema": schema}

"""Holds answers of the service against its own OpenAPI document."""

import re
from collections.abc import Iterator
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from service.watching.routes import template


def operations(document: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def response_of(document: Any, operation: dict[str, Any], status: int) -> Any:
    found = operation["responses"][str(status)]
    if "$ref" in found:
        return document["components"]["responses"][found["$ref"].rpartition("/")[2]]
    return found


def in_braces(rule: str) -> str:
    """A route as Flask writes it -> as the document does."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)


def flaws(document: Any, schema: Any, value: Any) -> list[str]:
    whole = schema | {"components": document["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def send(client: FlaskClient, path: str, sent: dict[str, Any]) -> Any:
    method = "POST" if {"data", "json"} & set(sent) else "GET"
    with client.open(path, method=method, buffered=True, **sent) as answer:
        return answer


def check_answer(app: Flask, document: Any, answer: Any) -> str:
    """Hold an answer against what the document says of its address; the name of its route."""
    request = answer.request
    path = in_braces(template(app.url_map, request.environ))
    operation = document["paths"][path][request.method.lower()]
    told = response_of(document, operation, answer.status_code)
    assert answer.mimetype in told["content"], (path, answer.mimetype)
    if answer.mimetype == "application/json":
        schema = told["content"][answer.mimetype].get("schema", {})
        assert flaws(document, schema, answer.json) == [], path
    return operation["operationId"].partition("-")[0]

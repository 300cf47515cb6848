"""The OpenAPI document and its page: every route is there, and real answers are as they say."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.images import FORMATS, MORE_FORMATS
from service.app import create_app
from service.described.document import described_rules
from service.described.operations import LEFT_OUT, OPERATIONS
from service.settings import Settings
from service.watching.routes import template
from tests.browsing import with_samples
from tests.describing import check_answer, flaws, in_braces, operations, send
from tests.inferring import encoded
from tests.making import COLOURS, believe_colours, colour_bundle, picture

PHOTO = picture(COLOURS["red"])
KEY = "a-key-of-enough-characters"
AS_JSON = {"Accept": "application/json"}
B64 = base64.b64encode(PHOTO).decode()
MODEL = "/models/colours"
CHANNEL = f"{MODEL}/layers/LAYER/channels/0"


@pytest.fixture(scope="module")
def app(insight_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """Two models: one with insight, samples and a report, and one of a single graph."""
    place = tmp_path_factory.mktemp("described")
    rich = with_samples(insight_bundle, place / "colours")
    plain = believe_colours(colour_bundle(place / "source"), place / "plain")
    return create_app([rich, plain], Settings(photos_per_request=2))


@pytest.fixture(scope="module")
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="module")
def document(client: FlaskClient) -> Any:
    return client.get("/openapi.json").json


def test_every_route_is_described_or_left_out_for_a_reason(app, document):
    rules = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert rules == set(OPERATIONS) | set(LEFT_OUT)
    assert all(LEFT_OUT.values())
    addresses = [in_braces(rule.rule) for rule, _ in described_rules(app)]
    assert addresses == list(document["paths"])
    assert "/models/{name}/versions/{version}/activations/{layer}" in addresses
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    assert {"models.predict", "models.predict-name", "models.predict-name-version"} <= set(ids)


def test_the_document_is_openapi_3_1(document):
    from schemathesis.openapi import from_dict

    assert document["openapi"] == "3.1.0"
    from_dict(document).validate()  # raises where it is not


def test_the_words_of_a_route_are_those_of_its_function(app, document):
    predict = document["paths"]["/predict"]["post"]
    assert predict["summary"] == app.view_functions["models.predict"].__doc__.strip()
    ready = document["paths"]["/v2/models/{name}/ready"]["get"]
    assert ready["summary"].endswith("when it was loaded.")  # not what the function raises


# Real addresses, and what is sent to them; LAYER is the last one of the model.
REAL: list[tuple[str, dict[str, Any]]] = [
    ("/predict", {"data": PHOTO}),
    ("/predict", {"data": PHOTO, "headers": {"Accept": "application/x-ndjson"}}),
    ("/models/plain/predict", {"data": PHOTO}),
    ("/activations", {"data": PHOTO}),
    ("/activations/LAYER", {"data": PHOTO}),
    ("/activations/LAYER", {"data": PHOTO, "headers": AS_JSON}),
    ("/saliency", {"data": PHOTO}),
    ("/saliency", {"data": PHOTO, "headers": AS_JSON}),
    ("/layers", {}),
    ("/models/plain/layers", {}),
    ("/layers/LAYER", {}),
    ("/layers/LAYER/channels/0", {}),
    (f"{CHANNEL}/exemplars", {}),
    ("/models", {}),
    (MODEL, {}),
    ("/models/plain/versions/1", {}),
    (f"{MODEL}/samples/a.png", {}),
    (f"{MODEL}/report", {}),
    ("/v2", {}),
    ("/v2/models/plain", {}),
    ("/v2/models/plain/ready", {}),
    ("/v2/models/plain/infer", {"json": {"inputs": [encoded(PHOTO)]}}),
    ("/v1/models/plain", {}),
    ("/v1/models/plain/metadata", {}),
    ("/v1/models/plain:predict", {"json": {"instances": [{"b64": B64}]}}),
    ("/v1/models/plain:predict", {"json": {"inputs": [{"b64": B64}]}}),
    ("/v1/models/plain:predict",
     {"json": {"inputs": [{"b64": B64}], "signature_name": "labelled"}}),
    ("/v2/health/live", {}),
    ("/v2/health/ready", {}),
    ("/metrics", {}),
    ("/metrics", {"headers": {"Accept": "application/openmetrics-text"}}),
    ("/", {}),
    ("/openapi.json", {}),
    ("/docs", {}),
]  # fmt: skip


def test_real_answers_are_as_the_document_says(app, client, document):
    layer = client.get("/layers").json["layers"][-1]["name"]
    seen = set()
    for path, sent in REAL:
        answer = send(client, path.replace("LAYER", layer), sent)
        assert answer.status_code == 200, (path, answer.text)
        seen.add(check_answer(app, document, answer))
    assert seen == set(OPERATIONS) - {"inside.visualisation"}  # this bundle has no such pictures


def test_several_photos_and_lines_are_as_their_types_say(app, client, document):
    files = {"image": [(io.BytesIO(photo), "a.png") for photo in (PHOTO, b"no photo")]}
    lines = client.post("/predict", data=files, headers={"Accept": "application/x-ndjson"}).text
    told = [json.loads(line) for line in lines.splitlines()]
    for line, name in zip(told, ("PhotoLine", "ErrorLine"), strict=True):
        assert flaws(document, {"$ref": f"#/components/schemas/{name}"}, line) == []
    files = {"image": [(io.BytesIO(PHOTO), "a.png"), (io.BytesIO(PHOTO), "b.png")]}
    answer = client.post("/predict", data=files)
    assert len(answer.json["results"]) == 2
    check_answer(app, document, answer)
    many = {"$ref": "#/components/schemas/ManyPredicted"}
    assert flaws(document, many, answer.json) == []
    assert flaws(document, many, answer.json | {"more": 1}) != []  # else nothing is tested


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("/predict?top=0", {"data": PHOTO}, 400),
        pytest.param(f"/predict?top={'9' * 5_000}", {"data": PHOTO}, 400, id="5,000 digits"),
        ("/predict", {"data": b""}, 400),
        ("/predict", {"data": PHOTO, "headers": {"Sec-Fetch-Site": "cross-site"}}, 403),
        ("/models/nobody/predict", {"data": PHOTO}, 404),
        ("/models/plain/versions/7/predict", {"data": PHOTO}, 404),
        ("/activations?label=nobody", {"data": PHOTO}, 404),
        ("/layers/none", {}, 404),
        ("/models/plain/layers/none/channels/0/exemplars", {}, 404),
        ("/predict", {"data": {"image": [(io.BytesIO(PHOTO), "a")] * 3}}, 413),
        ("/predict", {"json": {}}, 415),
        ("/predict", {"data": PHOTO[:60]}, 422),
        ("/v2/models/nobody", {}, 404),
        ("/v2/models/plain/infer", {"json": {}}, 400),
        ("/v2/models/plain/infer", {"json": {"inputs": [encoded(b"no photo")]}}, 415),
        ("/v1/models/plain:classify", {"json": {}}, 404),
    ],
)
def test_what_is_refused_is_as_the_document_says(app, client, document, path, sent, status):
    answer = send(client, path, sent)
    assert answer.status_code == status
    check_answer(app, document, answer)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {"Range": "bytes=0-9"}, 206),
        ("/", {"Range": "bytes=9999999-"}, 416),
        ("/", {"If-None-Match": "ETAG"}, 304),
        (f"{MODEL}/report", {"If-None-Match": "ETAG"}, 304),
        (f"{MODEL}/samples/a.png", {"If-None-Match": "ETAG"}, 304),
        (f"{CHANNEL}/exemplars", {"If-None-Match": "ETAG"}, 304),
    ],
)
def test_what_a_browser_may_keep_or_ask_in_parts_is_in_the_document(
    app, client, document, path, headers, status
):
    path = path.replace("LAYER", client.get("/layers").json["layers"][-1]["name"])
    tag = send(client, path, {}).headers["ETag"]
    asked = {name: value.replace("ETAG", tag) for name, value in headers.items()}
    answer = send(client, path, {"headers": asked})
    assert answer.status_code == status
    described = document["paths"][in_braces(template(app.url_map, answer.request.environ))]
    assert str(status) in described["get"]["responses"]


def test_a_range_in_the_document_is_the_one_that_is_checked(client, document):
    sent = {"top": "1001", "tile": "513", "by": "size", "scale": "all", "colour": "red",
            "overlay": "2", "method": "guess", "label": "nobody", "channels": "first"}  # fmt: skip
    layer = client.get("/layers").json["layers"][-1]["name"]
    checked = set()
    for endpoint, operation in OPERATIONS.items():
        for query in operation.query:
            if query.name not in sent:
                continue
            path = {"models.predict": "/predict", "inside.all_activations": "/activations",
                    "models.activations": f"/activations/{layer}",
                    "inside.saliency": "/saliency"}[endpoint]  # fmt: skip
            answer = client.post(f"{path}?{query.name}={sent[query.name]}", data=PHOTO)
            assert answer.status_code == (404 if query.name == "label" else 400), query.name
            checked.add(query.name)
    assert checked == set(sent)
    predict, layered = (
        document["paths"][path]["post"] for path in ("/predict", "/activations/{layer}")
    )
    (top,) = predict["parameters"]
    assert top["schema"] == {"type": "integer", "default": 5, "minimum": 1, "maximum": 1000}
    schemas = {one["name"]: one["schema"] for one in layered["parameters"]}
    assert schemas["by"] == {
        "type": "string",
        "enum": ["strength", "effect"],
        "default": "strength",
    }
    assert re.fullmatch(schemas["channels"]["pattern"], "top:16")
    assert not re.fullmatch(schemas["channels"]["pattern"], sent["channels"])


def test_keys_and_a_rate_are_in_the_document_where_they_are_asked_for(client, document, tmp_path):
    assert "securitySchemes" not in document["components"]
    assert "401" not in document["paths"]["/predict"]["post"]["responses"]
    (tmp_path / "keys").write_text(KEY)
    settings = Settings(api_keys=tmp_path / "keys", rate_limit="1/hour")
    guarded = create_app([colour_bundle(tmp_path / "colours")], settings)
    asking = guarded.test_client()
    for path in ("/openapi.json", "/docs"):
        assert asking.get(path).status_code == 401
        assert asking.get(path, auth=("anybody", KEY)).status_code == 200
    told = asking.get("/openapi.json", headers={"X-API-Key": KEY}).json
    check_answer(guarded, told, asking.get("/models"))
    assert set(told["components"]["securitySchemes"]) == {"bearer", "header", "basic"}
    assert told["paths"]["/predict"]["post"]["security"] == [
        {"bearer": []},
        {"header": []},
        {"basic": []},
    ]
    assert "security" not in told["paths"]["/v2/health/ready"]["get"]
    bearer = {"Authorization": f"Bearer {KEY}"}
    assert asking.post("/predict", data=PHOTO, headers=bearer).status_code == 200
    refused = asking.post("/predict", data=PHOTO, headers=bearer)
    assert refused.status_code == 429
    check_answer(guarded, told, refused)


def test_the_formats_of_photos_are_those_that_are_accepted(document, tmp_path):
    settings = Settings(more_formats=True)
    more = create_app([colour_bundle(tmp_path / "colours")], settings).test_client()
    for told, formats in (
        (document, FORMATS),
        (more.get("/openapi.json").json, FORMATS + MORE_FORMATS),
    ):
        content = told["paths"]["/predict"]["post"]["requestBody"]["content"]
        kinds = {kind for kind in content if kind.startswith("image/")}
        assert kinds == {f"image/{name.lower()}" for name in formats}
    field = document["paths"]["/predict"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert field["schema"]["properties"]["image"]["maxItems"] == 2  # the limit of this service


def test_the_page_shows_every_route_and_type_without_a_script(client, document):
    answer = client.get("/docs")
    page = answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"<script|<style|style=|\son\w+=|https?://", page)
    for path in document["paths"]:
        assert f"<code>{path}</code>" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(set(ids)) == len(ids)
    assert set(document["components"]["schemas"]) <= set(ids)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    for file in re.findall(r'<link rel="stylesheet" href="([^"]+)"', page):
        assert send(client, f"/{file}", {}).mimetype == "text/css"
    assert client.get("/docs/").status_code == 404  # there its links would lead nowhere

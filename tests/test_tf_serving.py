"""TensorFlow Serving's REST through Flask's own client: values, forms of a photo, and refusals."""

import base64
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from models.bundle import Bundle
from models.classifier import Classifier, softmax
from service.app import create_app
from service.settings import Settings
from service.shelf import Shelf
from tests.making import COLOURS, SHARPNESS, colour_bundle, picture

PREDICT = "/v1/models/colours:predict"
RED, BLUE = picture(COLOURS["red"]), picture(COLOURS["blue"])
LOGITS = np.array([COLOURS["red"], COLOURS["blue"]], np.float32) * np.float32(SHARPNESS)
PROBABILITIES = softmax(LOGITS)
PIXELS = np.full((8, 8, 3), COLOURS["red"]).tolist()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    bundle = colour_bundle(tmp_path_factory.mktemp("tf") / "colours")
    return create_app([bundle], Settings(photos_per_request=3)).test_client()


def b64(photo: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(photo).decode()}


def ask(client: FlaskClient, **body: Any) -> Any:
    return client.post(PREDICT, json=body)


def test_the_status_is_that_of_the_version_that_is_served(client):
    expected = {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    assert client.get("/v1/models/colours").json == expected
    assert client.get("/v1/models/colours/versions/1").json == expected
    refused = client.get("/v1/models/colours/versions/2")
    assert (refused.status_code, list(refused.json)) == (404, ["error"])
    assert client.get("/v1/models/birds").status_code == 404


def test_a_version_that_is_no_number_is_told_as_it_is(tmp_path):
    version = "2026-11.b"
    model = Classifier(Bundle(colour_bundle(tmp_path / "colours")))
    model.manifest = model.manifest.model_copy(update={"version": version})
    client = create_app(lambda: Shelf([model])).test_client()
    (one,) = client.get("/v1/models/colours").json["model_version_status"]
    assert one["version"] == version
    body = {"instances": [b64(RED)]}
    address = f"/v1/models/colours/versions/{version}:predict"
    answer = client.post(address, json=body)
    assert answer.status_code == 200
    assert answer.headers["X-Model-Version"] == version  # the protocol has no field for it


def test_the_metadata_describes_two_signatures(client):
    answer = client.get("/v1/models/colours/metadata").json
    assert answer["model_spec"] == {"name": "colours", "signature_name": "", "version": "1"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert list(signatures) == ["serving_default", "labelled"]
    usual = signatures["serving_default"]
    assert usual["method_name"] == "tensorflow/serving/predict"
    assert usual["inputs"]["image"]["dtype"] == "DT_STRING"
    assert list(usual["outputs"]) == ["probabilities"]
    sizes = [dim["size"] for dim in usual["outputs"]["probabilities"]["tensor_shape"]["dim"]]
    assert sizes == ["-1", "3"]
    assert set(signatures["labelled"]["outputs"]) == {"probabilities", "label"}


@pytest.mark.parametrize("row", [b64(RED), {"image": b64(RED)}, {"image": PIXELS}, PIXELS])
def test_every_form_of_a_photo_gets_the_same_answer(client, row):
    answer = ask(client, instances=[row])
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(answer.json["predictions"], PROBABILITIES[:1], rtol=1e-6)


def test_rows_are_answered_by_rows_and_columns_by_columns(client):
    photos = [b64(RED), b64(BLUE)]
    rows = ask(client, instances=photos).json
    np.testing.assert_allclose(rows["predictions"], PROBABILITIES, rtol=1e-6)
    for columns in (photos, {"image": photos}):
        answer = ask(client, inputs=columns).json
        assert list(answer) == ["outputs"]
        np.testing.assert_allclose(answer["outputs"], PROBABILITIES, rtol=1e-6)


def test_the_labelled_signature_also_names_the_class(client):
    photos = [b64(RED), b64(BLUE)]
    rows = ask(client, instances=photos, signature_name="labelled").json["predictions"]
    assert [row["label"] for row in rows] == ["red", "blue"]
    np.testing.assert_allclose([row["probabilities"] for row in rows], PROBABILITIES, rtol=1e-6)
    columns = ask(client, inputs=photos, signature_name="labelled").json["outputs"]
    assert columns["label"] == ["red", "blue"]
    np.testing.assert_allclose(columns["probabilities"], PROBABILITIES, rtol=1e-6)


def test_the_kind_of_the_body_is_not_asked_for(client):
    form = "application/x-www-form-urlencoded"  # what `curl -d` sends
    answer = client.post(PREDICT, data=b'{"instances": []}', content_type=form)
    assert "expected a list of photos" in answer.json["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "one of `instances`"),
        ({"instances": [PIXELS], "inputs": [PIXELS]}, "one of `instances`"),
        ({"instances": []}, "none came"),
        ({"inputs": {"image": []}}, "none came"),
        ({"inputs": {"image": b64(RED)}}, "none came"),
        ({"inputs": b64(RED)}, "inputs has `b64`"),
        ({"inputs": {"image": [PIXELS], "other": 1}}, "inputs has `image`, `other`"),
        ({"instances": {"a": 1}}, "instances: Input should be a valid list"),
        ({"instances": [5]}, "photo 1 has no list at depth 1"),
        ({"instances": ["text"]}, "photo 1 has no list"),
        ({"instances": [{}]}, "photo 1 has nothing"),
        ({"instances": [{"b64": 5}]}, "photo 1 holds no text"),
        ({"instances": [{"b64": "?"}]}, "photo 1 holds a text that is no base64"),
        ({"instances": [{"image": {"image": b64(RED)}}]}, "photo 1 holds no text"),
        ({"instances": [PIXELS[:7]]}, "photo 1 has 7 values at depth 1"),
        ({"instances": [[[[300] * 3] * 8] * 8]}, "holds 300"),
        ({"instances": [[[[-0.1] * 3] * 8] * 8]}, "holds -0.1"),
        ({"instances": [[[["1"] * 3] * 8] * 8]}, "text where numbers"),
        ({"instances": [[[[None] * 3] * 8] * 8]}, "null where numbers"),
        ({"instances": [PIXELS, b64(RED)]}, "one kind"),
        ({"instances": [PIXELS], "signature_name": "other"}, "signature_name is 'other'"),
        ({"instances": [PIXELS], "signature_name": 5}, "signature_name"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(client, body, words):
    answer = ask(client, **body)
    assert answer.status_code == 400, answer.text
    assert list(answer.json) == ["error"]
    assert words in answer.json["error"]


def test_other_refusals_keep_their_status_and_have_the_protocols_shape(client):
    for answer, status, words in (
        (ask(client, instances=[PIXELS] * 4), 413, "4 photos in one request; the limit is 3"),
        (ask(client, instances=[b64(b"<html>no photo</html>")]), 415, "not an image"),
        (client.post("/v1/models/colours:classify", json={}), 404, "ask for :predict"),
        (client.post("/v1/models/colours/versions/1:regress", json={}), 404, "ask for :predict"),
        (client.post("/v1/models/birds:predict", json={}), 404, "birds"),
        (client.post("/v1/models/colours/versions/9:predict", json={}), 404, "version"),
        (client.post("/v1/models/colours", json={}), 405, "GET"),
        (client.get("/v1/models/colours:predict"), 404, "colours"),
        (client.post(PREDICT, data=RED), 400, "no JSON came"),
        (client.post(PREDICT, data=b'{"instances": [NaN]}'), 400, "not valid JSON"),
        (client.post(PREDICT, data=b"x", headers={"Content-Encoding": "deflate"}), 415, "deflate"),
    ):
        assert answer.status_code == status, answer.text
        assert isinstance(answer.json["error"], str)
        assert words in answer.json["error"]


def test_a_key_is_asked_for_in_the_protocols_shape(tmp_path):
    (tmp_path / "keys").write_text("a-key-of-sixteen-characters\n")
    bundle = colour_bundle(tmp_path / "colours")
    client = create_app([bundle], Settings(api_keys=tmp_path / "keys")).test_client()
    for address in ("/v1/models/colours", "/v2/models/colours", "/v2"):
        answer = client.get(address)
        assert answer.status_code == 401
        assert "API key is needed" in answer.json["error"]
    assert isinstance(client.get("/models").json["error"], dict)
    assert client.get("/v2/health/live").status_code == 200

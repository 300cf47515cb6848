"""The Open Inference Protocol through Flask's own client: values, in both encodings."""

import base64
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient

from service.app import create_app
from service.settings import Settings
from tests.inferring import (
    BINARY,
    LOGITS,
    PIXELS,
    PROBABILITIES,
    RED,
    ask,
    binary,
    encoded,
    pixels,
    post_binary,
    values,
)
from tests.making import COLOURS, SHARPNESS, colour_bundle, picture


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    bundle = colour_bundle(tmp_path_factory.mktemp("oip") / "colours")
    return create_app([bundle], Settings(photos_per_request=3)).test_client()


def test_the_server_and_the_model_say_what_they_are(client):
    server = client.get("/v2").json
    assert server["name"] == "layerscope"
    assert set(server["extensions"]) == {"binary_tensor_data", "classification"}
    model = client.get("/v2/models/colours").json
    assert model == {
        "name": "colours",
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8, 3]},
            {"name": "encoded", "datatype": "BYTES", "shape": [-1, 1]},
        ],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "label", "datatype": "BYTES", "shape": [-1, 1]},
            {"name": "logits", "datatype": "FP32", "shape": [-1, 3]},
        ],
    }
    assert client.get("/v2/models/colours/ready").json == {"name": "colours", "ready": True}


def test_the_version_of_the_package_is_the_one_that_is_told(client):
    project = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    assert f'version = "{client.get("/v2").json["version"]}"' in project


def test_an_encoded_photo_and_its_pixels_get_the_same_answer(client):
    for tensor in (
        encoded(RED),
        encoded(RED, shape=[1, 1]),
        encoded(RED, shape=[1, 1], data=[[base64.b64encode(RED).decode()]]),
        pixels(),
        pixels(PIXELS.ravel().tolist()),
        pixels(kind="FP32"),
    ):
        answer = ask(client, tensor)
        assert answer.status_code == 200, answer.text
        assert answer.json["model_name"] == "colours"
        assert answer.json["model_version"] == "1"
        found = values(answer, "probabilities")
        assert (found["datatype"], found["shape"]) == ("FP32", [1, 3])
        np.testing.assert_allclose(found["data"], PROBABILITIES, rtol=1e-6)
        np.testing.assert_allclose(values(answer, "logits")["data"], LOGITS, rtol=1e-6)
        label = values(answer, "label")
        assert (label["datatype"], label["shape"], label["data"]) == ("BYTES", [1, 1], ["red"])
    usual = client.post("/predict", data=RED).json["predictions"][0]["probability"]
    assert values(answer, "probabilities")["data"][0] == pytest.approx(usual, abs=1e-9)


def test_fractions_of_a_level_count(client):
    one = ask(client, pixels((PIXELS + 0.5).tolist(), kind="FP32"))
    expected = (np.array(COLOURS["red"]) + 0.5) * SHARPNESS
    np.testing.assert_allclose(values(one, "logits")["data"], expected, rtol=1e-5)


def test_photos_are_answered_in_order(client):
    photos = [picture(COLOURS[name]) for name in ("blue", "red", "green")]
    answer = ask(client, encoded(*photos))
    assert values(answer, "label")["data"] == ["blue", "red", "green"]
    assert values(answer, "label")["shape"] == [3, 1]
    assert np.reshape(values(answer, "logits")["data"], (3, 3)).argmax(axis=1).tolist() == [2, 0, 1]


def test_only_the_outputs_that_are_asked_for_are_answered_and_the_id_is_given_back(client):
    answer = ask(client, pixels(), outputs=[{"name": "label"}], id="one of mine")
    assert [one["name"] for one in answer.json["outputs"]] == ["label"]
    assert answer.json["id"] == "one of mine"
    assert "id" not in ask(client, pixels()).json


def test_classification_names_the_best_classes(client):
    wanted = [{"name": "logits", "parameters": {"classification": 2}}]
    found = values(ask(client, pixels(), outputs=wanted), "logits")
    assert found["shape"] == [1, 2]
    assert found["data"] == ["20.000000:0:red", "4.000000:1:green"]  # 200 and 40, by 0.1
    wanted = [{"name": "probabilities", "parameters": {"classification": 900}}]
    found = values(ask(client, pixels(), outputs=wanted), "probabilities")
    assert [text.split(":")[2] for text in found["data"]] == ["red", "green", "blue"]


@pytest.mark.parametrize("kind", ["UINT8", "FP32"])
def test_binary_pixels_are_read_and_binary_numbers_written(client, kind):
    tail = PIXELS.astype({"UINT8": "<u1", "FP32": "<f4"}[kind]).tobytes()
    body = {
        "inputs": [binary("image", kind, [1, 8, 8, 3], len(tail))],
        "parameters": {"binary_data_output": True},
        "outputs": [
            {"name": "probabilities"},
            {"name": "label"},
            {"name": "logits", "parameters": {"binary_data": False}},
        ],
    }
    answer = post_binary(client, body, tail)
    assert answer.mimetype == "application/octet-stream"
    size = int(answer.headers[BINARY])
    outputs = json.loads(answer.data[:size])["outputs"]
    assert [one.get("parameters") for one in outputs] == [
        {"binary_data_size": 12},
        {"binary_data_size": 7},
        None,
    ]
    rest = answer.data[size:]
    np.testing.assert_allclose(np.frombuffer(rest[:12], "<f4"), PROBABILITIES, rtol=1e-6)
    assert rest[12:] == struct.pack("<I", 3) + b"red"
    np.testing.assert_allclose(outputs[2]["data"], LOGITS, rtol=1e-6)


def test_binary_photos_are_read(client):
    photos = [RED, picture(COLOURS["blue"], kind="JPEG")]
    tail = b"".join(struct.pack("<I", len(one)) + one for one in photos)
    body = {"inputs": [binary("encoded", "BYTES", [2, 1], len(tail))]}
    answer = post_binary(client, body, tail)
    assert values(answer, "label")["data"] == ["red", "blue"]


def test_a_version_is_answered_while_it_is_served(client):
    assert client.get("/v2/models/colours/versions/1").json["versions"] == ["1"]
    assert client.get("/v2/models/colours/versions/1/ready").status_code == 200
    body = {"inputs": [pixels()]}
    assert client.post("/v2/models/colours/versions/1/infer", json=body).status_code == 200
    refused = client.post("/v2/models/colours/versions/2/infer", json=body)
    assert refused.status_code == 404
    assert "version" in refused.json["error"]

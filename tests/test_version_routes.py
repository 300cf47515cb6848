"""What a version answers to, in one process: its routes, its own files, and nothing that is NaN."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from models.bundle import Bundle
from service.__main__ import main
from service.app import create_app
from service.shelf import Shelf
from service.versions.catalogue import Refusal
from service.versions.trials import clean
from tests.crafting import change_weights
from tests.making import COLOURS, colour_bundle, picture

RED = picture(COLOURS["red"])


def strict(text):
    """JSON as others read it: NaN is an error."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in {text[:200]}"))


@pytest.fixture
def copied(insight_bundle, tmp_path):
    return shutil.copytree(insight_bundle, tmp_path / "colours")


def test_every_route_answers_below_the_version_that_is_served(copied):
    client = create_app([copied]).test_client()
    for name in ("", "/layers", "/layers/block1_relu", "/layers/block1_relu/channels/0"):
        usual = client.get(f"/models/colours{name}")
        one = client.get(f"/models/colours/versions/1{name}")
        assert (one.status_code, usual.status_code) == (200, 200), name
        assert one.json["version"] == "1"
        assert client.get(f"/models/colours/versions/2{name}").status_code == 404
    for name in ("/predict", "/activations", "/activations/block1_relu", "/saliency"):
        assert client.post(f"/models/colours/versions/1{name}", data=RED).status_code == 200, name
        refused = client.post(f"/models/colours/versions/2{name}", data=RED)
        assert refused.status_code == 404
        assert refused.json["error"]["code"] == "unknown_version"
    for name in ("/activations/block1_relu", "/saliency"):  # a picture names it in its header
        assert client.post(f"/models/colours{name}", data=RED).headers["X-Model-Version"] == "1"
    unknown = client.get("/models/birds/versions/1/layers")
    assert unknown.json["error"]["code"] == "unknown_model"


def test_addresses_in_an_answer_stay_at_the_version_that_was_asked(copied):
    client = create_app([copied]).test_client()
    place = "/layers/block1_relu/channels/0"
    assert client.get(f"/models/colours{place}").json["image"].startswith("/models/colours/layers")
    image = client.get(f"/models/colours/versions/1{place}").json["image"]
    assert image.startswith("/models/colours/versions/1/layers")
    assert client.get(image).mimetype == "image/webp"


def test_what_is_opened_late_belongs_to_the_version_that_was_loaded(copied):
    client = create_app([copied]).test_client()
    shutil.rmtree(copied)
    assert client.post("/activations", data=RED).status_code == 200  # layers.onnx, head.onnx
    assert client.get("/layers/block1_relu/channels/0").json["exemplars"]
    assert client.get("/models/colours/layers/block1_relu/channels/0/exemplars").status_code == 200
    assert client.get("/models/colours/report").status_code == 200
    sample = client.get("/models/colours").json["samples"][0]["name"]
    assert client.get(f"/models/colours/samples/{sample}").mimetype == "image/jpeg"
    assert client.get("/v2/health/ready").status_code == 200


def test_ready_is_false_where_a_graph_of_layers_fails(copied, monkeypatch):
    app = create_app([copied])
    (model,) = app.extensions["shelf"]()
    session = model._graphs["layers.onnx"]._session
    monkeypatch.setattr(session, "run", lambda *_: [np.full((1, 3), np.nan, np.float32)])
    assert app.test_client().get("/v2/health/ready").status_code == 503


def test_a_photo_whose_logits_overflow_is_an_error_and_no_nan(tmp_path):
    bundle = colour_bundle(tmp_path / "colours")

    def grow(numbers):
        return numbers * 0 + np.float32(1.5e36) if numbers.ndim == 0 else numbers

    change_weights(bundle, "predict.onnx", grow)
    client = create_app([bundle]).test_client()
    answer = client.post("/predict", data=picture((255, 255, 255)))
    assert answer.status_code == 503
    assert strict(answer.text)["error"]["code"] == "bundle_unusable"
    assert strict(client.post("/predict", data=RED).text)["predictions"][0]["label"] == "red"


def test_a_number_that_is_not_finite_never_leaves_as_json(tmp_path, monkeypatch):
    app = create_app([colour_bundle(tmp_path / "colours")])
    (model,) = app.extensions["shelf"]()
    monkeypatch.setattr(model, "describe", lambda *_: {"familiarity": float("nan")})
    answer = app.test_client().post("/predict", data=RED)
    assert (answer.status_code, strict(answer.text)["error"]["code"]) == (503, "internal")


def test_models_lists_what_is_refused_and_why(tmp_path, caplog):
    shelf = Shelf([], [Refusal("birds", "3", "predict.onnx was altered")])
    client = create_app(lambda: shelf).test_client()
    known = {"model": "birds", "version": "3", "state": "refused"}
    assert client.get("/models").json == {
        "models": [],
        "refused": [known | {"reason": "predict.onnx was altered"}],
    }
    answer = client.post("/predict", data=RED)
    assert (answer.json["error"]["code"], answer.headers["Retry-After"]) == ("not_ready", "1")
    assert not caplog.messages  # as many may ask as like
    assert client.get("/v2/health/ready").json["error"]["code"] == "not_ready"
    assert client.get("/v2/health/live").status_code == 200


def test_a_request_is_answered_by_the_version_that_it_began_with(tmp_path):
    one, other = (
        create_app([colour_bundle(tmp_path / str(number) / "colours", number / 10)])
        for number in (1, 2)
    )
    asked = []

    def current():  # the parent publishes another one each time it is looked up
        asked.append(1)
        return (one, other)[len(asked) % 2].extensions["shelf"]()

    client = create_app(current).test_client()
    client.get("/v2/health/ready")
    assert len(asked) == 1  # though the route looks twice


@pytest.mark.parametrize("words", [[], ["somewhere", "--models", "."]])
def test_bundles_or_a_folder_of_them_are_asked_for(words):
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "name one or more bundles to serve, or a folder of them with --models" in done.output


def test_the_bundle_itself_says_which_fingerprint_its_pictures_have(copied):
    client = create_app([copied]).test_client()
    image = client.get("/layers/block1_relu/channels/0").json["image"]
    assert Bundle(copied).fingerprint[:16] in image


def test_a_reason_is_shown_in_one_line_without_places_on_a_disk():
    said = "does not run: [ONNXRuntimeError] :\n 1 : /build/core/session.cc:12 Bad\x1b node"
    assert clean(said) == "does not run: [ONNXRuntimeError] : 1 : Bad? node"

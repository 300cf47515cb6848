"""The routes that look inside: all layers at once, saliency, layers and channels."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from models.bundle import Bundle
from models.classifier import Classifier
from models.inside import look_inside
from service import inside
from service.app import create_app
from service.settings import Settings
from tests.conftest import encode_photo, paint_photo

PHOTO = encode_photo(paint_photo(48, 40))
JSON = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def client(insight_bundle):
    return create_app([insight_bundle]).test_client()


@pytest.fixture(scope="module")
def plain_client(tiny_bundle):
    """A model without insight."""
    return create_app([tiny_bundle]).test_client()


@pytest.fixture(scope="module")
def classifier(insight_bundle):
    return Classifier(Bundle(insight_bundle))


def levels(layer):
    """The sheet of a layer as (C, h, w) numbers, by the contract: 255 is the channel's peak."""
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(layer["sheet"])))).astype(float)
    height, width, columns = layer["height"], layer["width"], layer["columns"]
    tiles = sheet.reshape(-1, height, columns, width).transpose(0, 2, 1, 3)
    tiles = tiles.reshape(-1, height, width)[: layer["channels"]]
    return tiles / 255 * np.array(layer["peaks"])[:, None, None]


def test_one_request_answers_for_every_block(client, classifier):
    body = client.post("/activations", data=PHOTO).json
    pixels = classifier.decode(PHOTO)
    expected = look_inside(classifier, pixels)
    assert [layer["name"] for layer in body["layers"]] == ["block1_relu", "block2_relu"]
    for layer, own in zip(body["layers"], expected.layers, strict=True):
        maps = np.maximum(own.maps, 0).transpose(2, 0, 1)
        half_a_level = maps.max() / 255 / 2 + 1e-5
        np.testing.assert_allclose(levels(layer), maps, atol=half_a_level)
        np.testing.assert_allclose(layer["strengths"], own.strengths, atol=1e-5)
        assert own.effects is not None
        np.testing.assert_allclose(layer["effects"], own.effects, atol=1e-5)
    assert body["label"] == body["predictions"][0]["label"]
    assert body["predictions"] == client.post("/predict", data=PHOTO).json["predictions"]
    np.testing.assert_allclose(body["saliency"]["map"], expected.heat, atol=1e-5)


def test_the_last_layers_effects_are_what_the_logit_loses(client, classifier):
    body = client.post("/activations?label=red", data=PHOTO).json
    assert body["label"] == body["saliency"]["label"] == "red"
    arrays = classifier.insight.layer("block2_relu").arrays
    pooled = look_inside(classifier, classifier.decode(PHOTO)).layers[-1].maps.mean(axis=(0, 1))
    expected = arrays["weights"][:, classifier.class_names.index("red")] * pooled
    np.testing.assert_allclose(body["layers"][-1]["effects"], expected, atol=1e-3)


def test_without_insight_only_the_last_layer_knows_effects(plain_client):
    first, last = plain_client.post("/activations", data=PHOTO).json["layers"]
    assert first["effects"] is None
    assert len(last["effects"]) == 16


def test_saliency_as_numbers_and_as_a_picture(client):
    body = client.post("/saliency?label=green", data=PHOTO, headers=JSON).json
    assert (body["label"], body["method"], body["height"], body["width"]) == (
        *("green", "position"), *(8, 8),
    )  # fmt: skip
    assert np.sum(body["map"]) == pytest.approx(0, abs=1e-3)  # a linear head
    answer = client.post("/saliency?label=green", data=PHOTO)
    with Image.open(io.BytesIO(answer.data)) as picture:
        assert (answer.mimetype, picture.size) == ("image/png", (32, 32))


@pytest.mark.parametrize(("method", "side"), [("masks", 16), ("occlusion", 14)])
def test_finer_saliency_is_asked_for(method, side, client):
    body = client.post(f"/saliency?method={method}", data=PHOTO, headers=JSON).json
    assert (body["method"], body["height"], body["width"]) == (method, side, side)
    assert np.ptp(body["map"]) > 0
    answer = client.post(f"/saliency?method={method}", data=PHOTO)
    with Image.open(io.BytesIO(answer.data)) as picture:
        assert (answer.mimetype, picture.size) == ("image/png", (32, 32))


@pytest.mark.parametrize("method", ["masks", "occlusion"])
def test_a_second_finer_saliency_at_the_same_time_is_told_to_wait(method, client):
    with inside._fine:
        answer = client.post(f"/saliency?method={method}", data=PHOTO)
        assert client.post("/saliency", data=PHOTO).status_code == 200  # by position
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "busy")
    assert answer.headers["Retry-After"] == "3"
    assert client.post(f"/saliency?method={method}", data=PHOTO).status_code == 200


def test_layers_say_what_a_probe_reads_from_them(client):
    body = client.get("/layers").json
    assert body["insight"] is True
    assert body["chance"] == pytest.approx(1 / 2)  # of the validation photos half are of one class
    assert {layer["name"]: layer["probe_accuracy"] for layer in body["layers"]} == {
        "block1_relu": pytest.approx(1.0), "block2_relu": pytest.approx(1.0),
    }  # fmt: skip


def test_a_layer_lists_its_channels(client, classifier):
    body = client.get("/layers/block1_relu").json
    assert body["hint"] is None
    assert [row["channel"] for row in body["channels"]] == list(range(8))
    arrays = classifier.insight.layer("block1_relu").arrays
    for row in body["channels"]:
        channel = row["channel"]
        assert row["dead"] == (arrays["class"][channel] < 0)
        assert row["alive"] == pytest.approx(float(arrays["alive"][channel]), abs=1e-4)


def test_a_channel_says_what_it_detects(client, classifier):
    layer = classifier.insight.layer("block2_relu")
    channel = int(layer.arrays["selectivity"].argmax())
    body = client.get(f"/layers/block2_relu/channels/{channel}").json
    facts = body["facts"]
    assert facts["class"] in classifier.class_names
    assert body["words"].startswith(("fires most for", "fires for all classes alike"))
    assert f"“{facts['class']}”" in body["words"]
    assert len(body["exemplars"]) == 9
    weights = {row["label"]: row["weight"] for row in facts["weights"]}
    assert set(weights) == set(classifier.class_names)
    assert list(weights.values()) == sorted(weights.values(), reverse=True)
    first = client.get("/layers/block1_relu/channels/0").json
    assert first["facts"]["weights"] is None  # not what the head reads


def test_exemplars_are_kept_for_good_by_whoever_asks(client):
    address = client.get("/layers/block2_relu/channels/1").json["image"]
    answer = client.get(address)
    assert answer.mimetype == "image/webp"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert Image.open(io.BytesIO(answer.data)).format == "WEBP"
    other = client.get(address.partition("?")[0])  # of no version in particular
    assert other.headers["Cache-Control"] == "no-cache"
    again = client.get(address.partition("?")[0], headers={"If-None-Match": other.headers["ETag"]})
    assert again.status_code == 304


def test_where_keys_are_asked_for_no_shared_cache_keeps_exemplars(insight_bundle, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("0123456789abcdef-secret\n")
    key = {"X-API-Key": "0123456789abcdef-secret"}
    client = create_app([insight_bundle], Settings(api_keys=keys)).test_client()
    address = client.get("/layers/block2_relu/channels/1", headers=key).json["image"]
    kept = client.get(address, headers=key).headers["Cache-Control"]
    assert kept == "private, max-age=31536000, immutable"


def test_a_bundle_without_insight_says_how_to_add_it(plain_client):
    assert plain_client.get("/layers").json["insight"] is False
    assert plain_client.get("/models").json["models"][0]["trust"] is None
    body = plain_client.get("/layers/block1_relu").json
    assert body["channels"] is None
    assert "python -m training insight" in body["hint"]
    channel = plain_client.get("/layers/block1_relu/channels/0").json
    assert (channel["facts"], channel["image"], channel["exemplars"]) == (None, None, [])
    assert "python -m training insight" in channel["hint"]
    address = "/models/tiny/layers/block1_relu/channels/0/exemplars"
    assert plain_client.get(address).status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "code", "words"),
    [
        ("/layers/block3_relu", 404, "unknown_layer", "block2_relu"),
        ("/layers/pool", 404, "unknown_layer", "layer with feature maps"),  # no height and width
        ("/layers/block1_relu/channels/8", 404, "unknown_channel", "0 to 7, nearest: 7"),
        ("/layers/block1_relu/channels/-1", 404, "unknown_channel", "nearest: 0"),
        ("/layers/block1_relu/channels/one", 404, "unknown_channel", "0 to 7"),
        ("/layers/block1_relu/channels/%D9%A3", 404, "unknown_channel", "0 to 7"),  # an Arabic 3
        ("/models/colours/layers/block1_relu/channels/9999999999/exemplars", 404,
         "unknown_channel", "0 to 7"),
        ("/models/colours/layers/block1_relu/channels/0/visualisation", 404, "not_found",
         "--visualise"),
        ("/models/other/layers/block1_relu", 404, "unknown_model", "colours"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named(path, status, code, words, client):
    answer = client.get(path)
    assert (answer.status_code, answer.json["error"]["code"]) == (status, code)
    assert words in answer.json["error"]["message"]


@pytest.mark.parametrize(
    ("path", "status", "code", "words"),
    [
        ("/activations?label=purple", 404, "unknown_class", "blue to red"),
        ("/saliency?label=", 404, "unknown_class", "blue to red"),
        ("/saliency?method=guess", 400, "setting", "expected position, masks, occlusion"),
        ("/activations?top=0", 400, "setting", "expected 1 to 1000"),
        ("/activations/block1_relu?channels=top:0", 400, "setting", "at least one"),
        ("/activations/block1_relu?channels=8", 404, "unknown_channel", "0 to 7"),
        ("/activations/block1_relu?scale=both", 400, "setting", "layer or channel"),
        ("/activations/block1_relu?by=luck", 400, "setting", "strength or effect"),
        ("/activations/pool", 404, "unknown_layer", "layer with feature maps"),
    ],
)
def test_bad_questions_about_a_photo_get_clear_errors(path, status, code, words, client):
    answer = client.post(path, data=PHOTO)
    assert (answer.status_code, answer.json["error"]["code"]) == (status, code)
    assert words in answer.json["error"]["message"]


def test_a_sheet_by_effect_of_a_model_without_insight_says_what_is_missing(plain_client):
    answer = plain_client.post("/activations/block1_relu?by=effect", data=PHOTO)
    assert answer.status_code == 400
    assert "python -m training insight" in answer.json["error"]["message"]


def test_no_photo_and_no_image_are_refused_on_every_route(client):
    for path in ("/activations", "/saliency"):
        assert client.post(path).json["error"]["code"] == "image_missing"
        assert client.post(path, data=b"text").json["error"]["code"] == "image_unsupported"


def test_channels_can_be_ranked_by_effect_and_drawn_over_the_photo(client):
    path = "/activations/block2_relu?channels=top:4&by=effect&label=red"
    rows = client.post(path, data=PHOTO, headers=JSON).json["channels"]
    effects = [row["effect"] for row in rows]
    assert effects == sorted(effects, reverse=True)
    answer = client.post(path + "&overlay=1&scale=channel&tile=64", data=PHOTO)
    with Image.open(io.BytesIO(answer.data)) as picture:
        assert (picture.mode, picture.size) == ("RGB", (2 * 64 + 1, 2 * 64 + 1))
    grey = client.post("/activations/block2_relu?colour=grey", data=PHOTO)
    pixels = np.asarray(Image.open(io.BytesIO(grey.data)).convert("RGB"))
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_on_its_own_scale_every_living_channel_is_bright(client):
    path = "/activations/block2_relu?scale={}&tile=8"
    shared, own = (
        np.asarray(Image.open(io.BytesIO(client.post(path.format(s), data=PHOTO).data)))
        for s in ("layer", "channel")
    )
    assert shared.shape == own.shape
    assert own.astype(int).sum() > shared.astype(int).sum()

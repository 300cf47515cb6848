"""The HTTP surface, through Flask's own client: answers, error shapes, no TensorFlow."""

import errno
import io
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from models.bundle import Bundle, seal
from models.classifier import Classifier
from service.app import create_app
from service.settings import Settings


def photo(colour: tuple[int, int, int] = (200, 30, 30), kind: str = "PNG") -> bytes:
    """A 40 px photo with a bright bar, so that maps are not all alike."""
    pixels = np.full((40, 40, 3), colour, np.uint8)
    pixels[10:20] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def client(tiny_bundle: Path) -> FlaskClient:
    return create_app([tiny_bundle], Settings(photos_per_request=3)).test_client()


@pytest.fixture(scope="module")
def classifier(tiny_bundle: Path) -> Classifier:
    return Classifier(Bundle(tiny_bundle))


def test_a_raw_body_and_a_multipart_field_get_the_same_answer(client, classifier):
    raw = client.post("/predict", data=photo())
    form = client.post("/predict", data={"image": (io.BytesIO(photo()), "a.png")})
    assert raw.status_code == form.status_code == 200
    assert raw.json == form.json
    expected = classifier.predict(classifier.decode(photo())[None])[0]
    best = raw.json["predictions"][0]
    assert best["label"] == classifier.class_names[expected.argmax()]
    assert best["probability"] == pytest.approx(expected.max(), abs=1e-6)
    assert raw.json["model"] == classifier.name
    assert raw.json["version"] == "1"


def test_predictions_are_sorted_and_as_many_as_asked_for(client, classifier):
    answer = client.post("/predict?top=2", data=photo()).json["predictions"]
    assert len(answer) == 2
    assert answer[0]["probability"] >= answer[1]["probability"]
    everything = client.post("/predict?top=1000", data=photo()).json["predictions"]
    assert len(everything) == len(classifier.class_names)
    assert sum(one["probability"] for one in everything) == pytest.approx(1, abs=1e-5)


def test_several_photos_are_answered_in_order(client):
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    files = [(io.BytesIO(photo(colour)), "a.png") for colour in colours]
    results = client.post("/predict", data={"image": files}).json["results"]
    alone = [client.post("/predict", data=photo(colour)).json["predictions"] for colour in colours]
    assert [result["predictions"] for result in results] == alone


def test_the_same_routes_answer_below_the_models_name(client, classifier):
    named = client.post(f"/models/{classifier.name}/predict", data=photo())
    assert named.json == client.post("/predict", data=photo()).json
    assert client.get(f"/models/{classifier.name}/layers").json == client.get("/layers").json


def test_a_sheet_has_a_tile_for_every_channel(client, classifier):
    layer = classifier.manifest.layers[0]
    answer = client.post(f"/activations/{layer.name}?tile=16", data=photo())
    assert answer.mimetype == "image/png"
    sheet = Image.open(io.BytesIO(answer.data))
    # 8 channels of 16 px in 3 columns and 3 rows, 1 px between tiles
    assert sheet.size == (3 * 16 + 2, 3 * 16 + 2)


def test_the_numbers_of_a_layer_are_its_feature_maps(client, classifier):
    layer = classifier.manifest.layers[1]
    headers = {"Accept": "application/json"}
    answer = client.post(f"/activations/{layer.name}", data=photo(), headers=headers).json
    maps = classifier.look(classifier.decode(photo()), [layer.name]).maps[layer.name]
    found = np.array([channel["map"] for channel in answer["channels"]])
    assert [channel["channel"] for channel in answer["channels"]] == list(range(layer.channels))
    np.testing.assert_allclose(found.transpose(1, 2, 0), maps, atol=1e-5)
    assert answer["layer"]["stride"] == layer.stride


def test_the_strongest_channels_come_first_when_asked_for_by_strength(client, classifier):
    layer = classifier.manifest.layers[1].name
    headers = {"Accept": "application/json"}
    url = f"/activations/{layer}?channels=top:3"
    channels = client.post(url, data=photo(), headers=headers).json["channels"]
    strengths = [channel["strength"] for channel in channels]
    assert len(strengths) == 3
    assert strengths == sorted(strengths, reverse=True)
    everything = client.post(f"/activations/{layer}", data=photo(), headers=headers).json
    assert strengths[0] == max(channel["strength"] for channel in everything["channels"])


def test_channels_can_be_named(client, classifier):
    layer = classifier.manifest.layers[0].name
    headers = {"Accept": "application/json"}
    answer = client.post(f"/activations/{layer}?channels=5,2", data=photo(), headers=headers).json
    assert [channel["channel"] for channel in answer["channels"]] == [5, 2]


@pytest.mark.parametrize(
    ("url", "data", "status", "code"),
    [
        ("/predict", b"", 400, "image_missing"),
        ("/predict", b"<html>not a photo</html>", 415, "image_unsupported"),
        ("/predict", photo(kind="TIFF"), 415, "image_unsupported"),  # off by default
        ("/predict", photo(kind="JPEG")[:400], 422, "image_unreadable"),
        ("/predict?top=0", photo(), 400, "setting"),
        ("/predict?top=many", photo(), 400, "setting"),
        ("/models/nobody/predict", photo(), 404, "unknown_model"),
        ("/activations/block1_rel", photo(), 404, "unknown_layer"),
        ("/activations/block1_relu", b"", 400, "image_missing"),
        ("/activations/block1_relu?channels=top:0", photo(), 400, "setting"),
        ("/activations/block1_relu?channels=8", photo(), 404, "unknown_channel"),  # 0 to 7
        ("/activations/block1_relu?channels=", photo(), 400, "setting"),
        ("/activations/block1_relu?channels=top:" + "9" * 5000, photo(), 400, "setting"),
        ("/activations/block1_relu?tile=513", photo(), 400, "setting"),
        ("/nowhere", b"", 404, "not_found"),
        ("/layers", b"", 405, "method_not_allowed"),
    ],
)
def test_bad_input_gets_a_clear_error_in_one_shape(client, url, data, status, code):
    answer = client.post(url, data=data)
    assert answer.status_code == status, answer.text
    assert answer.json["error"]["code"] == code
    assert len(answer.json["error"]["message"]) > 10  # a sentence, not a number


def test_an_unknown_layer_is_answered_with_the_nearest_names(client):
    answer = client.post("/activations/block1_rel", data=photo())
    assert "block1_relu" in answer.json["error"]["message"]


def test_too_many_photos_are_refused(client):
    files = [(io.BytesIO(photo()), "a.png") for _ in range(4)]  # the limit here is 3
    answer = client.post("/predict", data={"image": files})
    assert (answer.status_code, answer.json["error"]["code"]) == (413, "too_many_images")


def test_a_body_over_the_limit_is_refused(tiny_bundle):
    client = create_app([tiny_bundle], Settings(upload_bytes=1000)).test_client()
    answer = client.post("/predict", data=b"\x89PNG" + bytes(2000))
    assert (answer.status_code, answer.json["error"]["code"]) == (413, "request_too_large")


def test_a_photo_over_the_pixel_limit_is_refused(tiny_bundle):
    client = create_app([tiny_bundle], Settings(photo_megapixels=0.001)).test_client()
    answer = client.post("/predict", data=photo())  # 1,600 pixels
    assert (answer.status_code, answer.json["error"]["code"]) == (413, "image_too_large")


def test_a_sheet_or_a_list_of_numbers_beyond_its_limit_is_refused(tiny_bundle):
    settings = Settings(sheet_pixels=1000, activation_numbers=100)
    client = create_app([tiny_bundle], settings).test_client()
    sheet = client.post("/activations/block1_relu?tile=64", data=photo())
    assert (sheet.status_code, sheet.json["error"]["code"]) == (400, "setting")
    few = create_app([tiny_bundle], Settings(sheet_pixels=20_000)).test_client()
    for over, status in (("0", 200), ("1", 400)):  # a photo has three numbers a pixel
        sheet = few.post(f"/activations/block1_relu?tile=32&overlay={over}", data=photo())
        assert sheet.status_code == status, over
    exact = create_app([tiny_bundle], Settings(sheet_pixels=6_000)).test_client()
    for tile, status in ((16, 200), (24, 400)):  # tiles of 24 px are drawn with 32
        sheet = exact.post(f"/activations/block1_relu?tile={tile}", data=photo())
        assert sheet.status_code == status, tile
    headers = {"Accept": "application/json"}
    numbers = client.post("/activations/block1_relu", data=photo(), headers=headers)
    assert (numbers.status_code, numbers.json["error"]["code"]) == (400, "setting")


def test_a_bug_is_logged_and_answered_without_a_traceback(tiny_bundle, monkeypatch, caplog):
    app = create_app([tiny_bundle])
    monkeypatch.setattr(Classifier, "predict", lambda *_: 1 / 0)
    answer = app.test_client().post("/predict", data=photo())
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "internal")
    assert "ZeroDivisionError" in caplog.text
    assert "division" not in answer.text


def test_what_the_system_lacks_is_not_blamed_on_the_photo(client, monkeypatch, caplog):
    def without_descriptors(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files", "/opt/PIL/AvifImagePlugin.py")

    with monkeypatch.context() as patch:
        patch.setattr("models.images.Image.open", without_descriptors)
        answer = client.post("/predict", data=photo())
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "internal")
    assert "Too many open files" in caplog.text
    assert "open" not in answer.text
    assert client.post("/predict", data=photo()).status_code == 200


def test_models_and_layers_describe_what_is_served(client, classifier):
    (model,) = client.get("/models").json["models"]
    assert model["name"] == classifier.name
    assert model["classes"] == len(classifier.class_names)
    assert set(model["depths"]) <= {layer.name for layer in classifier.manifest.layers}
    layers = client.get("/layers").json["layers"]
    assert layers[0] == classifier.manifest.layers[0].model_dump() | {
        "probe_accuracy": None,  # a bundle without insight
        "dead_share": None,
        "duplicate_share": None,
    }


def test_numbers_as_classes_are_listed_in_their_own_order(tiny_bundle, tmp_path):
    target = tmp_path / "numbers"
    shutil.copytree(tiny_bundle, target)
    manifest = Bundle(target).manifest
    (target / "manifest.json").unlink()
    names = ["1", "10", "2"]  # as the network has them
    update = {"name": "numbers", "class_names": names, "files": {}}
    seal(target, manifest.model_copy(update=update), target)
    app = create_app([target]).test_client()
    assert app.get("/models").json["models"][0]["class_names"] == ["1", "2", "10"]
    answer = app.post("/predict", data=photo()).json["predictions"]
    classifier = Classifier(Bundle(target))
    expected = classifier.predict(classifier.decode(photo())[None])[0]
    assert answer[0]["label"] == names[expected.argmax()]


def test_live_and_ready_answer(client, classifier):
    assert client.get("/v2/health/live").json == {"live": True}
    assert client.get("/v2/health/ready").json == {"ready": True, "models": [classifier.name]}


def test_ready_says_what_is_wrong(tiny_bundle, monkeypatch):
    app = create_app([tiny_bundle])
    (model,) = app.extensions["shelf"]()
    broken = SimpleNamespace(run=lambda *_: [np.full((1, 1), np.nan)])
    monkeypatch.setattr(model.predictor, "_session", broken)
    answer = app.test_client().get("/v2/health/ready")
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "not_ready")
    assert answer.headers["Retry-After"] == "1"


def test_only_the_pages_own_files_are_served(client):
    with client.get("/") as page:
        assert page.mimetype == "text/html"
    assert client.get("/page/../app.py").status_code == 404
    assert client.get("/page/%2e%2e/app.py").status_code == 404
    name = client.get("/models").json["models"][0]["name"]
    assert client.get(f"/models/{name}/samples/..%2fmanifest.json").status_code == 404


def test_no_answer_needs_tensorflow(tiny_bundle):
    """In a fresh process, every route is asked, and neither library is loaded after it."""
    script = textwrap.dedent("""
        import base64, io, json, sys
        from pathlib import Path
        import numpy as np
        from PIL import Image
        from service.app import create_app
        app = create_app([Path(sys.argv[1])])
        client, buffer = app.test_client(), io.BytesIO()
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(buffer, "PNG")
        (model,) = client.get("/models").json["models"]
        values = {"name": model["name"], "layer": model["depths"][0], "file": "index.html"}
        values["verb"] = "predict"
        photo = base64.b64encode(buffer.getvalue()).decode()
        tensor = {"name": "encoded", "datatype": "BYTES", "shape": [1], "data": [photo]}
        bodies = {"infer": {"inputs": [tensor]}, "predict": {"instances": [{"b64": photo}]}}
        asked = 0
        for rule in app.url_map.iter_rules():
            path = str(rule)
            for key, value in values.items():
                path = path.replace(f"<{key}>", value).replace(f"<path:{key}>", value)
            method = "POST" if "POST" in rule.methods else "GET"
            last = path.rpartition("/")[2].rpartition(":")
            protocol = last[2] == "infer" or last[1]
            data = json.dumps(bodies[last[2]]) if protocol else buffer.getvalue()
            answer = client.open(path, method=method, data=data)
            assert answer.status_code in (200, 404), (path, answer.status_code)
            asked += 1
        loaded = [name for name in ("tensorflow", "keras", "torch", "onnx") if name in sys.modules]
        print(json.dumps({"asked": asked, "loaded": loaded}))
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tiny_bundle)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert answer["loaded"] == []
    assert answer["asked"] >= 14  # every route there is today

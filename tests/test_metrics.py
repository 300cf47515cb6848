"""GET /metrics: what it holds, and who may read it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families

from models.classifier import Reading
from service.app import create_app
from service.settings import Settings
from service.watching.metrics import METRICS, MOST_CLASSES, Metrics
from service.watching.record import record_in
from service.watching.routes import template
from service.watching.shared_values import SharedValues
from tests.conftest import encode_photo, paint_photo
from tests.making import COLOURS, believe_colours, colour_bundle, picture
from tests.scraping import Samples, parsed, total, value

RED, YELLOWISH = picture(COLOURS["red"]), picture((130, 120, 5))


@pytest.fixture(scope="module")
def believed(tmp_path_factory):
    place = tmp_path_factory.mktemp("bundles")
    return believe_colours(colour_bundle(place / "plain"), place / "believed")


@pytest.fixture
def client(believed):
    return create_app([believed, believed.parent / "plain"], Settings()).test_client()


def scrape(client: Any) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return parsed(answer.text)


def test_photos_are_counted_by_class_confidence_and_likeness(client):
    for photo in (RED, RED, RED, YELLOWISH):
        assert client.post("/predict", data=photo).status_code == 200
    client.post("/models/plain/predict", data=picture(COLOURS["green"]))
    client.post("/predict", data=b"no photo")
    found = scrape(client)
    counted = "layerscope_predictions_total"
    assert value(found, counted, model="believed", **{"class": "red"}) == 4
    assert value(found, counted, model="plain", **{"class": "green"}) == 1
    assert value(found, "layerscope_photos_judged_total", model="believed") == 4
    assert value(found, "layerscope_photos_unlike_total", model="believed") == 1
    assert total(found, "layerscope_photos_judged_total", model="plain") == 0  # it cannot tell
    assert value(found, "layerscope_confidence_count", model="believed") == 4
    assert value(found, "layerscope_confidence_bucket", model="believed", le="1.0") == 4
    assert value(found, "layerscope_confidence_bucket", model="believed", le="0.1") == 0
    sums = value(found, "layerscope_confidence_sum", model="believed")
    assert 3 < sums < 4  # three are nearly certain


def test_looking_inside_counts_the_photo_too(tiny_bundle):
    client = create_app([tiny_bundle], Settings()).test_client()
    photo = encode_photo(paint_photo(60, 80), "JPEG")
    assert client.post("/activations", data=photo).status_code == 200
    assert client.post("/saliency", data=photo).status_code == 200  # the same photo again
    assert total(scrape(client), "layerscope_predictions_total", model="tiny") == 1


def test_models_that_are_served_are_told_with_version_and_fingerprint(client):
    infos = {dict(own)["model"]: dict(own) for name, own in scrape(client)
             if name == "layerscope_model_info"}  # fmt: skip
    assert set(infos) == {"believed", "plain"}
    assert infos["plain"]["version"] == "1"
    assert len(infos["plain"]["fingerprint"]) == 16
    assert value(scrape(client), "layerscope_models_refused") == 0


def predict(metrics: Metrics, names: list[str], *indices: int) -> None:
    """Count predictions of a model with classes that no bundle has."""
    model: Any = SimpleNamespace(name="many", familiarity=None, class_names=names)
    for index in indices:
        row = np.zeros(len(names), np.float32)
        row[index] = 1.0000001  # a sum of float32 may be
        metrics.predicted(model, Reading(row, None))


def test_classes_beyond_the_most_share_a_label():
    metrics = Metrics(SharedValues())
    names = [f"c{n}" for n in range(MOST_CLASSES + 5)]
    predict(metrics, names, 0, MOST_CLASSES - 1, MOST_CLASSES, MOST_CLASSES + 4)
    counted = {key[2]: n[0] for _, _, key, n in metrics.values.read() if "predictions" in key[0]}
    assert counted == {"c0": 1, f"c{MOST_CLASSES - 1}": 1, "(other)": 2}


def test_what_finds_no_place_is_counted_as_dropped(client):
    metrics: Metrics = client.application.extensions["metrics"]
    for number in range(5_000):
        metrics.count("layerscope_requests_total", str(number), "200")
    found = scrape(client)
    kept = total(found, "layerscope_requests_total")
    assert kept + value(found, "layerscope_series_dropped_total") == 5_000
    assert 4_000 < kept < 5_000


def test_a_class_name_that_is_hostile_stays_a_label(client):
    names = ['a"b\\c\nlayerscope_forged 1\x1b', "\ud800"]
    predict(client.application.extensions["metrics"], names, 0, 1)
    found = scrape(client)
    told = {dict(own)["class"] for name, own in found if name == "layerscope_predictions_total"}
    assert told == {'a"b\\c\\nlayerscope_forged 1\\x1b', "?"}
    assert "layerscope_forged" not in {name for name, _ in found}


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/predict", "/predict"),
        ("GET", "/predict", "/predict"),  # 405
        ("FORGED", "/models/x/predict", "/models/<name>/predict"),
        (
            "GET",
            "/models/a/versions/7/layers/b",
            "/models/<name>/versions/<version>/layers/<layer>",
        ),
        ("GET", "/no/such/path", "(unknown)"),
        ("GET", "/\xff\xfe", "(unknown)"),
        ("OPTIONS", "/predict", "/predict"),
        ("GET", "*", "(unknown)"),
    ],
)
def test_a_path_is_known_by_its_template_alone(client, method, path, route):
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method}
    assert template(client.application.url_map, environ) == route


def test_prometheus_gets_the_form_it_asks_for(client):
    client.post("/predict", data=RED)
    plain = client.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"
    answer = client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in open_families(answer.text)}
    assert {name.removesuffix("_total") for name in METRICS} == names
    odd = {"Accept": "application/openmetrics-text;version=x;escaping=\xff"}
    assert client.get("/metrics", headers=odd).status_code == 200


def test_every_metric_is_described_once(client):
    lines = client.get("/metrics").text.splitlines()
    kinds = {line.split()[2]: line.split()[3] for line in lines if line.startswith("# TYPE")}
    expected = {"shelf": "gauge", "worker": "gauge"}
    assert kinds == {name: expected.get(m.kind, m.kind) for name, m in METRICS.items()}


def test_with_keys_metrics_need_one_and_answer_under_any_name(believed, tmp_path):
    (tmp_path / "keys").write_text("0123456789abcdef\n")
    settings = Settings(api_keys=tmp_path / "keys", allow_hosts=("example.org",))
    client = create_app([believed], settings).test_client()
    by_address = {"Host": "10.0.0.7:8000"}
    assert client.get("/metrics", headers=by_address).status_code == 401
    sent = by_address | {"Authorization": "Bearer 0123456789abcdef"}
    assert client.get("/metrics", headers=sent).status_code == 200
    assert client.get("/models", headers=sent).status_code == 400
    open_to_all = create_app([believed], Settings(allow_hosts=("example.org",))).test_client()
    assert open_to_all.get("/metrics", headers=by_address).status_code == 400


def test_stages_of_a_photo_are_timed_once_each(client):
    with client.application.test_request_context(
        "/predict", method="POST", data=RED, environ_overrides={"REMOTE_ADDR": "127.0.0.1"}
    ) as context:
        assert client.application.full_dispatch_request().status_code == 200
        known = record_in(context.request.environ)
    assert (known.route, known.model, known.version, known.photos) == (
        *("/predict", "believed", "1", 1),
    )
    assert set(known.times) == {"wait", "decode", "network"}
    assert all(0 < seconds < 10 for seconds in known.times.values())

"""GET /metrics: what it holds, who may read it, and that it is right whatever workers do."""

import os
import signal
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families

from models.classifier import Reading
from service.app import create_app
from service.settings import Settings
from service.watching.metrics import METRICS, MOST_CLASSES, Metrics
from service.watching.record import record_in
from service.watching.routes import template
from service.watching.shared_values import SharedValues
from tests.conftest import encode_photo, paint_photo
from tests.making import COLOURS, believe_colours, colour_bundle, picture
from tests.serving import Server, post_head, read_answer, serving
from tests.watching import wait_for

RED, YELLOWISH = picture(COLOURS["red"]), picture((130, 120, 5))
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for name, labels, value, *_ in family.samples:
            key = name, frozenset(labels.items())
            assert key not in found, key
            found[key] = value
    return found


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def total(samples: Samples, name: str, **labels: str) -> float:
    """The sum of all series of a metric that have these labels."""
    wanted = set(labels.items())
    return sum(v for (found, own), v in samples.items() if found == name and wanted <= own)


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


def metrics_of(server: Server) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=30) as answer:
        return parsed(answer.read().decode())


@pytest.mark.alone
def test_every_answer_is_counted_by_its_route_and_status(tiny_bundle: Path):
    with serving(tiny_bundle, workers=2) as server:
        photo = encode_photo(paint_photo(60, 80), "JPEG")
        before = metrics_of(server)
        for _ in range(5):
            assert server.ask("/predict", photo)[0] == 200
        assert server.ask("/models/tiny/predict", b"no photo")[0] == 415
        for number in range(30):
            assert server.ask(f"/no/such/{number}")[0] == 404
        assert server.ask("/predict")[0] == 405
        assert b"400" in server.raw(b"no http\r\n\r\n")
        found = metrics_of(server)
        told = "layerscope_requests_total"
        assert value(found, told, route="/predict", status="200") == 5
        assert value(found, told, route="/predict", status="405") == 1
        assert value(found, told, route="/models/<name>/predict", status="415") == 1
        assert value(found, told, route="(unknown)", status="404") == 30
        assert value(found, told, route="(broken)", status="400") == 1
        assert value(found, told, route="/metrics", status="200") == 1  # the one before
        assert value(found, "layerscope_request_seconds_count", route="/predict") == 6
        for stage in ("read", "wait", "decode", "network", "encode", "write"):
            count = value(found, "layerscope_stage_seconds_count", stage=stage)
            assert count >= 5, stage
        received = "layerscope_received_bytes_total"
        assert value(found, received) - value(before, received) == 5 * len(photo) + len(b"no photo")
        assert value(found, "layerscope_workers") == 2
        assert total(found, "layerscope_memory_bytes") > 2 * 20_000_000
        assert len([name for name, _ in found if name == "layerscope_memory_bytes"]) == 2
        assert value(found, "layerscope_requests_waiting", lane="photos") == 0


@pytest.mark.alone
def test_sums_never_fall_while_workers_are_killed_and_replaced(tiny_bundle: Path):
    photo = encode_photo(paint_photo(60, 80), "JPEG")
    with serving(tiny_bundle, workers=2, options=("--no-access-log",)) as server:
        answered, failed = [0], [0]
        falls: list[tuple[Any, float, float]] = []
        ended = threading.Event()
        lock = threading.Lock()

        def ask() -> None:
            while not ended.is_set():
                try:
                    ok = server.ask("/predict", photo)[0] == 200
                except OSError:
                    ok = False
                except Exception:  # the answer broke off
                    ok = False
                with lock:
                    (answered if ok else failed)[0] += 1

        def watch() -> None:
            before: Samples = {}
            while not ended.is_set():
                try:
                    found = metrics_of(server)
                except (OSError, urllib.error.URLError):
                    continue
                for key, number in before.items():
                    counts = key[0].endswith(("_total", "_count", "_bucket", "_sum"))
                    if counts and found.get(key, -1) < number:
                        falls.append((key, number, found.get(key, -1)))
                before = found
                time.sleep(0.05)

        def replaced(signal_number: int) -> None:
            old = server.workers()
            os.kill(old[0], signal_number)
            wait_for(
                lambda: (len(new := server.workers()) == 2 and old[0] not in new) or None,
                "another worker",
            )
            goal = answered[0] + 30
            wait_for(lambda: answered[0] >= goal or None, "answers")

        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(ask) for _ in range(3)] + [pool.submit(watch)]
            try:
                wait_for(lambda: answered[0] >= 30 or None, "answers")
                for signal_number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
                    replaced(signal_number)
            finally:
                ended.set()
            for job in jobs:
                job.result()
        assert falls == []
        found = metrics_of(server)
        counted = value(found, "layerscope_requests_total", route="/predict", status="200")
        assert answered[0] <= counted <= answered[0] + failed[0]
        assert failed[0] <= 2 * 3 * 3  # of three clients at each kill: the one under way, few more
        predicted = total(found, "layerscope_predictions_total")
        assert counted <= predicted <= answered[0] + failed[0]
        assert value(found, "layerscope_worker_starts_total") == 5
        assert wait_for(
            lambda: value(metrics_of(server), "layerscope_workers") == 2 or None, "two workers"
        )


@pytest.mark.alone
def test_a_request_that_is_cut_and_one_whose_client_leaves_count_once(tiny_bundle: Path):
    photo, told = encode_photo(paint_photo(60, 80), "JPEG"), "layerscope_requests_total"
    options = ("--read-seconds", "0.5")
    with serving(tiny_bundle, workers=1, options=options) as server:
        with server.connect(post_head("/predict", len(photo)) + photo[:50]) as half:
            assert read_answer(half)[0] == 408
        with server.connect(post_head("/predict", len(photo)) + photo[:50]) as leaving:
            leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        found = wait_for(
            lambda: (
                (told, frozenset({"route": "/predict", "status": "499"}.items()))
                in (now := metrics_of(server))
                and now
            ),
            "the one that left",
        )
        assert value(found, told, route="(broken)", status="408") == 1
        assert total(found, told, route="/predict") == 1


@pytest.mark.alone
def test_metrics_do_not_wait_behind_photos(tiny_bundle: Path):
    slow = "/saliency?method=occlusion"
    photo = encode_photo(paint_photo(60, 80), "JPEG")
    with serving(tiny_bundle, workers=1) as server, ThreadPoolExecutor(16) as clients:
        jobs = [clients.submit(server.ask, slow, photo, True) for _ in range(16)]
        seen = 0.0
        while not all(job.done() for job in jobs):
            found = metrics_of(server)  # whatever the photos do
            seen = max(seen, total(found, "layerscope_requests_running", lane="photos"))
        assert {job.result()[0] for job in jobs} <= {200, 503}
        assert 0 <= seen <= 4

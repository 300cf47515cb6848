"""Between SIGTERM and the end: not ready, alive, and every whole request is answered."""

import time

import pytest

from service.app import create_app
from service.health import STOPPING
from service.settings import Settings
from tests.conftest import encode_photo, paint_photo
from tests.serving import post_head, read_answer, serving

PHOTO = encode_photo(paint_photo(60, 80), "JPEG")


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def test_a_worker_that_stops_is_alive_and_not_ready(tiny_bundle):
    client = create_app([tiny_bundle], Settings()).test_client()
    assert client.get("/v2/health/ready").status_code == 200
    stopping = {STOPPING: True}
    answer = client.get("/v2/health/ready", environ_overrides=stopping)
    assert answer.status_code == 503
    assert answer.json["error"]["code"] == "not_ready"
    assert client.get("/v2/health/live", environ_overrides=stopping).status_code == 200


@pytest.mark.alone
def test_a_stop_is_told_on_open_connections_and_answers_what_is_under_way(tiny_bundle):
    with (
        serving(tiny_bundle, workers=1) as server,
        server.connect(get("/v2/health/ready")) as probe,
        server.connect(post_head("/predict", len(PHOTO)) + PHOTO[:99]) as photo,
    ):
        assert read_answer(probe)[0] == 200
        asked = get("/v2/health/ready")
        probe.sendall(asked[:-2])  # a connection that says nothing would be closed
        server.process.terminate()
        time.sleep(0.5)
        probe.sendall(asked[-2:])
        status, headers, body = read_answer(probe)
        assert (status, headers["connection"]) == (503, "close")
        assert b"not_ready" in body
        photo.sendall(PHOTO[99:])
        assert read_answer(photo)[0] == 200

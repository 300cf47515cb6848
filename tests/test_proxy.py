"""Several instances behind HAProxy, with the configuration of deploy/proxy."""

import http.client
import http.server
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from flask import Flask

from benchmarks.instances import addressed
from benchmarks.serving import free_port
from service import health
from service.settings import Settings
from tests.making import COLOURS, colour_bundle, picture
from tests.serving import ROOT, WAIT_S, Server, serving

CONFIG = ROOT / "deploy/proxy/haproxy.cfg"
TEXT = CONFIG.read_text(encoding="utf-8")
BUSY = b'{"error": {"code": "busy", "message": "24 requests are in work"}}'


def haproxy():
    """Find the program; without it the test is skipped, but where CI runs it fails."""
    path = shutil.which("haproxy")
    if path is None:
        reason = "needs haproxy, a Debian package"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@contextmanager
def proxy(folder, instances):
    """The proxy in front of instances; it has asked each of them once."""
    port, config = free_port(), folder / "haproxy.cfg"
    config.write_text(addressed(TEXT, port, instances))
    process = subprocess.Popen([haproxy(), "-f", str(config)], stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + WAIT_S
        while True:
            try:
                Server(port).ask("/v2/health/live")
                break
            except OSError:
                assert process.poll() is None, "the proxy ended"
                assert time.monotonic() < limit, "the proxy does not answer"
                time.sleep(0.05)
        yield Server(port)
    finally:
        process.send_signal(signal.SIGUSR1)  # it ends when its connections have
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def full_instance():
    """What says that it is ready, and that it is full; the requests that it got."""
    posted = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer(200, b"{}")

        def do_POST(self):
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(503, BUSY)

        def _answer(self, status, body):
            self.send_response(status)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1], posted
        finally:  # also where the proxy is not there: else it would run for ever
            server.shutdown()
            thread.join()


def test_the_proxy_takes_its_settings():
    done = subprocess.run([haproxy(), "-c", "-f", str(CONFIG)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_asks_a_route_that_the_service_has_and_waits_longer_than_an_answer_may_take():
    app = Flask(__name__)
    app.register_blueprint(health.bp)
    (asked,) = re.findall(r"http-check send meth GET uri (\S+)", TEXT)
    assert asked in {rule.rule for rule in app.url_map.iter_rules()}
    (server_s,) = re.findall(r"timeout server (\d+)s", TEXT)
    assert int(server_s) > 2 * Settings().answer_s  # to compute, and to send
    assert "balance leastconn" in TEXT
    assert re.findall(r"retry-on (.*)", TEXT) == ["conn-failure"]


def test_the_addresses_can_be_replaced_and_nothing_else():
    changed = addressed(TEXT, 9, [1, 2, 3])
    assert re.findall(r"(?:bind|server \w+) (127\S+)", changed) == [
        f"127.0.0.1:{port}" for port in (9, 1, 2, 3)
    ]
    kept = [line for line in TEXT.splitlines() if not re.match(r"    (bind|server) ", line)]
    assert [line for line in changed.splitlines() if line in kept] == kept


@pytest.mark.alone
def test_the_503_of_a_full_instance_reaches_the_client_and_the_photo_is_sent_once(tmp_path):
    with ExitStack() as opened:
        (one, first), (two, second) = (opened.enter_context(full_instance()) for _ in range(2))
        server = opened.enter_context(proxy(tmp_path, [one, two]))
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("POST", "/predict", b"photo")
        response = connection.getresponse()
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert response.read() == BUSY
        connection.close()
        assert first + second == [b"photo"]


@pytest.mark.alone
def test_an_instance_that_stops_is_left_out_and_the_other_answers(tmp_path):
    photo, bundle = picture(COLOURS["red"]), colour_bundle(tmp_path / "colours")
    with ExitStack() as opened:
        staying = opened.enter_context(serving(bundle, workers=1))
        with ExitStack() as until:
            leaving = until.enter_context(serving(bundle, workers=1))
            server = opened.enter_context(proxy(tmp_path, [staying.port, leaving.port]))
            before = [server.ask("/predict", photo)[0] for _ in range(8)]
        after = [server.ask("/predict", photo) for _ in range(8)]  # at once: nobody listens there
        assert before == [200] * 8
        assert [status for status, _ in after] == [200] * 8
        assert after[0][1]["predictions"][0]["label"] == "red"

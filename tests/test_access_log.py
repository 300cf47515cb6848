"""The log of requests: one line each, JSON or words, nothing secret, nothing forged."""

import json
import logging
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.logs import FORMS, Form, JsonLine, OneLine, choose_form, say
from service.watching import access
from service.watching.access import LINES, AccessLog, Words
from tests.conftest import encode_photo, paint_photo
from tests.serving import post_head, read_answer, serving
from tests.watching import wait_for

PHOTO = encode_photo(paint_photo(60, 80), "JPEG")
KEY = "0123456789abcdef-secret"


def record(message: str, *arguments: Any, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("service.x", logging.WARNING, "f", 1, message, arguments, None)
    made.__dict__.update(more)
    return made


def test_a_message_is_one_json_object_on_one_line_of_ascii():
    line = JsonLine().format(record("model %s\n", "b\x1b[2J\u2028\u202e猫\x9b"))
    assert line.isascii()
    assert line.isprintable()
    told = json.loads(line)
    assert told["message"] == "model b\x1b[2J\u2028\u202e猫\x9b\n"
    assert told["level"] == "warning"
    assert told["time"].endswith("+00:00")
    assert isinstance(told["process"], int)


def test_a_traceback_is_a_field_of_its_line():
    try:
        raise ValueError("bad\nname")
    except ValueError:
        line = JsonLine().format(record("in it", exc_info=sys.exc_info()))
    assert "\n" not in line
    assert json.loads(line)["traceback"].endswith("ValueError: bad\nname")


def test_fields_take_the_place_of_the_message():
    told = json.loads(JsonLine().format(record("%s", "words", fields={"status": 200})))
    assert "message" not in told
    assert told["status"] == 200


def test_the_form_follows_the_terminal_unless_it_is_asked_for(monkeypatch):
    assert [choose_form(form) for form in FORMS[1:]] == ["text", "json"]
    for terminal, form in ((True, "text"), (False, "json")):
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        assert choose_form("auto") == form


def test_what_the_service_says_takes_the_same_form(monkeypatch, capsys):
    monkeypatch.setattr(Form, "used", "json")
    say("serving it", settings={"port": [1, "flag"]})
    told = json.loads(capsys.readouterr().out)
    assert (told["message"], told["settings"]) == ("serving it", {"port": [1, "flag"]})
    monkeypatch.setattr(Form, "used", "text")
    say("serving\x1b it", settings={})
    assert capsys.readouterr().out == "serving\\x1b it\n"


def test_words_hold_every_field_and_no_line_end():
    fields = {"request_id": "ab", "method": "GET", "path": "/x", "status": 404, "model": None,
              "version": "1\n2", "stages_ms": {"wait": 0.5}}  # fmt: skip
    line = OneLine("%(message)s").format(record("%s", Words(fields)))
    assert line == "request_id=ab GET /x 404 version=1\\n2 wait=0.5ms"


@contextmanager
def a_reader_that_stands_still():
    """A handler whose writes wait until the block says go."""
    go = threading.Event()

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            go.wait(30)

    handler = Slow()
    access.log.addHandler(handler)
    access.log.propagate = False
    try:
        yield go
    finally:
        go.set()
        access.log.removeHandler(handler)
        access.log.propagate = True


def test_a_reader_that_stands_still_delays_no_request():
    dropped: list[None] = []
    with a_reader_that_stands_still() as go:
        log = AccessLog(lambda: dropped.append(None))
        began = time.monotonic()
        for number in range(LINES + 100):
            log.put({"status": number})
        assert time.monotonic() - began < 20  # a write alone would take 30 s
        assert 90 <= len(dropped) <= 100  # the thread may hold one
        go.set()
        log.end()


@pytest.mark.alone
def test_the_service_answers_and_ends_though_nobody_reads_its_log(tiny_bundle):
    reading, writing = os.pipe()
    bad = b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n"
    try:
        with serving(tiny_bundle, workers=1, stdout=writing, stderr=writing) as server:
            (worker,) = server.workers()
            with server.connect() as one:
                for _ in range(400):  # a line each: the pipe holds 64 kB
                    one.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
                    assert read_answer(one)[0] == 404
            for _ in range(5):  # a message of the event loop's each
                assert server.raw(bad).split()[1] == b"400"
            os.kill(worker, signal.SIGKILL)  # of which the parent has something to say
            server.wait_until_ready()
            assert server.workers() != [worker]
            assert server.ask("/v2/health/live")[0] == 200
    finally:
        os.close(reading)
        os.close(writing)


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def access_lines(file: Path) -> list[dict[str, Any]]:
    return [line for line in lines_of(file) if "status" in line]


@pytest.fixture
def keys(tmp_path):
    (tmp_path / "keys").write_text(f"{KEY}\n")
    return ("--api-keys", str(tmp_path / "keys"))


@pytest.mark.alone
def test_every_request_has_one_line_of_json_without_keys_or_pixels(tiny_bundle, tmp_path, keys):
    log = tmp_path / "log"
    with (
        log.open("wb") as file,
        serving(tiny_bundle, workers=1, options=keys, stdout=file, stderr=file) as server,
        server.connect() as connection,
    ):
        secret = (f"Authorization: Bearer {KEY}", "X-Request-ID: mine-1")
        connection.sendall(post_head(f"/predict?key={KEY}", len(PHOTO), *secret) + PHOTO)
        status, headers, body = read_answer(connection)
        assert (status, headers["x-request-id"]) == (200, "mine-1")
        forged = post_head("/a%0a%22status%22:200%20b%ff", 0, f"X-API-Key: {KEY}")
        connection.sendall(forged)
        assert read_answer(connection)[0] == 404
        with server.connect(post_head("/predict", len(PHOTO)) + PHOTO) as without_key:
            refused = read_answer(without_key)
        with server.connect(b"no http\r\n\r\n") as other:
            broken = read_answer(other)
        assert (refused[0], broken[0]) == (401, 400)
        assert server.ask("/v2/health/ready")[0] == 200
        found = wait_for(lambda: len(lines := access_lines(log)) >= 4 and lines, "four lines")
    one, two, three, four = found
    assert one["request_id"] == "mine-1"
    assert (one["method"], one["path"], one["route"]) == ("POST", "/predict", "/predict")
    assert (one["status"], one["model"], one["version"]) == (200, "tiny", "1")
    assert (one["photos"], one["bytes_in"], one["bytes_out"]) == (1, len(PHOTO), len(body))
    assert set(one["stages_ms"]) == {"read", "wait", "decode", "network", "encode", "write"}
    assert 0 < sum(one["stages_ms"].values()) <= one["ms"]
    assert (two["path"], two["route"]) == ("/a%0A%22status%22:200%20b%FF", "(unknown)")
    assert (three["status"], three["photos"]) == (401, 0)
    assert three["request_id"] == refused[1]["x-request-id"]
    assert (four["status"], four["route"]) == (400, "(broken)")
    assert four["request_id"] == broken[1]["x-request-id"]
    text = log.read_text()
    assert KEY not in text
    assert "JFIF" not in text
    assert len(access_lines(log)) == 4  # health has none while it is well
    said = [line["message"] for line in lines_of(log) if "message" in line]
    assert any(message.startswith("serving tiny on ") for message in said)


@pytest.mark.alone
def test_the_lines_can_be_turned_off_and_messages_of_gunicorn_take_the_form(tiny_bundle, tmp_path):
    log = tmp_path / "log"
    options = ("--no-access-log", "--log", "json")
    with (
        log.open("wb") as file,
        serving(tiny_bundle, workers=1, options=options, stderr=file) as server,
    ):
        assert server.ask("/predict", PHOTO)[0] == 200
        old = server.workers()
        os.kill(old[0], signal.SIGKILL)
        wait_for(lambda: log.read_text(), "a message")
    assert any("SIGKILL" in line["message"] for line in lines_of(log))
    assert access_lines(log) == []


@pytest.mark.alone
def test_people_read_words(tiny_bundle, tmp_path):
    log = tmp_path / "log"
    with (
        log.open("wb") as file,
        serving(tiny_bundle, workers=1, options=("--log", "text"), stderr=file) as server,
    ):
        assert server.ask("/predict", PHOTO)[0] == 200
    (line,) = log.read_text().splitlines()  # it is written before the worker ends
    assert "[INFO] request_id=" in line
    assert " POST /predict route=/predict 200 model=tiny version=1 photos=1 " in line

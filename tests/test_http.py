"""What HTTP allows is answered, and what it does not is refused, in the one shape of an error."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.conftest import encode_photo, paint_photo
from tests.scraping import metrics_of, total
from tests.serving import WAIT_S, Server, post_head, read_answer, serving

pytestmark = pytest.mark.alone

PHOTO = encode_photo(paint_photo(48, 48))
POST = post_head("/predict", len(PHOTO)) + PHOTO
LONG = b"X: " + b"a" * 8_000 + b"\r\n"
HALF = post_head("/predict", 90_000) + b"some"


@pytest.fixture(scope="module")
def server(tiny_bundle: Path) -> Iterator[Server]:
    with serving(tiny_bundle, workers=1) as running:
        yield running


def code(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


def test_a_client_that_has_closed_its_side_gets_its_answer(server):
    assert server.raw(POST).startswith(b"HTTP/1.1 200")


def test_a_body_that_breaks_off_is_named(server):
    answer = server.raw(HALF)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"body_incomplete"' in answer
    assert b"after 4 bytes" in answer


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server):
    with server.connect(post_head("/predict", 40_000_000, "Expect: 100-continue")) as one:
        status, headers, body = read_answer(one)
        assert (status, code(body)) == (413, "request_too_large")  # and no 100 before it
        assert headers["connection"] == "close"


def test_a_client_that_still_sends_can_read_why_it_is_refused(server):
    with server.connect(post_head("/predict", 40_000_000)) as one:
        for _ in range(40):
            one.sendall(bytes(100_000))
        assert read_answer(one)[0] == 413


def test_a_chunked_body_is_read_and_counted(server):
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(PHOTO[at : at + 100]), PHOTO[at : at + 100])
        for at in range(0, len(PHOTO), 100)
    )
    with server.connect(head + chunks + b"0\r\n\r\n") as one:
        assert read_answer(one)[0] == 200
    with server.connect(head + b"1\r\na\r\n" * 2_000) as one:  # 6 bytes sent for 1 that counts
        status, _, body = read_answer(one)
        assert (status, code(body)) == (400, "bad_request")
        assert "chunks of a few bytes" in body.decode()
    with server.connect(head) as one:
        for _ in range(33):
            one.sendall(b"%x\r\n%b\r\n" % (1_000_000, bytes(1_000_000)))
        status, _, body = read_answer(one)
        assert (status, code(body)) == (413, "request_too_large")


def test_requests_sent_together_are_answered_in_order(server):
    get = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    with server.connect(POST + get + POST) as one:
        file = one.makefile("rb").read(1)  # whatever came first
        assert file == b"H"
    with server.connect(get + POST + get) as one:
        received = b""
        while received.count(b"HTTP/1.1 200") < 3 or not received.endswith(b"}\n"):
            received += one.recv(65536)
    assert received.index(b"live") < received.index(b"predictions") < received.rindex(b"live")


def test_requests_after_the_last_answer_do_not_destroy_it(server):
    get = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n"
    with server.connect() as one, ThreadPoolExecutor(1) as sender:
        done = sender.submit(one.sendall, get + b"Connection: close\r\n\r\n" + bytes(2_000_000))
        status, headers, _ = read_answer(one)
        assert (status, headers["connection"]) == (200, "close")
        done.result(30)
        assert one.recv(1) == b""  # an end, where a reset would raise ConnectionResetError


def test_whoever_sends_on_after_the_last_answer_is_heard_for_a_moment_only(server):
    with server.connect(post_head("/predict", 40_000_000)) as one:
        assert read_answer(one)[0] == 413
        for _ in range(WAIT_S * 20):
            try:
                one.sendall(b"more")
            except ConnectionError:
                break
            time.sleep(0.05)
        else:
            pytest.fail("the connection stays open")


def test_a_connection_that_stays_idle_is_closed(server):
    with server.connect(POST) as one:
        status, headers, _ = read_answer(one)
        assert (status, headers.get("connection")) != (200, "close")
        assert one.recv(1) == b""  # after 5 s; the test waits 30


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"\x00\x01\x02 not http\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 200 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + LONG * 9, b"431"),  # and its end does not come
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + LONG * 9 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", b"400"),
        (b"GET /models HTTP/1.1\r\n\r\n", b"400"),
        (b"GET ftp://x/models HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"GET http://a@x/models HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (b"GET http:///models HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        (post_head("/predict", 5, "Content-Length: 6"), b"400"),
        (b"POST /predict HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"400"),
        (post_head("/predict", 5, "Transfer-Encoding: chunked") + b"0\r\n\r\n", b"400"),
    ],
)  # fmt: skip
def test_what_is_no_http_is_refused_in_the_one_shape(server, content, status):
    head, _, body = server.raw(content).partition(b"\r\n\r\n")
    assert head.split()[1] == status
    assert code(body) == "bad_request"
    assert json.loads(body)["error"]["request_id"].encode() in head


@pytest.mark.parametrize(
    "content",
    [
        b"GET http://x/models HTTP/1.1\r\nHost: y\r\n\r\n",
        b"GET HTTP://x:80/models?a=//b HTTP/1.1\r\nHost: y\r\n\r\n",
        b"GET http://x?a HTTP/1.1\r\nHost: y\r\n\r\n",
        b"GET /models HTTP/1.0\r\n\r\n",
        b"\r\n\r\n\r\nGET /models HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    ],
)
def test_what_is_http_in_a_rare_form_is_answered(server, content):
    assert server.raw(content).split()[1] == b"200"


@pytest.mark.parametrize(
    "date",
    ["Mon, 01 Jan 99999999999 00:00:00 GMT", "Mon, 01 Jan 2020 00:00:00 +99999999999999", "x"],
)
@pytest.mark.parametrize(
    "header", ["If-Modified-Since", "If-Unmodified-Since", "Range: bytes=0-1\r\nIf-Range"]
)
def test_a_condition_that_is_no_date_is_passed_over(server, header, date):
    asked = f"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}: {date}\r\n\r\n"
    assert server.raw(asked.encode()).startswith(b"HTTP/1.1 200")


def test_empty_lines_after_a_body_leave_the_connection_idle(server):
    with server.connect(POST + b"\r\n") as one:
        assert read_answer(one)[0] == 200
        one.sendall(b"\r\n\r\n")
        time.sleep(0.2)
        one.sendall(POST)
        assert read_answer(one)[0] == 200


@pytest.mark.parametrize("lines", [1, 2, 9])
def test_empty_lines_between_two_requests_are_passed_over_however_they_arrive(server, lines):
    empty = b"\r\n" * lines
    with server.connect(POST + empty + POST + empty) as one:
        assert [read_answer(one)[0] for _ in range(2)] == [200, 200]
        one.settimeout(0.5)
        with pytest.raises(TimeoutError):  # and nothing that nobody has asked for
            one.recv(1)
        one.settimeout(10)
        one.sendall(POST)
        assert read_answer(one)[0] == 200


def test_what_stands_behind_a_stream_is_answered_though_the_client_has_closed_its_side(server):
    part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n%b\r\n'
    form = part % encode_photo(paint_photo(1500, 1500), "JPEG") * 8 + b"--b--"
    form_head = ("Content-Type: multipart/form-data; boundary=b", "Accept: application/x-ndjson")
    live = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    for end in (b"", live[:20]):
        with server.connect(post_head("/predict", len(form), *form_head) + form) as one:
            one.sendall(live + end)
            said = one.recv(1)
            one.shutdown(socket.SHUT_WR)
            with one.makefile("rb") as file:
                said += file.read()
        assert said.count(b'"photo"') == 8
        assert b"Connection: close" not in said.partition(b"\r\n\r\n")[0]
        assert said.count(b"HTTP/1.1 200") == 2
        assert said.count(b'"live"') == 1


@pytest.mark.parametrize("route", ["/", "/models", "/none", "/metrics", "/v2/health/live"])
def test_every_answer_has_one_date_and_it_is_now(server, route):
    answer = server.raw(f"GET {route} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, _ = answer.partition(b"\r\n\r\n")
    (date,) = [line[6:] for line in head.split(b"\r\n") if line.lower().startswith(b"date: ")]
    assert abs(parsedate_to_datetime(date.decode()).timestamp() - time.time()) < 30


def test_a_page_that_is_the_same_still_is_told_and_counted_so_whatever_is_accepted(server):
    first, _, _ = server.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    tag = next(line for line in first.split(b"\r\n") if line.lower().startswith(b"etag: "))[6:]
    asked = b"GET / HTTP/1.1\r\nHost: x\r\nIf-None-Match: %b\r\n%b\r\n"
    before = total(metrics_of(server), "layerscope_requests_total", route="/", status="304")
    for accepted in (b"", b"Accept: application/x-ndjson\r\n"):
        assert server.raw(asked % (tag, accepted)).startswith(b"HTTP/1.1 304 ")
    told = total(metrics_of(server), "layerscope_requests_total", route="/", status="304")
    assert told == before + 2


@pytest.mark.parametrize("line", ["X: " + "a" * 9_000, "Transfer-Encoding: gzip", "A b: c"])
def test_a_broken_request_has_the_headers_of_every_error_and_head_no_body(server, line):
    for method in ("GET", "HEAD"):
        asked = f"{method} / HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode()
        head, _, body = server.raw(asked).partition(b"\r\n\r\n")
        assert head[:10] == b"HTTP/1.1 4"
        assert b"\r\nX-Content-Type-Options: nosniff\r\n" in head
        assert b"\r\nDate: " in head
        assert (method == "HEAD") == (body == b"")


def test_a_stream_for_http_1_0_ends_with_its_connection(server):
    lines = ("Accept: application/x-ndjson", "Connection: keep-alive")
    asked = post_head("/predict", len(PHOTO), *lines).replace(b"HTTP/1.1", b"HTTP/1.0") + PHOTO
    began = time.monotonic()
    with server.connect(asked + asked) as one, one.makefile("rb") as file:
        head, _, body = file.read().partition(b"\r\n\r\n")
    assert b"\r\nConnection: close" in head
    assert b"chunked" not in head
    assert body.count(b"\n") == 1  # the second request has no answer
    assert body.endswith(b"\n")
    assert time.monotonic() - began < 4  # a connection that is kept is closed after 5 s


def test_the_host_of_an_absolute_target_is_the_one_that_counts(tiny_bundle):
    with serving(tiny_bundle, workers=1, options=("--allow-host", "photos.example")) as server:
        get = b"GET http://%b/models HTTP/1.1\r\nHost: %b\r\n\r\n"
        assert b" 200 " in server.raw(get % (b"photos.example", b"evil.example"))[:20]
        refused = get % (b"evil.example", b"photos.example")
        assert b"host_not_allowed" in server.raw(refused)
        head, _, body = server.raw(refused.replace(b"GET", b"HEAD")).partition(b"\r\n\r\n")
        assert (head.split()[1], body) == (b"400", b"")


def test_a_script_name_header_from_this_machine_moves_nothing(server):
    for name in (b"SCRIPT_NAME", b"Script-Name"):
        request = b"GET /models HTTP/1.1\r\nHost: x\r\n" + name + b": /models\r\n\r\n"
        assert server.raw(request).startswith(b"HTTP/1.1 200")

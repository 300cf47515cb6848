"""How people post photos, and what they are told where it does not work."""

import base64
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug import formparser

from models.errors import BundleError
from service.app import create_app
from service.incoming import uploads
from service.settings import Settings
from tests.conftest import encode_photo, paint_photo

PHOTO = encode_photo(paint_photo(40, 40))
JPEG = encode_photo(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8), "JPEG")
FORM = "application/x-www-form-urlencoded"
NAMELESS = b"--b\r\nContent-Disposition: form-data\r\n\r\n"
FILE_WITHOUT_NAME = NAMELESS.replace(b"data\r", b'data; filename="a.png"\r')


@pytest.fixture(scope="module")
def client(tiny_bundle: Path) -> FlaskClient:
    return create_app([tiny_bundle], Settings(photos_per_request=3)).test_client()


def part(name: str, content: bytes, file: str = '; filename="a.png"') -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def post(client, data: bytes, kind: str = "multipart/form-data; boundary=b", **headers: str):
    return client.post("/predict", data=data, content_type=kind, headers=headers)


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (part("image", PHOTO, ";a=1" * 21), 400, "part 1 of the form has headers"),
        (part("a", b"x", "") + part("image", PHOTO, ";" + "a" * 8_200), 400, "part 2 of the form"),
        (b"--b\r\n" + b"a" * 10_000, 400, "part 1 of the form"),
        (part("image", PHOTO, "") + b"--b" + b" " * 10_000 + b"a", 400, "followed by 100 spaces"),
        (part("image", b"\r\n--bx" * 40), 413, "11 fields"),
        (part("image", b"\r--b\r\n\r\n" * 40), 413, "11 fields"),
        (b"-" * 1_000_000, 400, "does not begin with its boundary"),
        (b"--bx" + b"-" * 1_000_000, 400, "does not begin with its boundary"),
        (b"a" * 1_025 + part("image", PHOTO), 400, "does not begin with its boundary"),
    ],
)
def test_parts_that_take_long_to_take_apart_are_refused_before(client, data, status, words):
    answer = post(client, data + b"--b--\r\n")
    assert answer.status_code == status
    assert words in answer.json["error"]["message"]


def test_what_forms_may_have_around_their_parts_is_passed_over(client):
    expected = client.post("/predict", data=PHOTO).json
    form = part("image", PHOTO) + b"--b--"
    for around in (form, b"\r\n" + form, b"a form\n" + form, form + b"  \r\nthe end of it --b"):
        assert post(client, around).json == expected, around[:20]
    eleven = b"".join(part(f"field{i}", b"x", "") for i in range(10)) + form
    assert post(client, eleven).json == expected  # 3 photos and 8 others


def test_a_file_of_dashes_between_boundaries_of_dashes_is_no_photo(client):
    boundary = "-" * 70
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    body = head.encode() + b"x" + b"-" * 1_000_000 + f"\r\n--{boundary}--\r\n".encode()
    answer = post(client, body, f"multipart/form-data; boundary={boundary}")
    assert (answer.status_code, answer.json["error"]["code"]) == (415, "image_unsupported")


def test_a_file_in_any_single_field_is_taken(client):
    expected = client.post("/predict", data=PHOTO).json
    for name in ("image", "file", "photo", ""):
        assert post(client, part(name, PHOTO) + b"--b--\r\n").json == expected, name
    both = part("thumbnail", JPEG) + part("image", PHOTO) + b"--b--\r\n"
    assert post(client, both).json == expected  # `image` is meant where it is there


def test_a_body_whose_type_is_wrong_is_taken_for_what_it_is(client):
    expected = client.post("/predict", data=PHOTO).json
    for kind in (FORM, "text/plain", "image/jpeg", "", "multipart/mixed; boundary=b"):
        assert post(client, PHOTO, kind).json == expected, kind  # `curl --data-binary` sends FORM


@pytest.mark.parametrize(
    ("data", "kind", "status", "code", "words"),
    [
        (
            part("a", PHOTO) + part("b", PHOTO) + b"--b--\r\n",
            None,
            400,
            "image_missing",
            "`a`, `b`",
        ),
        (part("image", b"photo.jpg", "") + b"--b--\r\n", None, 400, "image_missing", "as text"),
        (part("note", b"hello", "") + b"--b--\r\n", None, 400, "image_missing", "`note`"),
        (b"--b--\r\n", None, 400, "image_missing", "no field with a file"),
        (NAMELESS + b"hello\r\n--b--\r\n", None, 400, "image_missing", "one without a name came"),
        (
            FILE_WITHOUT_NAME + PHOTO + b"\r\n" + part("b", PHOTO) + b"--b--\r\n",
            None,
            400,
            "image_missing",
            "one without a name, `b` came with files",
        ),
        (part("image", PHOTO), "multipart/form-data", 400, "image_missing", "boundary of 0"),
        (PHOTO, f"multipart/form-data; boundary={'-' * 71}", 400, "image_missing", "of 71 char"),
        (part("image", b"") + b"--b--\r\n", None, 400, "image_empty", "0 bytes"),
        (b"", "image/jpeg", 400, "image_missing", "no photo was posted"),
        (b'{"image": "aGVsbG8="}', "application/json", 415, "unsupported_media_type", "JSON came"),
        (b' [{"a": 1}]', "text/plain", 415, "unsupported_media_type", "JSON came"),
        (b"data:image/png;base64,AAAA", "text/plain", 415, "unsupported_media_type", "data URL"),
        (base64.encodebytes(PHOTO), "text/plain", 415, "unsupported_media_type", "base64 came"),
        (b"https://example.org/a.jpg", "text/plain", 415, "unsupported_media_type", "address came"),
        (b"image=%FF%D8%FF", FORM, 415, "unsupported_media_type", "form of text fields"),
    ],
)
def test_what_is_posted_in_another_form_is_named(client, data, kind, status, code, words):
    answer = post(client, data, kind or "multipart/form-data; boundary=b")
    assert (answer.status_code, answer.json["error"]["code"]) == (status, code)
    assert words in answer.json["error"]["message"]


def test_a_photo_without_line_ends_is_traced_to_curl(client):
    stripped = JPEG.translate(None, b"\r\n\0")  # what `curl -d @photo.jpg` sends
    answer = post(client, stripped, FORM)
    assert answer.status_code in (415, 422)
    assert "--data-binary" in answer.json["error"]["message"]
    broken = post(client, JPEG[:3000], FORM).json["error"]["message"]
    assert "--data-binary" not in broken  # cut off, but not stripped


def test_a_compressed_body_is_refused_by_name(client):
    headers = {"Content-Encoding": "gzip"}
    answer = client.post("/predict", data=gzip.compress(PHOTO), headers=headers)
    assert (answer.status_code, answer.json["error"]["code"]) == (415, "unsupported_media_type")
    assert "gzip" in answer.json["error"]["message"]


def test_a_body_shorter_than_its_length_is_refused(client):
    length = {"CONTENT_LENGTH": str(len(PHOTO))}
    answer = client.post("/predict", data=PHOTO[:50], environ_overrides=length)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "body_incomplete")
    assert f"promised {len(PHOTO)} bytes" in answer.json["error"]["message"]


def test_photos_that_take_long_to_decode_get_a_code_of_their_own(client, monkeypatch):
    monkeypatch.setattr(uploads, "DECODE_S", -1.0)
    files = [(io.BytesIO(PHOTO), "a.png")] * 2
    answer = client.post("/predict", data={"image": files})
    assert (answer.status_code, answer.json["error"]["code"]) == (413, "decoding_timeout")


def test_a_slash_at_the_end_changes_nothing(client):
    assert client.post("/predict/", data=PHOTO).json == client.post("/predict", data=PHOTO).json


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_answered_with_what_to_do(client, method):
    answer = client.open("/predict", method=method, data=PHOTO)
    assert (answer.status_code, answer.json["error"]["code"]) == (405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]
    assert "curl --data-binary" in answer.json["error"]["message"]


def test_head_and_options_are_answered_without_a_body(client):
    assert client.head("/v2/health/live").data == b""
    options = client.options("/predict")
    assert (options.status_code, options.data) == (200, b"")
    assert "POST" in options.headers["Allow"]


def test_no_upload_touches_the_disk(client, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(formparser, "SpooledTemporaryFile", refuse)
    big = encode_photo(np.random.default_rng(0).integers(0, 255, (700, 700, 3), np.uint8))
    assert len(big) > 1_000_000  # Werkzeug writes more than half a megabyte to a file
    assert post(client, part("image", big) + b"--b--\r\n").status_code == 200


def test_more_fields_than_photos_are_refused(client):
    fields = b"".join(part(f"field{i}", b"x", "") for i in range(100))
    answer = post(client, fields + b"--b--\r\n")
    assert (answer.status_code, answer.json["error"]["code"]) == (413, "request_too_large")
    assert "11 fields" in answer.json["error"]["message"]  # 3 photos and 8 others
    long = post(client, part("note", b"x" * 600_000, "") + b"--b--\r\n")
    assert (long.status_code, long.json["error"]["code"]) == (413, "request_too_large")


def test_an_error_shares_its_id_with_header_body_and_log(tiny_bundle, monkeypatch, caplog):
    app = create_app([tiny_bundle])
    (model,) = app.extensions["shelf"]()
    monkeypatch.setattr(model, "read", lambda *_: 1 / 0)
    answer = app.test_client().post("/predict", data=PHOTO)
    request_id = answer.headers["X-Request-ID"]
    assert len(request_id) == 16
    assert answer.json["error"]["request_id"] == request_id
    assert request_id in caplog.text
    own = {"X-Request-ID": "trace-7"}
    assert app.test_client().get("/nowhere", headers=own).json["error"]["request_id"] == "trace-7"
    forged = {"X-Request-ID": "a b'<script>"}
    assert (
        app.test_client().get("/nowhere", headers=forged).headers["X-Request-ID"] != "a b'<script>"
    )


def test_no_answer_shows_a_path_of_the_server(tiny_bundle, monkeypatch, caplog):
    app = create_app([tiny_bundle])
    (model,) = app.extensions["shelf"]()

    def fail(*_):
        raise BundleError(tiny_bundle, "predict.onnx does not run")

    monkeypatch.setattr(model, "look", fail)
    answer = app.test_client().post("/activations", data=PHOTO)
    assert answer.status_code == 503
    assert str(tiny_bundle) not in answer.text
    assert str(tiny_bundle) in caplog.text
    assert answer.json["error"]["request_id"] in caplog.text


def test_json_answers_stay_json_in_every_error(client):
    for path in ("/nowhere", "//page", "/models/nobody", "/page/none.js"):
        answer = client.get("/", environ_overrides={"PATH_INFO": path})
        assert answer.status_code == 404
        assert set(json.loads(answer.data)["error"]) == {"code", "message", "request_id"}

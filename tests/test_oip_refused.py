"""What is refused below /v2, with which status and in which words."""

import gc
import struct
import tracemalloc

import pytest
from flask.testing import FlaskClient
from pydantic_core import from_json

from service.app import create_app
from service.incoming.json_body import memory_of
from service.settings import Settings
from tests.inferring import BINARY, INFER, PIXELS, RED, ask, binary, encoded, pixels, post_binary
from tests.making import COLOURS, colour_bundle, picture


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    bundle = colour_bundle(tmp_path_factory.mktemp("oip") / "colours")
    return create_app([bundle], Settings(photos_per_request=3)).test_client()


TAIL = struct.pack("<I", 3) + b"abc"
REFUSED = [
    (pixels(shape=[1, 8, 8]), "UINT8 of the shape [1, 8, 8]; expected UINT8 or FP32"),
    (pixels(shape=[1, 8, 9, 3]), "[N, 8, 8, 3]"),
    (pixels(kind="INT64"), "INT64"),
    (pixels(shape=[-1, 8, 8, 3]), "greater than or equal to 1"),
    (pixels(shape=[0, 8, 8, 3]), "inputs.0.shape.0"),
    (pixels(shape=["1", 8, 8, 3]), "valid integer"),
    (pixels(shape=[1] * 9), "at most 8"),
    (pixels(shape=[2**70, 2**70, 2**70, 3]), "expected UINT8 or FP32"),
    (pixels(shape=[2, 8, 8, 3]), "at depth 1"),
    (pixels(PIXELS[0, :7].tolist()), "at depth 1"),
    (pixels([[[[1, 2]]]]), "at depth 2"),
    (pixels([[[1] * 8] * 8]), "no list at depth 4"),
    (pixels([300] * 192), "holds 300; expected pixels from 0 to 255"),
    (pixels([-1] * 192), "holds -1"),
    (pixels([1.5] * 192), "fractions where whole numbers"),
    (pixels(["1"] * 192, kind="FP32"), "text where numbers"),
    (pixels([True] * 192), "true or false"),
    (pixels([None] * 192), "null"),
    (pixels([{}] * 192), "an object"),
    (pixels([10**400] * 192, kind="FP32"), "holds inf"),
    (pixels("text"), "valid list"),
    (pixels() | {"name": "other"}, "the inputs `other` came"),
    (pixels() | {"data": None}, "needs either `data`"),
    (pixels() | {"parameters": {"binary_data_size": 192}}, "promise 192 bytes"),
    (pixels() | {"parameters": {"binary_data_size": -1}}, "greater than or equal to 0"),
    (pixels() | {"parameters": {"shared_memory_region": "a"}}, "shared memory"),
    (encoded(RED, shape=[2]), "at depth 1"),
    (encoded(RED, shape=[1, 2]), "BYTES of the shape [N] or [N, 1]"),
    (encoded(RED, data=["no base64!"]), "no base64"),
    (encoded(RED, data=["größer"]), "no base64"),
    (encoded(RED, data=[5]), "holds no text"),
    (encoded(RED, data=[""]), "0 bytes"),
    (encoded(RED, datatype="UINT8"), "UINT8 of the shape [1]"),
    ({"name": "image"}, "inputs.0.shape: Field required"),
    ("image", "inputs.0"),
]


@pytest.mark.parametrize(("tensor", "words"), REFUSED)
def test_an_input_that_does_not_fit_is_refused_in_words(client, tensor, words):
    answer = ask(client, tensor)
    assert answer.status_code == 400, answer.text
    assert list(answer.json) == ["error"]  # as the protocol has it
    assert words in answer.json["error"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"inputs": [pixels(), pixels()]}, "`image`, `image` came; expected one"),
        ({"inputs": [pixels(), encoded(RED)]}, "expected one"),
        ({"inputs": []}, "at least 1"),
        ({"inputs": [pixels()] * 9}, "at most 8"),
        ({}, "inputs: Field required"),
        ({"inputs": [pixels()], "id": 5}, "valid string"),
        ({"inputs": [pixels()], "id": "x" * 1001}, "at most 1000"),
        ({"inputs": [pixels()], "outputs": [{"name": "odds"}]}, "`odds` is not known"),
        ({"inputs": [pixels()], "outputs": [{"name": "label"}] * 2}, "asked for twice"),
        (
            {"inputs": [pixels()],
             "outputs": [{"name": "label", "parameters": {"classification": 2}}]},
            "not for label",
        ),
        (
            {"inputs": [pixels()],
             "outputs": [{"name": "logits", "parameters": {"classification": -1}}]},
            "greater than or equal to 0",
        ),
        (
            {"inputs": [pixels()],
             "outputs": [{"name": "logits", "parameters": {"shared_memory_region": "a"}}]},
            "shared memory",
        ),
    ],
)  # fmt: skip
def test_a_request_that_does_not_fit_is_refused_in_words(client, fields, words):
    answer = client.post(INFER, json=fields)
    assert answer.status_code == 400, answer.text
    assert words in answer.json["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "no JSON came"),
        (RED, "no JSON came"),
        (b"[]", "the body"),
        (b"5", "the body: Input should be an object; 5 came"),
        (b'{"inputs": [NaN]}', "not valid JSON"),
        (b'{"inputs": [Infinity]}', "not valid JSON"),
        (b'{"inputs": [1e999]}', "inputs.0"),
        (b'{"inputs":' + b"[" * 300, "recursion"),
        (b'{"inputs": ["\xff"]}', "not valid JSON"),
        (b'{"id": "\\ud800", "inputs": []}', "not valid JSON"),
        (b'{"inputs": [' + b"9" * 999 + b"]}", "Input should be an object"),
        (b'{"a": [' + b"{}," * 600 + b"{}]}", "602 objects"),
        (b'{"a": [' + b"1," * 2_000_001 + b"1]}", "2,000,001 values"),
        (b'{"a": ' + b"[" * 1_000_001, "lists"),
        (b'{"a": [' + b"[0,0],[],[]," * 1_000 + b"0]}", "3,001 lists with 4,000 commas"),
        (b'{"a": ' + b"7" * 1_000 + b"}", "a number of 1,000 digits or more"),
    ],
)
def test_what_is_no_json_or_too_much_of_it_is_refused(client, body, words):
    answer = client.post(INFER, data=body)
    assert answer.status_code == 400, answer.text
    assert words in answer.json["error"]


@pytest.mark.parametrize("rest", [b"]]}", b"]"])
def test_objects_are_looked_through_for_circles_again_when_a_large_text_is_parsed(client, rest):
    answer = client.post(INFER, data=b'{"inputs": [[' + b"0, " * 50_000 + b"0" + rest)
    assert answer.status_code == 400
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("tensor", "tail", "words"),
    [
        (binary("image", "UINT8", [1, 8, 8, 3], 191), bytes(191), "has 192"),
        (binary("image", "UINT8", [1, 8, 8, 3], 192), bytes(191), "191 came"),
        (binary("image", "UINT8", [1, 8, 8, 3], 192), bytes(193), "193 came"),
        (binary("image", "UINT8", [1, 8, 8, 3], 10**30), bytes(192), "192 came"),
        (binary("image", "FP32", [1, 8, 8, 3], 192), bytes(192), "has 768"),
        (binary("image", "FP32", [1, 8, 8, 3], 768), b"\0\0\xc0\x7f" * 192, "holds nan"),
        (binary("image", "FP32", [1, 8, 8, 3], 768), b"\0\0\x80\x7f" * 192, "holds inf"),
        (binary("encoded", "BYTES", [2], 7), TAIL, "do not add up to 2 photos"),
        (binary("encoded", "BYTES", [1], 8), TAIL + b"x", "do not add up"),
        (binary("encoded", "BYTES", [1], 6), TAIL[:6], "do not add up"),
        (binary("encoded", "BYTES", [1], 3), b"abc", "do not add up"),
        (binary("encoded", "BYTES", [1], 4), b"\xff" * 4, "do not add up"),
        (pixels(), b"more", "promise 0 bytes"),
        (pixels() | {"parameters": {"binary_data_size": 192}}, bytes(192), "needs either"),
    ],
)
def test_binary_data_that_does_not_add_up_is_refused(client, tensor, tail, words):
    answer = post_binary(client, {"inputs": [tensor]}, tail)
    assert answer.status_code == 400, answer.text
    assert words in answer.json["error"]


def test_numbers_of_hundreds_of_digits_are_refused(client):
    digits = "9" * 999
    start = '{"name": "encoded", "datatype": "BYTES", "shape": [1], "parameters": '
    one = f'{start}{{"binary_data_size": {digits}}}}}'
    answer = client.post(INFER, data=f'{{"inputs": [{one}, {one}]}}')
    assert answer.status_code == 400
    assert "binary_data_size" in answer.json["error"]


@pytest.mark.parametrize("length", ["0", "-1", "999999", "1e3", "²", "9" * 5000, "5,5"])
def test_a_length_of_the_json_that_cannot_be_is_refused(client, length):
    answer = post_binary(client, {"inputs": [pixels()]}, b"", length)
    assert answer.status_code == 400
    assert f"{BINARY} is" in answer.json["error"]


def test_other_refusals_keep_their_status_and_have_the_protocols_shape(client):
    for answer, status, words in (
        (ask(client, encoded(RED, RED, RED, RED)), 413, "4 photos in one request; the limit is 3"),
        (ask(client, pixels(shape=[2**70, 8, 8, 3])), 413, "the limit is 3"),
        (ask(client, encoded(b"<html>no photo</html>")), 415, "not an image"),
        (ask(client, encoded(RED, picture(COLOURS["red"], 1, kind="JPEG")[:600])), 422, "photo 2"),
        (client.post("/v2/models/birds/infer", json={}), 404, "birds"),
        (client.get("/v2/models/birds"), 404, "birds"),
        (client.get("/v2/models/birds/ready"), 404, "birds"),
        (client.get("/v2/models/colours/config"), 404, "not found"),
        (client.get(INFER), 405, "POST"),
        (client.post(INFER, data=b"x", headers={"Content-Encoding": "gzip"}), 415, "gzip"),
        (client.post(INFER, data=bytes(33_000_000)), 413, ""),
    ):
        assert answer.status_code == status, answer.text
        assert isinstance(answer.json["error"], str)
        assert words in answer.json["error"]
        assert answer.headers["X-Request-ID"]
    assert isinstance(client.get("/v2/health/what").json["error"], dict)


def test_each_key_of_an_object_counts_in_the_memory_that_json_takes():
    keys = ",".join(f'"\U0001f600{number:05x}":300' for number in range(100_000))
    text = f'{{"inputs":{{{keys}}}}}'.encode()
    tracemalloc.start()
    try:
        kept = from_json(text)
        assert tracemalloc.get_traced_memory()[1] < memory_of(text)
    finally:
        tracemalloc.stop()
    assert len(kept["inputs"]) == 100_000


def test_more_texts_than_a_request_needs_are_refused_before_they_are_parsed(client):
    texts = ",".join(['"aaaa"'] * 20_001)
    answer = client.post(INFER, data=f'{{"inputs":[{texts}]}}')
    assert answer.status_code == 400
    assert "quotation marks" in answer.json["error"]


@pytest.mark.parametrize("text", ["\U0001f600" + "a" * 100_000, "\\ud83d\\ude00" + "a" * 100_000])
def test_a_text_with_one_wide_character_is_reckoned_four_bytes_a_character(text):
    body = f'{{"text": "{text}"}}'.encode()
    tracemalloc.start()
    try:
        kept = from_json(body)
        assert tracemalloc.get_traced_memory()[1] > 4 * len(text)
        assert tracemalloc.get_traced_memory()[1] < memory_of(body)
    finally:
        tracemalloc.stop()
    assert kept["text"].endswith("a")


def test_more_keys_than_a_request_needs_are_refused_before_they_are_parsed(client):
    keys = ",".join(f'"{number}":0' for number in range(10_001))
    answer = client.post(INFER, data=f'{{"inputs":[{{{keys}}}]}}')
    assert answer.status_code == 400
    assert "keys" in answer.json["error"]

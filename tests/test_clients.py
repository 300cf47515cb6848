"""Other people's clients, unmodified, and the Python that the docs show, against a real server."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from models.classifier import softmax
from tests.making import COLOURS, SHARPNESS, colour_bundle, picture
from tests.serving import ROOT, Server, serving

pytestmark = pytest.mark.alone

RED, BLUE = picture(COLOURS["red"]), picture(COLOURS["blue"])
LOGITS = np.array([COLOURS["red"], COLOURS["blue"]], np.float32) * np.float32(SHARPNESS)
PIXELS = np.stack([np.full((8, 8, 3), COLOURS[name], np.uint8) for name in ("red", "blue")])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    bundle = colour_bundle(tmp_path_factory.mktemp("clients") / "flowers")
    with serving(bundle, workers=1) as running:
        yield running


@pytest.fixture
def triton(server: Server) -> Iterator[InferenceServerClient]:
    client = InferenceServerClient(f"127.0.0.1:{server.port}")
    yield client
    client.close()


def tensor(values: Any, kind: str, binary: bool = True) -> InferInput:
    name = "encoded" if kind == "BYTES" else "image"
    made = InferInput(name, list(values.shape), kind)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def test_triton_finds_the_server_alive_and_ready_and_the_model_described(triton):
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("flowers")
    assert triton.is_model_ready("flowers", "1")
    assert not triton.is_model_ready("flowers", "2")
    assert not triton.is_model_ready("birds")
    assert triton.get_server_metadata()["name"] == "layerscope"
    model = triton.get_model_metadata("flowers", "1")
    assert model["platform"] == "onnxruntime_onnx"
    assert [one["name"] for one in model["outputs"]] == ["probabilities", "label", "logits"]


@pytest.mark.parametrize("kind", ["UINT8", "FP32"])
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False])
def test_triton_reads_the_same_numbers_in_json_and_in_binary(triton, kind, binary_in, binary_out):
    values = PIXELS if kind == "UINT8" else PIXELS.astype(np.float32)
    wanted = [
        InferRequestedOutput(name, binary_data=binary_out)
        for name in ("logits", "label", "probabilities")
    ]
    inputs = [tensor(values, kind, binary_in)]
    answer = triton.infer("flowers", inputs, outputs=wanted, request_id="mine")
    assert answer.get_response()["id"] == "mine"
    np.testing.assert_allclose(answer.as_numpy("logits"), LOGITS, rtol=1e-6)
    np.testing.assert_allclose(answer.as_numpy("probabilities"), softmax(LOGITS), rtol=1e-6)
    labels = [str(one, "utf-8") if binary_out else one for one in answer.as_numpy("label")[:, 0]]
    assert labels == ["red", "blue"]


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_triton_sends_encoded_photos_as_bytes_or_as_base64(triton, shape):
    photos = np.array([RED, BLUE], dtype=object).reshape(shape)
    texts = np.array([base64.b64encode(one) for one in (RED, BLUE)], dtype=object).reshape(shape)
    for inputs in ([tensor(photos, "BYTES")], [tensor(texts, "BYTES", binary=False)]):
        answer = triton.infer("flowers", inputs)  # without outputs, all are asked for in binary
        assert answer.as_numpy("label").tolist() == [[b"red"], [b"blue"]]
        np.testing.assert_allclose(answer.as_numpy("logits"), LOGITS, rtol=1e-6)


@pytest.mark.parametrize("binary", [True, False])
def test_triton_asks_for_the_best_classes(triton, binary):
    wanted = [InferRequestedOutput("logits", binary_data=binary, class_count=2)]
    answer = triton.infer("flowers", [tensor(PIXELS, "UINT8")], outputs=wanted)
    best = [str(one, "utf-8") if binary else one for one in answer.as_numpy("logits").ravel()]
    assert best == ["20.000000:0:red", "4.000000:1:green", "20.000000:2:blue", "4.000000:0:red"]


def test_triton_shows_why_it_is_refused(triton):
    def refused(*words: str, **options: Any) -> None:
        with pytest.raises(InferenceServerException) as found:
            triton.infer(**{"model_name": "flowers", "inputs": [photos]} | options)
        for word in words:
            assert word in str(found.value)

    photos = tensor(PIXELS, "UINT8")
    refused("[404]", "birds", model_name="birds")
    refused("[404]", "version", model_version="2")
    refused("[400]", "`odds` is not known", outputs=[InferRequestedOutput("odds")])
    refused("[400]", "[N, 8, 8, 3]", inputs=[tensor(PIXELS[:, :7], "UINT8")])
    refused("[413]", "33 photos", inputs=[tensor(np.repeat(PIXELS, 17, axis=0)[:33], "UINT8")])
    refused("[415]", "gzip", request_compression_algorithm="gzip")
    bad = np.array([b"<html>no photo</html>"], dtype=object)
    refused("[415]", "not an image", inputs=[tensor(bad, "BYTES")])
    with pytest.raises(InferenceServerException, match="birds"):
        triton.get_model_metadata("birds")
    large = np.zeros((200, 256, 256, 3), np.uint8)  # refused before it is read
    refused("[413]", "the limit is", inputs=[tensor(large, "UINT8")])


def python_of(page: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)


@pytest.mark.parametrize(
    ("page", "number", "printed"),
    [
        ("serving.md", 0, "red 1.000\ngreen 0.000\nblue 0.000\n"),
        ("protocols.md", 0, "[[b'1.000000:0:red' b'0.000000:1:green' b'0.000000:2:blue']]\n"),
        ("protocols.md", 1, "red\n"),
    ],
)
def test_the_clients_that_the_docs_show_work(
    server, tmp_path, monkeypatch, capsys, page, number, printed
):
    (tmp_path / "photo.jpg").write_bytes(picture(COLOURS["red"], kind="JPEG"))
    monkeypatch.chdir(tmp_path)
    shown = python_of(page)[number]
    assert len([line for line in shown.splitlines() if line]) <= 12
    exec(shown.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}"), {})
    assert capsys.readouterr().out == printed


def test_the_client_of_the_docs_says_why_it_is_refused(server, tmp_path: Path, monkeypatch):
    (tmp_path / "photo.jpg").write_bytes(b"<html>no photo</html>")
    monkeypatch.chdir(tmp_path)
    (shown,) = python_of("serving.md")
    with pytest.raises(SystemExit, match=r"415 image_unsupported: .*not an image"):
        exec(shown.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}"), {})

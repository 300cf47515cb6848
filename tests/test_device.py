"""The device that computes: the processor, or another that starts and answers as it does."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from models import device as room
from models import runtime
from models.bundle import Bundle
from models.device import choose_device, compare, made_up, open_graph
from models.errors import DeviceUnusable, SettingError
from models.examine import examine, open_classifier
from models.terms import Device, Terms
from service.__main__ import main as service
from service.__main__ import open_keeper
from service.app import create_app
from service.settings import Settings
from service.versions.catalogue import Catalogue, Edition
from tests.making import COLOURS, colour_bundle, colour_graph, picture, write_classes
from training.__main__ import training

NONE_HERE = "ONNX Runtime has no other here"


@pytest.fixture
def bundle(tmp_path):
    return colour_bundle(tmp_path / "bundles" / "colours")


@pytest.fixture
def built_for_cuda(monkeypatch):
    """An ONNX Runtime that says it was built for CUDA, on a machine without a GPU."""
    monkeypatch.setattr(room, "built_for", lambda: ["cuda", "cpu"])


@pytest.fixture
def stand_in(built_for_cuda, monkeypatch):
    """A device of the name cuda that computes: the processor under another name."""
    monkeypatch.setitem(runtime.PROVIDERS, "cuda", runtime.PROVIDERS["cpu"])


@pytest.fixture
def lying(stand_in, monkeypatch):
    """The same, with numbers that are not near enough, whatever they are."""
    monkeypatch.setattr(room, "parity_limit", lambda expected: -1.0)


def test_the_processor_is_used_without_a_trial_where_it_is_asked_for():
    assert choose_device("cpu", pytest.fail) == Device("cpu", "asked for")


def test_auto_takes_the_processor_where_nothing_else_is_there_and_says_so():
    assert choose_device("auto", pytest.fail) == Device("cpu", NONE_HERE)


def test_cuda_where_there_is_none_is_refused_with_what_to_install():
    with pytest.raises(SettingError) as refused:
        choose_device("cuda", pytest.fail)
    assert str(refused.value) == (
        "--device cuda: ONNX Runtime has no cuda here; it needs onnxruntime-gpu in the place of "
        "onnxruntime and NVIDIA's driver: install them, or use --device auto or cpu"
    )


def test_a_device_that_does_not_start_is_given_up_with_a_reason(built_for_cuda):
    graph, chosen = open_graph(colour_graph(), "logits", "auto", 32)
    assert chosen.used == "cpu"
    assert chosen.why.startswith("cuda does not start: ")
    assert graph.run(np.zeros((1, 32, 32, 3)), ["logits"])[0].shape == (1, 3)
    with pytest.raises(SettingError, match="--device cuda: cuda does not start: "):
        open_graph(colour_graph(), "logits", "cuda", 32)


def test_a_device_that_answers_as_the_processor_is_used(stand_in):
    assert open_graph(colour_graph(), "logits", "auto", 32)[1] == Device("cuda", "found here")
    assert open_graph(colour_graph(), "logits", "cuda", 32)[1] == Device("cuda", "asked for")
    assert open_graph(colour_graph(), "logits", "cpu", 32)[1] == Device("cpu", "asked for")


def test_a_device_that_answers_otherwise_is_given_up_with_a_reason(lying):
    chosen = open_graph(colour_graph(), "logits", "auto", 32)[1]
    assert chosen.used == "cpu"
    assert "cuda answers otherwise than the processor: by 0, more than -1" in chosen.why
    with pytest.raises(SettingError, match="--device cuda: cuda answers otherwise"):
        open_graph(colour_graph(), "logits", "cuda", 32)


@pytest.mark.parametrize(("off", "fine"), [(0.0, True), (9e-4, True), (2e-3, False),
                                           (np.nan, False), (np.inf, False)])  # fmt: skip
def test_numbers_of_a_device_may_differ_as_little_as_those_of_an_export(off, fine):
    expected = np.array([[1.0, -2.0]], np.float32)
    if fine:
        compare(expected + np.float32(off), expected, "cuda")
    else:
        with pytest.raises(DeviceUnusable, match=r"more than 0\.001"):
            compare(expected + np.float32(off), expected, "cuda")


def test_the_made_up_inputs_are_three_of_one_shape_within_the_range_of_pixels():
    grey, slope, noise = made_up((1, 4, 5, 3))
    assert grey.shape == slope.shape == noise.shape == (1, 4, 5, 3)
    assert {array.dtype for array in (grey, slope, noise)} == {np.dtype("float32")}
    assert (grey == 127).all()
    assert (slope.min(), slope.max()) == (0, 255)
    assert 0 <= noise.min() < noise.max() <= 255


def test_a_bundle_is_served_on_the_device_and_answers_the_same(bundle, stand_in):
    photo = picture(COLOURS["red"])
    answers = []
    for asked in ("auto", "cpu"):
        client = create_app([bundle], Settings(device=asked)).test_client()
        answers.append(client.post("/predict", data=photo).get_json()["predictions"])
        shown = client.get("/models").get_json()["models"][0]["device"]
        assert shown == {"auto": {"used": "cuda", "why": "found here"},
                         "cpu": {"used": "cpu", "why": "asked for"}}[asked]  # fmt: skip
    assert answers[0] == answers[1]


def test_a_bundle_is_served_by_the_processor_where_the_device_answers_otherwise(bundle, lying):
    classifier = examine(Bundle(bundle), device="auto")
    assert classifier.device.used == "cpu"
    assert "cuda answers otherwise" in classifier.device.why
    with pytest.raises(SettingError, match="cuda answers otherwise"):
        open_classifier(Bundle(bundle), "fp32", "cuda")


def test_in_int8_a_device_that_answers_otherwise_is_given_up_too(int8_bundle, lying):
    for precision in ("auto", "int8"):
        assert examine(Bundle(int8_bundle), precision=precision, device="auto").device.used == "cpu"


def test_the_device_is_chosen_in_the_trial_and_sent_to_every_worker(bundle):
    keeper = open_keeper([bundle], None, None, Terms())
    keeper.start()
    assert keeper.devices == {"colours": Device("cpu", NONE_HERE)}
    edition = Edition("colours", "2", "place", "f" * 64, 7, device=Device("cuda", "found here"))
    sent = Catalogue(1, (edition,), ())
    assert Catalogue.from_json(json.loads(json.dumps(sent._asdict()))) == sent


def test_the_service_does_not_start_on_a_device_that_is_not_there(bundle):
    done = CliRunner().invoke(service, [str(bundle), "--device", "cuda"])
    assert done.exit_code == 2
    assert "--device cuda: ONNX Runtime has no cuda here" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["fit", "search", "check", "predict", "evaluate"])
def test_a_command_refuses_a_device_that_is_not_there_and_writes_nothing(
    command, bundle, tmp_path, monkeypatch
):
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path / "cache"))
    photos = write_classes(tmp_path / "photos", 5)
    out = tmp_path / {"predict": "out.jsonl", "check": "out.html"}.get(command, "out")
    words = [str(bundle)] if command in ("predict", "evaluate") else ["--backbone", "tiny"]
    words += [] if command == "evaluate" else ["--out", str(out)]
    done = CliRunner().invoke(training, [command, *words, str(photos), "--device", "cuda"])
    assert done.exit_code == 2
    said = done.stderr.splitlines()[-1]  # by TensorFlow, where it compiles the backbone first
    assert said.startswith(
        (
            "error: --device cuda: ONNX Runtime has no cuda",
            "error: --device cuda: TensorFlow sees no GPU",
        )
    )
    assert not out.exists()


def test_a_command_says_on_which_device_it_computes(bundle, tmp_path):
    photos = write_classes(tmp_path / "photos", 2)
    words = ["predict", str(bundle), str(photos), "--out", str(tmp_path / "out.jsonl")]
    done = CliRunner().invoke(training, words, catch_exceptions=False)
    assert f"device: cpu ({NONE_HERE})" in done.stderr


def test_training_on_cuda_is_refused_where_tensorflow_sees_no_gpu():
    from training.settings.quiet import load_keras

    load_keras("cpu")
    with pytest.raises(SettingError, match="--device cuda: TensorFlow sees no GPU here"):
        load_keras("cuda")

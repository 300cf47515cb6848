"""The precision that a bundle is served in: as asked for, or the faster; one for all workers."""

import json
import shutil
import time
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from models import choose_precision as room
from models.bundle import Bundle
from models.classifier import Classifier
from models.examine import examine
from models.precision import probability_moved
from models.terms import PRECISIONS, Precision, Terms
from service.__main__ import open_keeper
from service.app import create_app
from service.settings import Settings
from service.versions.catalogue import Catalogue, Edition
from tests.crafting import replace
from tests.making import COLOURS, colour_bundle, picture
from tests.quantising import INT8
from tests.serving import serving

RED = picture(COLOURS["red"], 9_999)


@pytest.fixture
def copied(int8_bundle, tmp_path):
    """A copy of the bundle to change; its path."""
    return shutil.copytree(int8_bundle, tmp_path / "colours")


def probability(answer, label="red"):
    return next(p["probability"] for p in answer["predictions"] if p["label"] == label)


def expected(bundle, precision):
    classifier = Classifier(Bundle(bundle), precision=precision)
    probabilities = classifier.predict(classifier.decode(RED)[None])[0]
    return float(probabilities[classifier.class_names.index("red")])


def test_what_is_asked_for_is_used_without_measuring(int8_bundle):
    for asked in ("fp32", "int8"):
        assert room.open_fastest(Bundle(int8_bundle), asked).precision == Precision(asked)


def test_without_int8_float32_is_used_whatever_is_asked_for(tmp_path):
    bundle = Bundle(colour_bundle(tmp_path / "colours"))
    for asked in PRECISIONS:
        chosen = room.open_fastest(bundle, asked).precision
        assert (chosen.used, chosen.fp32_ms) == ("fp32", None)
    assert str(room.open_fastest(bundle, "int8").precision) == "fp32 (it has no int8)"


@pytest.mark.parametrize(
    ("gain", "used", "why"),
    [(np.inf, "int8", "faster here"), (0, "fp32", "int8 is no faster here")],
)
def test_auto_takes_the_faster_one(int8_bundle, monkeypatch, gain, used, why):
    monkeypatch.setattr(room, "GAIN", gain)
    chosen = room.open_fastest(Bundle(int8_bundle), "auto").precision
    assert (chosen.used, chosen.why) == (used, why)
    assert chosen.fp32_ms is not None
    assert chosen.int8_ms is not None
    assert min(chosen.fp32_ms, chosen.int8_ms) > 0
    assert f"{chosen.fp32_ms:.1f} in fp32" in str(chosen)


def test_auto_never_takes_one_that_answers_otherwise_here(copied, monkeypatch):
    """As where a processor adds products up in sixteen bits: here the classes are turned round."""
    monkeypatch.setattr(room, "GAIN", np.inf)
    model = onnx.load_from_string((copied / INT8).read_bytes())
    gemm = next(node for node in model.graph.node if node.op_type == "Gemm")
    for tensor in model.graph.initializer:
        if tensor.name in gemm.input[1:]:
            turned = np.roll(numpy_helper.to_array(tensor), 1, axis=-1)
            tensor.CopyFrom(numpy_helper.from_array(turned.copy(), tensor.name))
    replace(copied, INT8, model.SerializeToString())
    chosen = room.open_fastest(Bundle(copied), "auto").precision
    assert chosen.used == "fp32"
    assert "answers the samples otherwise on this processor" in chosen.why


class Answering:
    """Stands for a classifier that takes a given time, longer than a busy machine's hiccups."""

    def __init__(self, seconds):
        self.seconds, self.runs = seconds, 0

    def predict(self, photos):
        self.runs += 1
        time.sleep(self.seconds)
        return photos.reshape(1, -1)


@pytest.mark.parametrize("count", [1, room.ENOUGH + 2])
def test_no_more_is_tried_where_one_is_clearly_faster_and_every_photo_has_its_answer(count):
    both: Any = Answering(0.02), Answering(0)
    photos = [np.array([number]) for number in range(count)]
    answers, (slow, quick) = room._try_in_turns(both, photos)
    assert [one.runs for one in both] == [max(count, room.ENOUGH)] * 2
    assert answers[0].tolist() == answers[1].tolist() == [[number] for number in range(count)]
    assert quick < slow


def test_the_probability_that_moves_is_half_of_all_differences():
    one = np.array([[0.7, 0.3, 0.0], [1.0, 0.0, 0.0]])
    other = np.array([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]])
    assert probability_moved(one, other) == pytest.approx((0.2 + 1.0) / 2)


def test_a_later_version_loads_the_graph_of_its_own_precision_alone(int8_bundle):
    before = examine(Bundle(int8_bundle))
    after = Classifier(Bundle(int8_bundle), precision="int8")
    after.warm(like=before)
    assert "layers.onnx" in after._graphs
    assert "predict.onnx" not in after._graphs


def test_workers_are_told_the_choice_and_its_times():
    chosen = Precision("int8", "faster here", 7.5, 4.25)
    edition = Edition("colours", "2", "place", "f" * 64, 7, chosen)
    sent = json.loads(json.dumps(Catalogue(3, (edition,), ())._asdict()))
    assert Catalogue.from_json(sent).editions == (edition,)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_every_route_answers_in_one_precision(int8_bundle, precision):
    client = create_app([int8_bundle], Settings(precision=precision)).test_client()
    said = client.post("/predict", data=RED).get_json()
    assert probability(said) == pytest.approx(expected(int8_bundle, precision), abs=1e-6)
    inside = client.post("/activations", data=RED).get_json()
    for field in ("predictions", "prediction_set", "in_distribution", "familiarity"):
        assert inside[field] == said[field]
    wanted = {"headers": {"Accept": "application/json"}}
    explained = client.post("/saliency", data=RED, **wanted).get_json()
    assert explained["label"] == said["predictions"][0]["label"]
    assert explained["probability"] == said["predictions"][0]["probability"]
    shown = client.get("/models").get_json()["models"][0]["precision"]
    assert shown == {"used": precision, "why": "asked for", "fp32_ms": None, "int8_ms": None}


def test_the_two_precisions_are_told_apart(int8_bundle):
    """Else the test above proves nothing."""
    assert abs(expected(int8_bundle, "int8") - expected(int8_bundle, "fp32")) > 1e-5


def test_models_shows_both_times_where_they_were_measured(int8_bundle, monkeypatch):
    monkeypatch.setattr(room, "GAIN", np.inf)
    shown = create_app([int8_bundle]).test_client().get("/models/colours").get_json()["precision"]
    assert (shown["used"], shown["why"]) == ("int8", "faster here")
    assert shown["fp32_ms"] > 0
    assert shown["int8_ms"] > 0


def test_the_parent_chooses_for_all_workers_and_says_so(int8_bundle):
    keeper = open_keeper([int8_bundle], None, None, Terms(precision="int8"))
    keeper.start()
    assert keeper.precisions == {"colours": Precision("int8")}
    keeper = open_keeper([int8_bundle], None, None, Terms())
    keeper.start()
    chosen = keeper.precisions["colours"]
    assert chosen.used in ("fp32", "int8")
    assert chosen.fp32_ms is not None  # measured in the trial


@pytest.mark.alone
@pytest.mark.parametrize("precision", ["auto", "int8"])
def test_all_workers_answer_alike(int8_bundle, precision):
    with serving(int8_bundle, options=("--precision", precision)) as server:
        shown = [server.ask("/models/colours")[1]["precision"] for _ in range(20)]
        said = [probability(server.ask("/predict", RED)[1]) for _ in range(20)]
    assert all(one == shown[0] for one in shown)
    assert set(said) == {said[0]}
    assert said[0] == pytest.approx(expected(int8_bundle, shown[0]["used"]), abs=1e-6)
    assert (shown[0]["fp32_ms"] is not None) == (precision == "auto")

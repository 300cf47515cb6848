"""A graph in INT8: kept only where it is nearly as good, with thresholds of its own."""

import hashlib
import re
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import onnx
import pytest

from models.bundle import Bundle
from models.bundles.calibration import Int8Facts, PredictionSet, Thresholds
from models.classifier import Classifier
from models.errors import BundleError
from models.examine import examine
from models.precision import probability_moved
from tests.crafting import change_weights, edit, replace
from tests.making import COLOURS, picture
from tests.quantising import INT8, train
from tests.serving import ROOT
from training import quantise as room
from training.evaluation.evaluate import evaluate_bundle
from training.features import int8
from training.insight.add import add_insight
from training.settings.console import Stages


@pytest.fixture
def copied(int8_bundle, tmp_path):
    """A copy of the bundle to damage; its path."""
    return shutil.copytree(int8_bundle, tmp_path / "colours")


@pytest.fixture
def photo(int8_bundle):
    return Classifier(Bundle(int8_bundle)).decode(picture(COLOURS["red"], 9_999))


def test_it_is_kept_with_its_numbers_and_its_hash(int8_bundle):
    manifest = Bundle(int8_bundle).manifest
    facts = manifest.int8
    assert facts.kept
    assert facts.reason is None
    assert (facts.calibrated_on, facts.photos) == (64, 60)
    assert facts.accuracy is not None
    assert facts.accuracy_fp32 is not None
    assert facts.mean_difference is not None
    assert facts.accuracy >= facts.accuracy_fp32 - 0.005
    assert 0 < facts.mean_difference <= room.MOST_MOVED
    content = (int8_bundle / INT8).read_bytes()
    assert manifest.files[INT8].sha256 == hashlib.sha256(content).hexdigest()


def test_its_convolutions_are_in_int8_and_its_head_is_not(int8_bundle):
    graph = onnx.load_from_string((int8_bundle / INT8).read_bytes()).graph
    kinds = Counter(node.op_type for node in graph.node)
    assert kinds["QuantizeLinear"] >= 4  # pixels, two convolutions, their mean
    assert kinds["BatchNormalization"] == 0  # folded into the convolutions
    made = {node.output[0]: node.op_type for node in graph.node}
    read = {node.op_type: [made.get(tensor) for tensor in node.input] for node in graph.node}
    assert read["Conv"].count("DequantizeLinear") == 3  # what it reads, weights and bias
    assert "DequantizeLinear" not in read["Gemm"][1:]


def test_it_answers_nearly_as_float32_does(int8_bundle):
    both = [Classifier(Bundle(int8_bundle), precision=name) for name in ("fp32", "int8")]
    colours = [picture(colour, seed) for colour in COLOURS.values() for seed in range(5000, 5010)]
    photos = np.stack([both[0].decode(data) for data in colours])
    fp32, int8 = (one.predict(photos) for one in both)
    assert not np.array_equal(fp32, int8)
    assert probability_moved(fp32, int8) < 2 * room.MOST_MOVED
    assert [one.precision.used for one in both] == ["fp32", "int8"]


def test_the_written_graph_answers_what_was_judged(int8_bundle, int8_photos):
    """The measured accuracy is that of the file, decoded and run as it is served."""
    classifier = Classifier(Bundle(int8_bundle), precision="int8")
    numbers = evaluate_bundle(classifier, int8_photos / "photos" / "validation", workers=1)
    assert numbers["accuracy"] == classifier.manifest.int8.accuracy
    assert numbers["precision"] == "int8"
    assert numbers["familiarity"]["like_training"] >= 0.97  # 3 % were to be missed, of these
    assert numbers["prediction_sets"]["coverage"] >= 0.9


def test_thresholds_of_float32_and_int8_are_not_mixed(copied, photo):
    def change(fields):
        fields["thresholds"]["familiarity"]["least"] = -2  # everything is familiar
        fields["int8"]["thresholds"]["familiarity"]["least"] = 2  # nothing is
        fields["thresholds"]["prediction_set"]["least_probability"] = 1.0
        fields["int8"]["thresholds"]["prediction_set"]["least_probability"] = 0.0

    edit(copied, change)
    said = {}
    for name in ("fp32", "int8"):
        classifier = Classifier(Bundle(copied), precision=name)
        said[name] = classifier.describe(classifier.read(photo), top=1)
    assert [one["in_distribution"] for one in said.values()] == [True, False]
    assert [len(one["prediction_set"]) for one in said.values()] == [1, 3]


def test_maps_are_in_float32_and_probabilities_are_those_of_predict(int8_bundle, photo):
    int8, fp32 = (Classifier(Bundle(int8_bundle), precision=name) for name in ("int8", "fp32"))
    layer = int8.blocks[-1].name
    seen = int8.look(photo, [layer])
    np.testing.assert_array_equal(seen.maps[layer], fp32.look(photo, [layer]).maps[layer])
    np.testing.assert_array_equal(seen.probabilities, int8.predict(photo[None])[0])
    assert seen.reading.familiarity == int8.read(photo).familiarity


def facts_of(**update):
    usual = {"kept": False, "photos": 400, "accuracy": 0.9, "accuracy_fp32": 0.9}
    return Int8Facts(**usual | {"mean_difference": 0.01} | update)


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        ({}, None),
        ({"accuracy": 0.895}, None),  # half a point is let through
        ({"accuracy": 1.0}, None),
        ({"accuracy": 0.8925}, r"falls from 0\.9000 to 0\.8925, by more than 0\.5 points"),
        ({"mean_difference": 0.05}, None),
        ({"mean_difference": 0.0501}, r"5\.0% of the probability moves to other classes"),
    ],
)
def test_it_is_refused_where_it_is_worse_than_the_bounds(update, reason):
    found = room._why_not(facts_of(**update), Thresholds())
    assert found is None if reason is None else re.search(reason, str(found))


def test_it_is_refused_where_it_cannot_promise_what_float32_can():
    promised = Thresholds(prediction_set=PredictionSet(coverage=0.999, least_probability=0.1))
    assert "too few to set its prediction sets on" in str(room._why_not(facts_of(), promised))


def test_a_second_head_quantises_nothing_again(int8_photos, tmp_path, monkeypatch):
    made = []
    quantise = int8._quantise

    def count(*known):
        made.append(1)
        return quantise(*known)

    monkeypatch.setattr(int8, "_quantise", count)
    cache = tmp_path / "cache"
    runs = {x: train(int8_photos, tmp_path / x, head=x, cache=cache) for x in ("lda", "svm")}
    assert made == [1]
    (kept,) = cache.glob("int8-*.npz")
    kept.write_bytes(kept.read_bytes()[:-50])  # damaged: made anew
    anew = train(int8_photos, tmp_path / "anew", head="svm", cache=cache)
    assert anew.int8 == runs["svm"].int8
    assert anew.files[INT8].sha256 == runs["svm"].files[INT8].sha256
    assert made == [1, 1]


def test_a_refused_graph_is_not_written_and_it_says_why(int8_photos, tmp_path, monkeypatch):
    monkeypatch.setattr(room, "MOST_MOVED", -1.0)
    manifest = train(int8_photos, tmp_path / "colours")
    assert not manifest.int8.kept
    assert "of the probability moves" in str(manifest.int8.reason)
    assert manifest.int8.accuracy is not None
    assert INT8 not in manifest.files
    assert not (tmp_path / "colours" / INT8).exists()
    examine(Bundle(tmp_path / "colours"), precision="auto")
    with pytest.raises(BundleError, match=r"no predict\.int8\.onnx .*probability moves.*use fp32"):
        Classifier(Bundle(tmp_path / "colours"), precision="int8")


def test_without_enough_photos_to_judge_it_none_is_made(insight_bundle):
    facts = Bundle(insight_bundle).manifest.int8
    assert not facts.kept
    assert "validation photos cannot judge it; 50 are needed" in str(facts.reason)
    assert facts.calibrated_on == 0


def test_it_can_be_left_out(int8_photos, tmp_path):
    assert train(int8_photos, tmp_path / "colours", int8=False).int8 is None
    assert not (tmp_path / "colours" / INT8).exists()


def test_a_bundle_from_before_int8_loads_and_answers_in_float32(copied):
    (copied / INT8).unlink()

    def change(fields):
        del fields["int8"], fields["files"][INT8]

    classifier = examine(Bundle(edit(copied, change)), precision="auto")
    assert classifier.precision.used == "fp32"
    with pytest.raises(BundleError, match="none was made; use fp32"):
        Classifier(Bundle(copied), precision="int8")


def test_a_run_again_gives_the_same_bytes(int8_bundle, int8_photos, tmp_path):
    train(int8_photos, tmp_path / "again")
    assert (tmp_path / "again" / INT8).read_bytes() == (int8_bundle / INT8).read_bytes()
    train(int8_photos, tmp_path / "other", seed=1)
    assert (tmp_path / "other" / INT8).read_bytes() != (int8_bundle / INT8).read_bytes()


@pytest.mark.slow
def test_another_process_gives_the_same_bytes(int8_bundle, tmp_path):
    program = (
        "import hashlib, sys; import numpy as np; from pathlib import Path;"
        "from models.building.quantise import quantise;"
        "photos = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8);"
        "graph = quantise(Path(sys.argv[1]).read_bytes(), photos);"
        "print(hashlib.sha256(graph).hexdigest())"
    )
    sums = {
        subprocess.run(
            [sys.executable, "-c", program, str(int8_bundle / "predict.onnx")],
            cwd=ROOT, env={"PYTHONHASHSEED": seed, "PATH": ""}, check=True, stdout=subprocess.PIPE,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(sums) == 1


def test_calibration_photos_are_drawn_by_seed_and_from_every_class_alike():
    labels = np.array([0] * 260 + [1] * 40 + [2] * 10)
    train = list(range(10, 310))
    chosen = room.choose_calibration(train, labels, 0)
    assert Counter(labels[chosen].tolist()) == {0: 27, 1: 27, 2: 10}  # 2 has no more
    assert chosen == room.choose_calibration(train, labels, 0)
    assert chosen != room.choose_calibration(train, labels, 1)
    assert min(chosen) >= 10  # the others do not train


def test_an_altered_file_is_refused_in_any_precision(copied):
    content = bytearray((copied / INT8).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / INT8).write_bytes(content)
    for precision in ("auto", "fp32", "int8"):
        with pytest.raises(BundleError, match=r"predict\.int8\.onnx was altered"):
            examine(Bundle(copied), precision=precision)
    with pytest.raises(BundleError, match=r"predict\.int8\.onnx was altered"):
        Classifier(Bundle(copied), precision="int8")


def test_scales_that_are_no_numbers_are_refused(copied):
    def spoil(numbers):
        return numbers * np.float32(np.nan)

    change_weights(copied, INT8, spoil)
    with pytest.raises(BundleError, match=r"predict\.int8\.onnx does not load: .*not all finite"):
        examine(Bundle(copied), precision="auto")


def test_a_graph_of_other_outputs_is_refused(copied):
    graph = onnx.load_from_string((copied / INT8).read_bytes())
    kept = [value for value in graph.graph.output if value.name == "logits"]
    del graph.graph.output[:]
    graph.graph.output.extend(kept)
    replace(copied, INT8, graph.SerializeToString())
    with pytest.raises(BundleError, match=r"predict\.int8\.onnx has no output 'features'"):
        examine(Bundle(copied), precision="auto")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f.update(int8=None), "has no numbers of its own in the manifest"),
        (lambda f: f["int8"].update(kept=False), "has no numbers of its own in the manifest"),
        (lambda f: f["files"].pop(INT8), "is not among its files"),
    ],
)
@pytest.mark.parametrize("precision", ["auto", "fp32", "int8"])
def test_a_manifest_that_contradicts_itself_is_refused(copied, change, reason, precision):
    edit(copied, change)
    with pytest.raises(BundleError, match=reason):
        examine(Bundle(copied), precision=precision)


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f["int8"].update(accuracy=2),
        lambda f: f["int8"].update(kept="yes"),
        lambda f: f["int8"].update(thresholds={"familiarity": {"least": 0.5}}),
        lambda f: f["int8"].update(more=1),
        lambda f: f.update(int8=[]),
    ],
)
def test_a_manifest_with_other_values_is_refused(copied, change):
    edit(copied, change)
    with pytest.raises(BundleError, match="int8"):
        Bundle(copied)


def test_insight_that_is_added_keeps_it(copied, int8_photos, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(int8_photos / "cache"))
    content = (copied / INT8).read_bytes()
    manifest, _ = add_insight(copied, int8_photos / "photos", (), (), Stages(quiet=True))
    assert (copied / INT8).read_bytes() == content
    assert examine(Bundle(copied), precision="int8").precision.used == "int8"
    assert manifest.int8.kept

"""What the README promises, on real photos: accuracy, and the same answers over HTTP.

Needs the folders `clothing` (train/ validation/ test/ with class folders) and `imagenet-100`
(photos whose names begin with their class index) in $LAYERSCOPE_DATASETS.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from models.bundle import Bundle
from models.insight import Insight
from tests.real import command, dataset
from tests.serving import Server, serving

pytestmark = [pytest.mark.photos, pytest.mark.slow, pytest.mark.nodes]


@pytest.fixture(scope="module")
def server(clothing: Path, imagenet: Path) -> Iterator[Server]:
    with serving(clothing, imagenet) as running:
        yield running


def test_clothing_reaches_the_accuracy_that_is_promised(clothing):
    measured = json.loads(command("evaluate", clothing, dataset("clothing")))
    assert measured["side"] == "test"
    assert measured["photos"] == 372  # every one of them
    assert measured["accuracy"] >= 0.88
    reported = Bundle(clothing).manifest.metrics["test"]
    assert measured["accuracy"] == pytest.approx(reported["accuracy"], abs=1 / 372)
    assert measured["log_loss"] == pytest.approx(reported["log_loss"], abs=1e-4)


def test_clothing_comes_apart_with_depth_and_every_block_has_its_exemplars(clothing):
    insight = Insight(Bundle(clothing))
    probes = [each["probe_accuracy"] for each in insight.summaries.values()]
    assert len(probes) == 18  # every block of EfficientNet-Lite0, its stem and its head
    assert spearmanr(range(len(probes)), probes).statistic > 0.9
    assert probes[-1] > probes[0] + 0.4
    for name in insight.summaries:
        layer = insight.layer(name)
        assert layer is not None
        alive = layer.arrays["class"] >= 0
        assert (layer.arrays["exemplar_photo"][alive, 0] >= 0).all()


def test_the_service_answers_every_test_photo_as_the_command_does(clothing, server, tmp_path):
    out = tmp_path / "answers.jsonl"
    photos = dataset("clothing") / "test"
    used = server.ask("/models/clothing")[1]["precision"]["used"]  # INT8 where it is faster
    command("predict", clothing, photos, "--out", out, "--top", 10, "--precision", used, "--quiet")
    right = 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    for line in lines:
        path = Path(line["photo"])
        status, answer = server.ask("/models/clothing/predict?top=10", path.read_bytes())
        assert status == 200
        assert answer["predictions"][0]["label"] == line["predictions"][0]["label"]
        served = {one["label"]: one["probability"] for one in answer["predictions"]}
        said = {one["label"]: one["probability"] for one in line["predictions"]}
        assert served == pytest.approx(said, abs=1e-4)
        right += answer["predictions"][0]["label"] == path.parent.name
    assert len(lines) == 372
    assert right / len(lines) >= 0.88


def test_the_pretrained_network_knows_imagenet_photos_over_http(imagenet, server):
    class_names = Bundle(imagenet).manifest.class_names
    photos = sorted(dataset("imagenet-100").glob("*.jpg"))
    right = 0
    for path in photos:
        status, answer = server.ask("/models/imagenet/predict?top=1", path.read_bytes())
        assert status == 200
        right += answer["predictions"][0]["label"] == class_names[int(path.name[:3])]
    assert len(photos) == 100
    assert right >= 85  # the published network: 75 % of all 50,000; these are easier


def test_no_worker_has_loaded_tensorflow_after_all_that(server):
    for worker in server.workers():
        mapped = Path(f"/proc/{worker}/maps").read_text()
        assert "onnxruntime" in mapped
        assert "tensorflow" not in mapped

"""Real bundles in every format, each run by its own program on real photos."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.real import command, dataset

pytestmark = [pytest.mark.photos, pytest.mark.slow]


def proof_of(bundle: Path, out: Path, photos: Path, *words: str) -> dict[str, Any]:
    """What `export` found, from its JSON."""
    words = (*words, "--out", str(out), "--photos", str(photos), "--quiet", "--json", "-")
    return json.loads(command("export", bundle, *words))["proof"]


@pytest.mark.parametrize("form", ["onnx", "saved_model", "litert", "keras"])
def test_each_format_gives_the_same_answers_to_100_photos(imagenet, tmp_path, form):
    proof = proof_of(imagenet, tmp_path / "out", dataset("imagenet-100"), "--format", form)
    assert proof["same_top1"] == proof["photos"] == 100
    assert proof["largest_difference"] < 1e-4


@pytest.mark.nodes  # with the others that need the bundle of clothing: it is trained once for them
def test_whole_numbers_lose_little_accuracy(clothing, tmp_path):
    words = ("--format", "litert", "--int8")
    proof = proof_of(clothing, tmp_path / "out", dataset("clothing") / "test", *words)
    assert proof["labelled"] == proof["photos"] == proof["calibrated_on"] == 100
    assert proof["same_top1"] >= 90
    assert proof["accuracy"] >= proof["accuracy_before"] - 0.05

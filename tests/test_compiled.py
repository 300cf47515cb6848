"""The backbone is compiled once and kept; what is made from it answers as Keras does."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from models.building.attach import attach_to_onnx
from models.building.head import DenseLayer
from models.errors import ParityError, UnusableGraph
from models.parity import parity_limit
from models.runtime import Graph
from tests.making import write_classes
from training.features.backbone import (
    Compiled,
    CompiledStore,
    attach,
    compile_backbone,
    compile_network,
)
from training.settings.config import FitConfig
from training.settings.console import Stages

PHOTOS = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
HEAD = [DenseLayer(np.eye(16, 3, dtype=np.float32), np.arange(3, dtype=np.float32))]
TWICE = """
import sys
from pathlib import Path
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.fit import fit
for number, head in enumerate(("logistic", "lda")):
    config = FitConfig(backbone="tiny", head=head, insight=False, cache=Path(sys.argv[2]))
    fit(Path(sys.argv[1]), Path(sys.argv[2]) / f"out{number}", config, Stages(quiet=True))
    print("tensorflow" in sys.modules or "keras" in sys.modules)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return write_classes(tmp_path_factory.mktemp("compiled") / "photos", 12)


def compiled(cache: Path, said: list[str] | None = None, **settings: object):
    config = FitConfig(backbone="tiny", cache=cache, **settings)  # type: ignore[arg-type]
    stages = Stages(quiet=True)
    stages.say = (said if said is not None else []).append  # type: ignore[assignment, method-assign]
    return compile_backbone(config, stages), CompiledStore(config)


def same(one: Compiled, other: Compiled) -> bool:
    arrays = zip((one.photos, one.features), (other.photos, other.features), strict=True)
    alike = all(np.array_equal(a, b) for a, b in arrays)
    return alike and (one.keras, one.graph, one.layers) == (other.keras, other.graph, other.layers)


def test_what_is_kept_is_what_was_compiled(tmp_path):
    first, store = compiled(tmp_path)
    kept = store.load()
    assert kept is not None
    assert same(first, kept)
    assert not list(tmp_path.glob(".compiled*"))


@pytest.mark.parametrize("file", ["backbone.keras", "backbone.onnx", "reference.npz", "facts.json"])
@pytest.mark.parametrize("damage", ["cut short", "gone"])
def test_one_that_is_not_whole_is_made_anew_and_said(tmp_path, file, damage):
    _, store = compiled(tmp_path)
    place = store.path / file
    if damage == "gone":
        place.unlink()
    else:
        place.write_bytes(place.read_bytes()[:-7])
    said: list[str] = []
    compiled(tmp_path, said)
    assert any("not whole and is made anew" in line for line in said)
    assert store.load() is not None


def test_other_weights_or_another_size_are_another_backbone(tmp_path):
    paths = {
        CompiledStore(FitConfig(backbone="tiny", cache=tmp_path, seed=seed, size=size)).path
        for seed in (0, 1)
        for size in (32, 40)
    }
    assert len(paths) == 4


def test_a_second_fit_with_another_head_imports_neither_tensorflow_nor_keras(photos, tmp_path):
    run = [sys.executable, "-c", TWICE, str(photos), str(tmp_path)]
    for expected in (["True", "True"], ["False", "False"]):  # the second process finds it kept
        done = subprocess.run(run, capture_output=True, text=True, check=True)
        assert done.stdout.split() == expected
    sides = [json.loads((tmp_path / f"out{n}" / "split.json").read_text()) for n in (0, 1)]
    assert sides[0] == sides[1]


def test_the_whole_network_is_compared_with_what_keras_said(tmp_path):
    first, _ = compiled(tmp_path)
    asked = PHOTOS.copy()
    files, parity = attach(first, HEAD, PHOTOS)
    assert np.array_equal(PHOTOS, asked)
    assert set(files) == {"model.keras", "predict.onnx", "layers.onnx", "head.onnx"}
    assert (parity.photos, parity.logits < 1e-4, parity.onnx_ms > 0) == (5, True, True)
    assert 0 < parity.maps < 1e-4  # not exactly 0: two libraries add in different orders


@pytest.mark.parametrize(("factor", "said"), [(1, "1"), (np.nan, "nan")])
def test_a_network_that_answers_otherwise_is_refused_with_the_difference(tmp_path, factor, said):
    first, _ = compiled(tmp_path)
    wrong = replace(first, features=(first.features + 1) * factor)
    with pytest.raises(ParityError, match=rf"differ from Keras' by {said}, more than 0\.001"):
        attach(wrong, HEAD, PHOTOS)


@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_the_difference_that_is_let_through_grows_with_the_logits(tmp_path, scale):
    first, _ = compiled(tmp_path)
    large = [replace(HEAD[0], kernel=HEAD[0].kernel * np.float32(scale))]
    _, parity = attach(first, large, PHOTOS)
    assert parity.logits <= 1e-4 * scale * 10
    assert parity_limit(np.array([[-5.0, 2.0]])) == 1e-3
    assert parity_limit(np.array([[-5.0, 1174.0]])) == pytest.approx(0.1174)
    assert parity_limit(np.array([[np.inf]])) == parity_limit(np.array([[np.nan]])) == 1e-3


def test_large_logits_that_are_a_hundredth_off_are_refused(tmp_path, monkeypatch):
    first, _ = compiled(tmp_path)
    large = [replace(HEAD[0], kernel=HEAD[0].kernel * np.float32(1e6))]

    def altered(backbone, head):
        return attach_to_onnx(backbone, [replace(head[0], kernel=head[0].kernel * 1.01)])

    monkeypatch.setattr("training.features.backbone.attach_to_onnx", altered)
    with pytest.raises(ParityError, match="logits differ"):
        attach(first, large, PHOTOS)


def test_what_is_kept_does_not_depend_on_anybodys_photos(tmp_path):
    one, other = (compiled(tmp_path / name)[0] for name in ("one", "other"))
    assert np.array_equal(one.photos, other.photos)
    assert np.array_equal(one.features, other.features)
    assert (one.graph, one.maps) == (other.graph, other.maps)
    assert one.photos.shape == (8, 32, 32, 3)
    assert one.photos[0].max() <= 8 < 200 < one.photos[-1].max()  # from dark to bright


@pytest.mark.parametrize("maps", [False, True], ids=["predict.onnx", "layers.onnx"])
@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda a: a + 2, ParityError, r"differ from Keras' by 2, more than 0\.001"),
        (lambda a: a * np.nan, UnusableGraph, "answers with numbers that are not all finite"),
    ],
    ids=["2", "nan"],
)
def test_either_graph_that_answers_otherwise_is_refused(
    tmp_path, monkeypatch, maps, change, error, said
):
    first, _ = compiled(tmp_path)

    def altered(backbone, head):
        if ("block1_relu" in Graph(backbone).outputs) == maps:
            head = [replace(head[0], bias=change(head[0].bias))]
        return attach_to_onnx(backbone, head)

    monkeypatch.setattr("training.features.backbone.attach_to_onnx", altered)
    with pytest.raises(error, match=said):
        attach(first, HEAD, PHOTOS)


def test_a_backbone_without_feature_maps_is_compiled_too():
    keras.utils.set_random_seed(0)
    image = keras.Input((9, 9, 3), name="image")
    vector = keras.layers.Dense(5, name="pool")(keras.layers.Flatten()(image))
    asked = np.random.default_rng(0).integers(0, 256, (2, 9, 9, 3), dtype=np.uint8)
    found = compile_network(keras.Model(image, vector), "one", asked)
    assert (found.layers, found.maps, found.features.shape) == ([], 0.0, (2, 5))


WORDS = [(r"(raise \w+\(\s*f?\")", r"\1In other words: "), ('^"""', '"""In other words: ')]


@pytest.mark.parametrize(("pattern", "words"), WORDS, ids=["errors", "docstrings"])
def test_other_words_in_the_code_keep_what_is_compiled(tmp_path, monkeypatch, pattern, words):
    before, after = named_before_and_after(tmp_path, monkeypatch, pattern, words)
    assert before == after


def test_other_layers_in_the_code_are_another_backbone(tmp_path, monkeypatch):
    before, after = named_before_and_after(tmp_path, monkeypatch, '"Relu"', '"Elu"')
    assert before != after


def named_before_and_after(tmp_path, monkeypatch, pattern, replacement):
    """The name of a compiled backbone, and that after an edit of the code that writes ONNX."""
    from models import building

    config = FitConfig(backbone="tiny", cache=tmp_path)
    before, folder = CompiledStore(config).path, tmp_path / "building"
    shutil.copytree(building.__path__[0], folder)
    code = folder / "writers" / "activations.py"
    edited = re.sub(pattern, replacement, code.read_text(encoding="utf-8"))
    assert edited != code.read_text(encoding="utf-8")
    code.write_text(edited, encoding="utf-8")
    monkeypatch.setattr(building, "__path__", [str(folder)])
    return before, CompiledStore(config).path

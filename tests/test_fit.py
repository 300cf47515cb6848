"""The whole run, from a folder of photos to a bundle: on the backbone `tiny`, in seconds."""

import errno
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.bundle import Bundle, Manifest
from models.classifier import Classifier
from models.cores import usable_cores
from models.errors import PhotosError, StorageError
from models.images import decode_image
from models.runtime import Graph
from tests.making import (
    COLOURS,
    DEFECTS,
    GPS,
    picture,
    write_classes,
    write_defects,
    write_sides,
)
from training import write as room
from training.evaluation.evaluate import evaluate_bundle
from training.fit import fit
from training.report.cost import estimate_cost
from training.settings.config import FitConfig
from training.settings.console import Stages


@dataclass
class Run:
    """One finished run and what it was made from."""

    source: Path
    out: Path
    config: FitConfig
    manifest: Manifest
    stages: Stages


def run(source: Path, out: Path, cache: Path, **settings: Any) -> Run:
    config = FitConfig(backbone="tiny", cache=cache, **settings)
    stages = Stages(quiet=True)
    return Run(source, out, config, fit(source, out, config, stages), stages)


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> Run:
    """42 photos of three colours, taken with GPS on, and four defective files among the greens."""
    place = tmp_path_factory.mktemp("fit")
    source = place / "photos"
    for label, colour in COLOURS.items():
        (source / label).mkdir(parents=True)
        for seed in range(14):
            photo = picture(colour, seed, kind="JPEG", gps=True)
            (source / label / f"{seed:03}.jpg").write_bytes(photo)
    write_defects(source / "green")
    return run(source, place / "bundles" / "colours", place / "cache", seed=3)


@pytest.fixture(scope="module")
def twin(first: Run, tmp_path_factory) -> Run:
    """The same once more, with another cache: nothing is remembered."""
    place = tmp_path_factory.mktemp("twin")
    return run(first.source, place / "colours", place / "cache", seed=3)


def keras_model(out: Path) -> Any:
    import keras

    return keras.models.load_model(out / "model.keras")  # plain: no custom objects


def pixels_of(taken: Run) -> np.ndarray:
    files = sorted(taken.source.rglob("0*.jpg"))
    photos = [decode_image(file.read_bytes(), taken.config.framing) for file in files]
    return np.stack(photos)


def test_the_bundle_is_whole_and_says_what_it_was_made_of(first):
    bundle = Bundle(first.out)
    bundle.verify()
    assert bundle.manifest == first.manifest
    assert bundle.manifest.class_names == ["blue", "green", "red"]
    assert set(bundle.manifest.files) == {
        *("model.keras", "predict.onnx", "layers.onnx", "head.onnx", "report.html"),
        *("split.json", "familiarity.npz"),
        "model_card.md",
        *("insight/insight.json", "insight/layer00.npz", "insight/layer01.npz"),
        *(f"samples/{number}.jpg" for number in range(3)),  # one of each class
    }
    assert (bundle.manifest.name, bundle.manifest.version) == ("colours", "1")
    assert bundle.manifest.image.size == 32  # the backbone's own


def test_the_manifest_counts_the_photos_of_each_side(first):
    data = first.manifest.data
    assert data["photos"] == {"train": 32, "validation": 7, "test": 3}  # 15 % each, by lot
    assert data["skipped"] == len(DEFECTS)
    assert len(data["fingerprint"]) == 64
    assert first.manifest.training["seed"] == 3
    assert first.manifest.training["weights"] == "none"
    assert str(first.source) not in (first.out / "manifest.json").read_text()  # a private place
    assert first.manifest.metrics["test"]["accuracy"] == 1  # three plain colours


def test_every_stage_is_timed_and_the_manifest_says_so_too(first):
    stages = ["build and compile the backbone", "compute features", "train the head"]
    assert set(stages) <= set(first.stages.seconds)
    assert set(stages) <= set(first.manifest.training["seconds"])
    assert first.manifest.training["peak_memory_mib"] > 100  # TensorFlow alone takes that


def test_the_same_seed_gives_the_same_split_and_the_same_weights(first, twin):
    assert first.manifest.data["fingerprint"] == twin.manifest.data["fingerprint"]
    one, other = keras_model(first.out).get_weights(), keras_model(twin.out).get_weights()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))
    assert first.manifest.head == twin.manifest.head


def test_the_backbone_is_not_moved_and_the_head_is(first):
    from models.building.network import build_backbone

    before = build_backbone(first.config.row, 32, "none", seed=3).get_weights()
    *after, kernel, bias = keras_model(first.out).get_weights()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True))
    assert kernel.shape == (16, 3)
    assert np.abs(kernel).max() > 0
    assert bias.shape == (3,)


def test_keras_and_the_exported_graph_give_the_same_logits(first):
    photos = pixels_of(first)
    exported = Graph(Bundle(first.out).read("predict.onnx")).run(photos, ["logits"])[0]
    logits = keras_model(first.out).predict(photos.astype("float32"), verbose=0)
    np.testing.assert_allclose(exported, logits, atol=1e-3)
    assert exported.shape == (42, 3)
    assert exported.argmax(axis=1).tolist() == [0] * 14 + [1] * 14 + [2] * 14
    assert first.manifest.parity.logits < 1e-3
    assert first.manifest.parity.photos == 8  # spread over all of them


def test_samples_and_report_hold_nothing_of_where_a_photo_was_taken(first):
    photo = (first.source / "red" / "000.jpg").read_bytes()
    assert GPS in Image.open(io.BytesIO(photo)).getexif()  # it was there
    for number, label in enumerate(["blue", "green", "red"]):
        assert first.manifest.data["samples"][number] == {"name": f"{number}.jpg", "label": label}
        content = (first.out / "samples" / f"{number}.jpg").read_bytes()
        assert not Image.open(io.BytesIO(content)).getexif()
        assert b"Exif" not in content
        classifier = Classifier(Bundle(first.out))
        best = classifier.top(classifier.predict(classifier.decode(content)[None])[0], 1)[0]
        assert best.label == label


def test_the_report_lists_defective_files_below_the_photos_folder(first):
    report = (first.out / "report.html").read_text()
    for name, (_, words) in DEFECTS.items():
        assert f"green/{name}" in report
        assert words in report
    assert str(first.source) not in report
    assert f"{len(DEFECTS)} skipped" in report


def test_fitting_onto_a_bundle_replaces_it_by_the_next_version(first, tmp_path):
    out = tmp_path / "colours"
    shutil.copytree(first.out, out)
    again = run(first.source, out, first.config.cache, seed=4)
    assert again.manifest.version == "2"
    Bundle(out).verify()
    assert Bundle(out).manifest == again.manifest
    assert again.manifest.data["fingerprint"] != first.manifest.data["fingerprint"]  # another seed
    assert [path.name for path in tmp_path.iterdir()] == ["colours"]


@pytest.mark.parametrize("earlier", [True, False])
def test_an_error_in_the_last_stage_leaves_what_was_there(first, tmp_path, monkeypatch, earlier):
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if earlier:
        shutil.copytree(first.out, tmp_path / "colours")
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    monkeypatch.setattr(room, "seal", fail)
    with pytest.raises(StorageError, match="no space left"):
        run(first.source, tmp_path / "colours", first.config.cache, seed=3)
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_evaluating_the_test_side_gives_the_numbers_of_the_manifest(first, tmp_path):
    source = write_sides(tmp_path / "photos", {"train": 10, "validation": 3, "test": 4})
    wrong = source / "test" / "red" / "in fact green.png"
    wrong.write_bytes(picture(COLOURS["green"], 77))
    made = run(source, tmp_path / "sides", first.config.cache)
    expected = made.manifest.metrics["test"]
    assert made.manifest.data["photos"] == {"train": 30, "validation": 9, "test": 13}
    assert expected["accuracy"] == 12 / 13
    found = evaluate_bundle(Classifier(Bundle(made.out)), source, workers=2)
    assert found["log_loss"] == pytest.approx(expected["log_loss"], abs=1e-4)
    assert found["side"] == "test"
    for same in ("photos", "accuracy", "accuracy_interval", "confusion", "per_class"):
        assert found[same] == expected[same]
    assert "in fact green.png" in (made.out / "report.html").read_text()  # the worst mistake


def test_a_class_may_be_called_anything(first, tmp_path):
    names = ["$^$", "<img src=x onerror=alert(1)>", "猫 Katze"]  # no formula, no tag, no Latin
    colours = dict(zip(names, COLOURS.values(), strict=True))
    source = write_classes(tmp_path / "photos", 3, colours)
    run(source, tmp_path / "odd", first.config.cache)
    manifest = json.loads((tmp_path / "odd" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["class_names"] == names


def test_a_stricter_limit_counts_for_photos_that_are_remembered_too(first, tmp_path):
    with pytest.raises(PhotosError, match=r"none of 46 photos can be read.*limit is 1,500"):
        run(first.source, tmp_path / "b", first.config.cache, seed=3, max_megapixels=0.0015)


def test_photos_of_which_none_can_be_read_are_refused_before_anything_is_written(first, tmp_path):
    for label in COLOURS:
        (tmp_path / "photos" / label).mkdir(parents=True)
        (tmp_path / "photos" / label / "a.jpg").touch()
    with pytest.raises(PhotosError, match=r"none of 3 photos can be read; the first: .*0 bytes"):
        run(tmp_path / "photos", tmp_path / "none", first.config.cache)
    assert not (tmp_path / "none").exists()


def test_the_cost_of_training_end_to_end_is_reckoned_from_what_was_measured():
    cost = estimate_cost({"compute features": 30.0}, onnx_ms=10.0, photos=1000)
    assert cost.total == 30.0
    step_s = 0.010 * 18 / usable_cores()  # for one photo
    assert cost.end_to_end_seconds == pytest.approx(step_s * 1000 * 10)  # ten epochs


def write_dark(folder: Path) -> Path:
    """Five classes of 12 grey photos at 3 % of full brightness."""
    rng = np.random.default_rng(0)
    for label in range(5):
        (folder / f"grey{label}").mkdir(parents=True)
        for number in range(12):
            grey = rng.integers(0, 256, (8, 8)).repeat(5, 0).repeat(5, 1) * (0.5 + label / 8)
            dark = Image.fromarray((0.03 * grey).clip(0, 255).astype(np.uint8))
            dark.save(folder / f"grey{label}" / f"{number}.png")
    return folder


def test_a_bundle_does_not_depend_on_what_the_cache_saw_before(tmp_path):
    dark = write_dark(tmp_path / "dark")
    run(write_classes(tmp_path / "photos", 12), tmp_path / "other", tmp_path / "cache")
    after = run(dark, tmp_path / "after", tmp_path / "cache", insight=False).manifest
    alone = run(dark, tmp_path / "alone", tmp_path / "empty", insight=False).manifest
    for name in ("predict.onnx", "layers.onnx", "head.onnx", "samples/0.jpg"):
        assert after.files[name] == alone.files[name], name
    times = {"onnx_ms": 0.0}
    assert after.parity.model_copy(update=times) == alone.parity.model_copy(update=times)

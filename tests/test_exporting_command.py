"""The command `export`: what it is proven on, where it writes, and what it refuses."""

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from models.bundle import Bundle
from models.images import Framing, decode_image
from tests.conftest import encode_photo, paint_photo
from tests.making import colour_bundle, picture, write_classes
from training.__main__ import training
from training.exporting import proof


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The mean-colour classifier, which has an ONNX graph alone: nothing here needs Keras."""
    return colour_bundle(tmp_path / "bundles" / "colours")


def export(*words: object) -> Result:
    return CliRunner().invoke(
        training, ["export", *map(str, words), "--quiet"], catch_exceptions=False
    )


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_without_photos_an_export_is_proven_on_noise_and_says_so(bundle, tmp_path):
    done = export(bundle, "--format", "onnx", "--out", tmp_path / "out" / "colours", "--json", "-")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert facts["proof"]["of"] == "pictures of noise"
    assert facts["proof"]["photos"] == facts["proof"]["same_top1"] == 16
    assert facts["proof"]["accuracy"] is None
    assert "on 16 pictures of noise" in (tmp_path / "out/colours/README.md").read_text()
    assert "accuracy" not in (tmp_path / "out/colours/README.md").read_text()
    assert left_in(tmp_path / "out/colours") == [
        *("README.md", "browser.html", "decode.py", "example.py", "export.json", "labels.txt"),
        "model.onnx",
    ]


def test_without_photos_an_export_is_proven_on_the_samples_of_its_bundle(insight_bundle, tmp_path):
    samples = len(Bundle(insight_bundle).manifest.data["samples"])
    done = export(insight_bundle, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    found = f"same top-1 on {samples} of {samples} samples of the bundle"
    assert found in done.stdout
    assert done.stdout.startswith(f"saved {tmp_path / 'out'}: ")


def test_the_last_line_and_the_json_name_what_was_left_out(bundle, tmp_path):
    photos = write_classes(tmp_path / "photos", 2)
    (photos / "red" / "text.jpg").write_bytes(b"no photo")
    done = export(bundle, "--out", tmp_path / "out", "--photos", photos, "--json", tmp_path / "j")
    assert "same top-1 on 6 of 6 photos of photos" in done.stdout
    facts = json.loads((tmp_path / "j").read_bytes())
    assert [Path(one["photo"]).name for one in facts["skipped"]] == ["text.jpg"]
    assert facts["proof"]["accuracy"] == facts["proof"]["accuracy_before"] == 1.0


def test_an_earlier_export_is_replaced_only_on_request(bundle, tmp_path):
    out = tmp_path / "out"
    assert export(bundle, "--out", out).exit_code == 0
    (out / "mine.txt").write_text("a note")
    again = export(bundle, "--out", out)
    assert again.exit_code == 2
    assert f"{out} holds an export already: give --replace" in again.stderr
    assert (out / "mine.txt").exists()
    assert export(bundle, "--out", out, "--replace").exit_code == 0
    assert not (out / "mine.txt").exists()
    assert left_in(tmp_path) == ["bundles", "out"]


@pytest.mark.parametrize("replace", [(), ("--replace",)])
def test_a_place_that_holds_something_else_is_left_alone(bundle, tmp_path, replace):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("a")
    (tmp_path / "file").write_text("b")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name, reason in (
        ("notes", "is not an export"), ("file", "is no folder"), ("link", "is no folder"),
        ("bundles/colours", "is not an export"),
    ):  # fmt: skip
        done = export(bundle, "--out", tmp_path / name, *replace)
        assert done.exit_code == 2
        assert reason in done.stderr
    assert (tmp_path / "notes" / "a.txt").read_text() == "a"
    assert (tmp_path / "file").read_text() == "b"
    Bundle(bundle).verify()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--format", "tfjs"), "use --format onnx, which comes with a page for onnxruntime-web"),
        (("--format", "litert", "--int8"), "--int8 needs --photos"),
        (("--format", "onnx", "--int8"), "--int8 contradicts --format onnx: use --format litert"),
        (("--format", "pickle"), "'pickle' is not one of 'onnx', 'saved_model', 'litert'"),
        (("--format", "keras"), "model.keras is not in its manifest"),
    ],
)
def test_what_cannot_be_written_is_refused_with_what_to_do(bundle, tmp_path, words, reason):
    try:
        done = export(bundle, "--out", tmp_path / "out", *words)
    finally:
        assert left_in(tmp_path) == ["bundles"]
    assert done.exit_code == 2
    assert reason in done.stderr


def test_an_altered_bundle_is_not_exported(bundle, tmp_path):
    graph = bundle / "predict.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    done = export(bundle, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "predict.onnx was altered" in done.stderr
    assert left_in(tmp_path) == ["bundles"]


def test_photos_that_cannot_be_read_and_a_place_among_them_are_refused(bundle, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"no photo")
    done = export(bundle, "--out", tmp_path / "out", "--photos", photos)
    assert done.exit_code == 2
    assert f"{photos} holds no photo that can be read; the first: " in done.stderr
    inside = export(bundle, "--out", photos / "out", "--photos", photos)
    assert inside.exit_code == 2
    assert "lies among the photos" in inside.stderr
    assert left_in(photos) == ["a.jpg"]


def test_an_export_whose_program_fails_is_not_shown(bundle, tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho \"No module named 'onnxruntime'\" >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(proof.sys, "executable", str(broken))  # as if the package were missing
    done = export(bundle, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "does not run here: No module named 'onnxruntime'. Nothing was saved" in done.stderr
    assert left_in(tmp_path) == ["bundles", "python"]


def test_a_single_photo_is_enough(bundle, tmp_path):
    photo = tmp_path / "one.png"
    photo.write_bytes(picture((200, 40, 40)))
    done = export(bundle, "--out", tmp_path / "out", "--photos", photo)
    assert "same top-1 on 1 of 1 photos of one.png" in done.stdout


def turned() -> bytes:
    """A JPEG that a telephone took upright: stored lying, with a tag that turns it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode_photo(paint_photo(61, 90), "JPEG", quality=95, exif=exif)


PHOTOS = {
    "wide": encode_photo(paint_photo(61, 90)),
    "high": encode_photo(paint_photo(120, 47)),
    "turned": turned(),
    "grey": encode_photo(Image.fromarray(paint_photo(50, 70)).convert("L")),
    "see-through": encode_photo(np.dstack([paint_photo(64, 64), paint_photo(64, 64)[..., :1]])),
}


@pytest.mark.parametrize("resize", ["crop", "squash", "pad"])
@pytest.mark.parametrize("name", PHOTOS)
def test_the_decoder_of_an_export_sees_what_the_model_was_trained_on(tmp_path, name, resize):
    framing = Framing(32, resize, 0.875)
    image = {"size": 32, "resize": resize, "fraction": 0.875}
    (tmp_path / "export.json").write_text(json.dumps({"image": image}))
    (tmp_path / "photo").write_bytes(PHOTOS[name])
    program = Path(proof.__file__).parent / "examples" / "decode.py"
    shutil.copy(program, tmp_path)
    found = runpy.run_path(str(tmp_path / "decode.py"))["decode"](str(tmp_path / "photo"))
    expected = decode_image(PHOTOS[name], framing)
    assert found.shape == expected.shape
    # We resize before alpha is laid over white, and before a photo is turned.
    assert np.abs(found.astype(int) - expected).max() <= (12 if name == "see-through" else 2)

"""Photos that use fewer bits than they store are learnt and served as bright as they are."""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from models.bundle import Bundle
from models.classifier import Classifier
from models.images import FORMATS, Limits, decode_image
from tests.making import COLOURS, write_classes
from training.__main__ import training
from training.evaluation.evaluate import evaluate_bundle
from training.fit import fit
from training.photos.find import find_photos
from training.photos.levels import find_levels
from training.photos.listing import Photo
from training.settings.config import FitConfig
from training.settings.console import Stages

TIFF = Limits(formats=(*FORMATS, "TIFF"))


def deep_png(colours):
    """(H, W, 3) of uint16 as a PNG of 16 bits, which Pillow cannot write."""

    def chunk(kind, content=b""):
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    height, width, _ = colours.shape
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colours)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")
    return b"\x89PNG\r\n\x1a\n" + chunks


def write_deep(folder: Path, eight: Path, scale: int) -> Path:
    """Every photo of `eight`, each number times `scale`, in 16 bits."""
    for path in eight.rglob("*.png"):
        pixels = np.asarray(Image.open(path)).astype(np.uint16) * scale
        target = folder / path.relative_to(eight)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(deep_png(pixels))
    return folder


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """Three classes of 12 photos, of eight bits, whose colours differ by a little."""
    dim = {"red": (150, 120, 120), "green": (120, 150, 120), "blue": (120, 120, 150)}
    return write_classes(tmp_path_factory.mktemp("levels") / "eight", 12, dim)


@pytest.fixture(scope="module")
def twelve(eight):
    """The same photos with 12 bits of 16: today's sensors, as they come."""
    return write_deep(eight.parent / "twelve", eight, 16)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """One cache for all runs: the backbone is compiled once."""
    return {"backbone": "tiny", "cache": tmp_path_factory.mktemp("cache"), "insight": False}


def test_twelve_bits_of_sixteen_are_learnt_as_well_as_eight_and_served_alike(
    twelve, eight, tmp_path, settings
):
    config = FitConfig(**settings)
    plain = fit(eight, tmp_path / "plain", config, Stages(quiet=True))
    manifest = fit(twelve, tmp_path / "deep", config, Stages(quiet=True))
    assert manifest.image.levels == (0, 4095)
    assert plain.image.levels is None
    accuracy = [found.metrics["test"]["accuracy"] for found in (manifest, plain)]
    assert accuracy[0] >= accuracy[1] - 0.01
    classifier = Classifier(Bundle(tmp_path / "deep"))
    data = (twelve / "red" / "000.png").read_bytes()
    pixels = classifier.decode(data)
    twin = (eight / "red" / "000.png").read_bytes()
    assert np.abs(pixels.astype(int) - classifier.decode(twin)).max() <= 1  # as in eight bits
    assert evaluate_bundle(classifier, twelve, 1)["accuracy"] > 0.9
    sample = next((tmp_path / "deep" / "samples").glob("*.jpg")).read_bytes()
    shown = decode_image(sample, classifier.framing).astype(int)
    assert 60 < shown.mean() < 200  # as bright as what was learnt


def test_a_manifest_written_before_levels_were_known_is_read(tiny_bundle, tmp_path):
    fields = json.loads((tiny_bundle / "manifest.json").read_text())
    del fields["image"]["levels"], fields["sha256"]
    fields["schema_version"] = 2
    old = tmp_path / "old"
    old.mkdir()
    (old / "manifest.json").write_text(json.dumps(fields))
    assert Bundle(old).manifest.framing.levels is None


def test_photos_of_eight_bits_or_of_all_sixteen_have_no_levels(eight, tmp_path):
    assert find_levels(find_photos(eight).photos, Limits(), 2) is None
    full = write_deep(tmp_path / "full", write_classes(tmp_path / "bright", 2), 257)
    assert find_levels(find_photos(full).photos, Limits(), 2) is None


def test_the_darkest_and_the_brightest_photo_of_the_set_decide(tmp_path):
    photos = []
    for name, (low, high) in {"a": (320, 400), "b": (3000, 4000)}.items():
        path = tmp_path / f"{name}.png"
        ramp = np.linspace(low, high, 3 * 256).reshape(16, 16, 3).astype(np.uint16)
        path.write_bytes(deep_png(ramp))
        photos.append(Photo(path, name))
    assert find_levels(photos, Limits(), 2) == (0, 4095)
    (tmp_path / "b.png").write_bytes(b"no photo")
    assert find_levels(photos, Limits(), 2) == (320, 400)  # of a narrow range, all of it
    (tmp_path / "b.png").unlink()
    assert find_levels(photos, Limits(), 2) == (320, 400)  # of a narrow range, all of it


def test_numbers_without_a_range_are_learnt_by_the_range_they_use(eight, tmp_path, settings):
    for path in eight.rglob("*.png"):
        grey = (np.asarray(Image.open(path)) @ [0.5, 0.3, 0.2] / 255).astype(np.float32)
        grey[0, 0] = np.nan
        target = (tmp_path / "floats" / path.relative_to(eight)).with_suffix(".tif")
        target.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, "TIFF")
        target.write_bytes(buffer.getvalue())
    config = FitConfig(**settings, more_formats=True)
    manifest = fit(tmp_path / "floats", tmp_path / "model", config, Stages(quiet=True))
    low, high = manifest.image.levels
    assert 0.2 < low < 0.5
    assert 0.6 < high < 0.75
    assert manifest.metrics["test"]["accuracy"] > 0.6


def test_fit_and_check_say_which_levels_they_use(twelve, tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(training, ["check", str(twelve), "--backbone", "tiny"])
    assert done.exit_code == 0
    said = " ".join((done.stdout + done.stderr).split())
    assert "pixels of more than 8 bits use 0 to 4,095" in said
    assert "one colour" not in said


def test_a_band_that_was_taken_for_alpha_costs_no_accuracy(tmp_path, settings):
    source = write_classes(tmp_path / "photos", 12)
    rng = np.random.default_rng(0)
    for number, path in enumerate(sorted(source.rglob("*.png"))):
        image = Image.open(path).convert("RGBA")
        image.putalpha(Image.fromarray(rng.integers(0, 61, (40, 40), np.uint8)))
        image.save(path) if number % 2 else None
    manifest = fit(source, tmp_path / "model", FitConfig(**settings), Stages(quiet=True))
    assert manifest.metrics["test"]["accuracy"] == 1.0
    assert set(manifest.class_names) == set(COLOURS)

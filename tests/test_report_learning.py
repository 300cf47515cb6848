"""The section "How it learnt" of a real run: a neural head, then upper blocks, both with a
learning rate that was searched for.
"""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from tests.making import write_classes
from tests.test_report import Page
from training.fit import fit
from training.optimisation.epochs import Curves, Epoch, RateSearch
from training.report import drawings
from training.report.learning import LearningRun
from training.settings.config import FitConfig
from training.settings.console import Stages
from training.settings.hyperparameters import HEAD


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The manifest, and the report as a browser sees it."""
    place = tmp_path_factory.mktemp("learning")
    config = FitConfig(
        backbone="tiny",
        head="neural",
        hidden=(8,),
        fine_tune="yes",
        cut="block1_relu",
        views=1,
        epochs=2,
        find_rate=True,
        insight=False,
        cache=place / "cache",
    )
    photos = write_classes(place / "photos", 12)
    manifest = fit(photos, place / "tuned", config, Stages(quiet=True))
    return manifest, Page(place / "tuned" / "report.html")


def test_head_and_blocks_show_their_curves(run):
    _, page = run
    pictures = [v for name, v in page.attributes if name == "alt" and "by epoch" in (v or "")]
    assert len(pictures) == 2
    place = page.text.index("How it learnt The head ")
    assert page.text.index("The upper blocks and the head ", place) > place


def test_head_and_blocks_show_the_learning_rates_tried(run):
    manifest, page = run
    assert page.text.count("Learning rates tried") == 2
    images = dict(zip(*[[v for n, v in page.attributes if n == key] for key in ("src", "alt")],
                      strict=True))  # fmt: skip
    shown = [src for src, alt in images.items() if alt == "Training loss over the learning rate"]
    assert len(shown) == 2
    for source in shown:
        content = base64.b64decode(source.partition(",")[2])
        assert Image.open(io.BytesIO(content)).format == "PNG"
    for found in (manifest.head["from"], manifest.training["fine_tuning"]):
        assert f"{found['rate_search']['suggested']:.2g}" in page.text


def test_the_settings_hold_nothing_that_only_a_programmer_reads(run):
    _, page = run
    settings = page.text.partition("Settings and versions")[2]
    assert "find_rate = yes" in settings
    assert not set("{}[]") & set(settings)


def test_the_rate_that_was_found_is_the_rate_of_the_record(run):
    manifest, page = run
    head = manifest.head["from"]
    assert head["descent"]["learning_rate"] == head["rate_search"]["suggested"]
    assert page.text.count("was used.") == 2


@pytest.mark.parametrize("found", [True, False])
def test_a_search_for_the_rate_is_never_advised_after_one(found):
    losses = [0.8, 1.3, 0.7, 1.2, 0.6, 1.1, 0.5]
    curves = Curves([Epoch(v, 0.9, v, 0.9, 1e-3) for v in losses], 6, 1.4, "all epochs were done")
    rates = RateSearch(
        np.geomspace(1e-5, 1, 6), np.array([1.4, 1.4, 1.2, 0.6, 0.9, 3.0]), 1e-3, found
    )
    plain, searched = (LearningRun("x", curves, HEAD, each) for each in (None, rates))
    assert "--find-rate" in plain.verdict.advice[0]
    assert "--find-rate" not in " ".join(searched.verdict.advice)
    assert searched.verdict.advice[0].startswith("a learning rate of 0.0002 instead of 0.001")
    assert searched.rates_picture is not None
    assert Image.open(io.BytesIO(searched.rates_picture)).format == "PNG"
    assert plain.rates_picture is None


def test_the_rates_on_the_axis_are_numbers_and_not_the_source_of_formulas(monkeypatch):
    monkeypatch.setattr(drawings, "as_png", lambda figure: figure)  # its texts cannot be read back
    losses = np.array([1.4, 1.4, 1.2, 0.6, 0.9, 3.0])
    figure = drawings.draw_rates(RateSearch(np.geomspace(1e-5, 1, 6), losses, 1e-3, True))
    figure.canvas.draw()
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert {"1e-05", "1e-03", "1e-01"} & set(labels)
    assert not any("$" in label for label in labels)

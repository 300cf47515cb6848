"""The report: complete, readable with the network off, and safe to open whatever it shows."""

import base64
import io
import os
import warnings
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.bundle import ImageEntry, Manifest
from tests.making import COLOURS, picture
from training.evaluate import measure
from training.photos import Skipped
from training.report import Cost, Mistake, draw_confusion, most_confused, write_report

HOSTILE = "<img src=x onerror=alert(1)>"
QUOTED = "\" onload='alert(2)"  # would end an attribute
COST = Cost({"compute features": 28.0, "train the head": 2.0}, 757.0, 10)
MISTAKE = Mistake("a.png", "cat", "dog", 0.987, picture(COLOURS["red"], kind="JPEG"))


class Page(HTMLParser):
    """The tags, attributes and text of a page, as a browser would see them."""

    def __init__(self, path: Path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.pieces: list[str] = []
        self.feed(self.source)
        self.text = " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)


def numbers(names: list[str], truth: list[int], predicted: list[int]) -> dict[str, Any]:
    probabilities = np.full((len(truth), len(names)), 0.1 / max(1, len(names) - 1))
    probabilities[np.arange(len(truth)), predicted] = 0.9
    return measure(probabilities, np.array(truth), names)


def manifest_of(metrics: dict[str, Any], names: list[str]) -> Manifest:
    tried = [{"C": 0.01, "validation_log_loss": 0.5, "validation_accuracy": 0.75}]
    return Manifest(
        name="pets",
        class_names=names,
        image=ImageEntry(size=32, resize="crop", fraction=0.875),
        backbone={"name": "tiny"},
        head={"kind": "logistic regression", "C": 0.01, "tried": tried},
        layers=[],
        training={"seed": 5, "seconds": {}},
        data={"photos": {"train": 1234, "validation": 6, "test": 4}},
        metrics={"test": metrics},
        parity={"photos": 8, "logits": 1e-6, "maps": 2e-6, "onnx_ms": 14.3},
        libraries={"numpy": "2.0"},
    )


def written(
    folder: Path,
    names: list[str],
    skipped: list[Skipped] | None = None,
    mistakes: list[Mistake] | None = None,
    predicted: tuple[int, ...] = (0, 0, 1, 0),
    insight: dict[str, Any] | None = None,
) -> Page:
    """The report of four test photos, of which the last is taken for another."""
    manifest = manifest_of(numbers(names, [0, 0, 1, 1], list(predicted)), names)
    write_report(folder / "report.html", manifest, COST, skipped or [], mistakes or [], insight)
    return Page(folder / "report.html")


def test_the_page_needs_nothing_from_outside(tmp_path):
    page = written(tmp_path, ["cat", "dog"], mistakes=[MISTAKE])
    assert "http:" not in page.source
    assert "https:" not in page.source
    assert "@import" not in page.source
    places = [value for name, value in page.attributes if name in ("src", "href", "srcset")]
    assert len(places) == 2  # the confusion matrix and one mistake
    assert all(str(place).startswith("data:image/") for place in places)
    assert not {"script", "link", "iframe"} & set(page.tags)


def test_its_pictures_decode(tmp_path):
    page = written(tmp_path, ["cat", "dog"], mistakes=[MISTAKE])
    sources = [str(value) for name, value in page.attributes if name == "src"]
    found = [base64.b64decode(source.partition(",")[2], validate=True) for source in sources]
    kinds = [Image.open(io.BytesIO(content)).format for content in found]
    assert kinds == ["PNG", "JPEG"]
    assert found[1] == MISTAKE.picture


def test_a_hostile_name_is_shown_as_text(tmp_path):
    mistake = replace(MISTAKE, name=HOSTILE, truth=HOSTILE, predicted=QUOTED)
    page = written(
        tmp_path, [HOSTILE, QUOTED], [Skipped(Path(HOSTILE), f"no {HOSTILE}")], [mistake]
    )
    assert {name for name, _ in page.attributes if name.startswith("on")} == set()
    assert ("alt", f"A photo of {HOSTILE}, taken for {QUOTED}") in page.attributes
    assert page.tags.count("img") == 2
    # the sentence on confusion, the table of classes, the mistake with its file, the skipped file
    assert page.text.count(HOSTILE) >= 6


def test_it_says_how_good_the_network_is_and_how_sure_that_is(tmp_path):
    page = written(tmp_path, ["cat", "dog"])
    assert "75.0 % accuracy on 4 test photos; 95 % interval 30.1 % to 95.4 %" in page.text
    assert "It most often takes dog for cat (1)" in page.text
    assert "cat 66.7 % 100.0 % 80.0 % 2" in page.text  # precision, recall, F1, photos
    assert "1,234 for training, 6 for choosing (validation), 4 for the numbers" in page.text
    assert "0.01 (chosen)" in page.text
    assert "seed = 5" in page.text


def test_it_says_what_the_run_cost_and_what_it_spared(tmp_path):
    text = written(tmp_path, ["cat", "dog"]).text
    assert "compute features 28.0" in text
    assert "30.0 s all told; 10 epochs end to end would have taken about 13 min" in text  # 757 s
    assert "The frozen network took 14.3 ms a photo on one core" in text


def test_a_faultless_network_is_reported_as_such(tmp_path):
    text = written(tmp_path, ["cat", "dog"], predicted=(0, 0, 1, 1)).text
    assert "It made no mistake on them." in text
    assert "Worst mistakes None." in text


def test_mistakes_show_what_was_taken_for_what(tmp_path):
    text = written(tmp_path, ["cat", "dog"], mistakes=[MISTAKE]).text
    assert "1 of 1, the most confident first" in text
    assert "dog 99 % truth: cat a.png" in text


def test_skipped_files_are_listed_with_their_reasons(tmp_path):
    text = written(tmp_path, ["cat", "dog"], [Skipped(Path("cat/a.png"), "it is empty")]).text
    assert "1 skipped." in text
    assert "cat/a.png it is empty" in text


def test_of_very_many_skipped_files_the_first_are_listed_and_all_are_counted(tmp_path):
    skipped = [Skipped(Path(f"{number}.png"), "empty") for number in range(201)]
    text = written(tmp_path, ["cat", "dog"], skipped).text
    assert "201 skipped." in text
    assert "The first 200 are shown." in text
    assert "199.png" in text
    assert "200.png" not in text


@pytest.mark.skipif(os.name == "nt", reason="Windows refuses such names")
def test_a_skipped_file_whose_name_is_no_unicode_does_not_stop_the_report(tmp_path):
    odd = Path(os.fsdecode(b"caf\xe9.png"))  # Latin-1, as old archives have it
    assert "caf" in written(tmp_path, ["cat", "dog"], [Skipped(odd, "empty")]).text


def test_with_too_many_classes_the_matrix_gives_way_to_the_table(tmp_path):
    names = [f"class {number}" for number in range(61)]
    truth = list(range(61))
    manifest = manifest_of(numbers(names, truth, truth), names)
    write_report(tmp_path / "report.html", manifest, COST, [], [])
    page = Page(tmp_path / "report.html")
    assert "img" not in page.tags
    assert "class 60 100.0 %" in page.text


def dark(content: bytes) -> int:
    """Pixels of the darkest blue, which stands for a whole row."""
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    return int((pixels == (8, 48, 107)).all(axis=2).sum())


def test_the_matrix_is_darkest_where_a_whole_row_is():
    names = ["a", "b"]
    full = dark(draw_confusion({"confusion": [[3, 0], [0, 1]], "confusion_labels": names}))
    half = dark(draw_confusion({"confusion": [[3, 0], [1, 1]], "confusion_labels": names}))
    none = dark(draw_confusion({"confusion": [[0, 0], [1, 1]], "confusion_labels": names}))
    assert full > 1000  # two cells of some 40 x 40 px
    assert half == pytest.approx(full / 2, rel=0.1)  # the numbers in the cells differ
    assert none == 0  # also: a row without photos is no division by zero


@pytest.mark.parametrize(
    "name", ["$^$", r"$\frac", "a_b^c", "猫", "🐈", "x" * 300, HOSTILE, "two\nlines", " "]
)
def test_any_class_name_can_be_drawn(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning would be printed in the middle of the run
        content = draw_confusion({"confusion": [[1, 0], [0, 1]], "confusion_labels": [name, "b"]})
    width, height = Image.open(io.BytesIO(content)).size
    assert width < 1000
    assert height < 1000


def test_the_pairs_confused_most_come_first():
    confusion = [[5, 2, 0], [1, 9, 0], [0, 4, 7]]
    metrics = {"confusion": confusion, "confusion_labels": ["a", "b", "c"]}
    assert most_confused(metrics, count=2) == [("c", "b", 4), ("a", "b", 2)]
    assert len(most_confused(metrics)) == 3  # pairs never confused are left out
    assert metrics["confusion"] == [[5, 2, 0], [1, 9, 0], [0, 4, 7]]  # and the diagonal kept


def insight(**changes: Any) -> dict[str, Any]:
    """What `write_insight` found out about two layers."""
    layers = [
        {"name": name, "probe_accuracy": share, "dead_share": 0.25, "duplicate_share": 0.0}
        for name, share in (("stem_relu", 0.4), ("head_relu", 0.925))
    ]
    trust = {
        "photos": 16,
        "deletion": {"saliency": 0.41, "random": 0.46},
        "insertion": {"saliency": 0.6, "random": 0.5},
        "randomised_correlation": 0.17,
    }
    return {"layers": layers, "chance": 0.5, "trust": trust} | changes


def test_it_says_what_each_layer_can_tell_and_whether_saliency_is_to_be_trusted(tmp_path):
    page = written(tmp_path, ["cat", "dog"], insight=insight())
    assert "head_relu 92.5 % 25.0 % 0.0 %" in page.text
    assert (
        "leaves the class 41.0 % probability on the way, covering parts at random 46.0 %"
        in page.text
    )
    assert "correlate by 0.17" in page.text


def test_without_insight_or_without_its_trials_it_says_nothing_about_them(tmp_path):
    assert "Inside the network" not in written(tmp_path, ["cat", "dog"]).text
    page = written(tmp_path, ["cat", "dog"], insight=insight(trust=None))
    assert "Inside the network" in page.text
    assert "trusted" not in page.text

"""The report: complete, readable with the network off, and safe to open whatever it shows."""

import base64
import io
import os
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup
from PIL import Image

from models.bundle import Manifest
from models.images import Framing
from tests.making import COLOURS, picture
from training.evaluation.evaluate import measure
from training.optimisation.epochs import Curves, Epoch
from training.photos.listing import Skipped
from training.report.cost import Cost
from training.report.gallery import Gallery, Thumbnail
from training.report.learning import LearningRun
from training.report.mistakes import Mistake
from training.report.page import Extras, Section, write_report
from training.settings.hyperparameters import Hyperparameters

HOSTILE = "<img src=x onerror=alert(1)>"
QUOTED = "\" onload='alert(2)"  # would end an attribute
COST = Cost(
    seconds={"compute features": 28.0, "train the head": 2.0},
    end_to_end_seconds=757.0,
    epochs=10,
    cpu_seconds={"compute features": 60.0, "train the head": 0.0},
    end_to_end_cpu_seconds=1500.0,
)
RED, GREEN, BLUE = (picture(COLOURS[name], kind="JPEG") for name in ("red", "green", "blue"))
MISTAKE = Mistake("a.png", "cat", "dog", 0.987, RED)
EXPLAINED = replace(MISTAKE, speaks_for_predicted=GREEN, speaks_for_truth=BLUE)
BEHIND = Gallery({("dog", "cat"): [Thumbnail("b.png", 0.9, BLUE)]}, {("dog", "cat"): 0})


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
        image=Framing(size=32, resize="crop", fraction=0.875),
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
    **extras: Any,
) -> Page:
    """The report of four test photos, of which the last is taken for another."""
    manifest = manifest_of(numbers(names, [0, 0, 1, 1], list(predicted)), names)
    target = folder / "report.html"
    write_report(target, manifest, COST, skipped or [], mistakes or [], Extras(**extras))
    return Page(target)


def test_the_page_needs_nothing_from_outside(tmp_path):
    page = written(tmp_path, ["cat", "dog"], mistakes=[EXPLAINED], gallery=BEHIND)
    assert "http:" not in page.source
    assert "https:" not in page.source
    assert "@import" not in page.source
    assert "url(" not in page.source
    places = [str(v) for name, v in page.attributes if name in ("src", "href", "srcset")]
    pictures = [place for place in places if not place.startswith("#")]
    assert len(pictures) == 4  # a mistake with its two maps, one photo behind the matrix
    assert all(place.startswith("data:image/") for place in pictures)
    assert not {"script", "link", "iframe"} & set(page.tags)


def test_its_pictures_decode(tmp_path):
    page = written(tmp_path, ["cat", "dog"], mistakes=[EXPLAINED], gallery=BEHIND)
    sources = [str(value) for name, value in page.attributes if name == "src"]
    found = [base64.b64decode(source.partition(",")[2], validate=True) for source in sources]
    assert [Image.open(io.BytesIO(content)).format for content in found] == ["JPEG"] * 4
    assert found == [BLUE, RED, GREEN, BLUE]


def test_every_entry_of_the_contents_leads_somewhere(tmp_path):
    epochs = Curves([Epoch(0.5, 0.9, 0.4, 0.9, 1e-3)], 0, 1.0, "all epochs were done")
    page = written(
        tmp_path,
        ["cat", "dog"],
        insight=insight(),
        learning=[LearningRun("x", epochs, Hyperparameters())],
    )
    links = [str(v)[1:] for name, v in page.attributes if name == "href"]
    ids = [str(v) for name, v in page.attributes if name == "id"]
    assert len(links) == 8
    assert set(links) <= set(ids)
    assert len(ids) == len(set(ids))


def test_a_cell_of_the_matrix_opens_its_photos_without_a_script(tmp_path):
    page = written(tmp_path, ["cat", "dog"], gallery=BEHIND)
    targets = [v for name, v in page.attributes if name == "popovertarget"]
    assert targets == ["cell-1-0", "cell-1-0"]  # the number opens, the button closes
    assert ("id", "cell-1-0") in page.attributes
    assert "dog taken for cat (1) 90 % b.png" in page.text
    label = "1 of dog taken for cat: show the photos"
    assert ("aria-label", label) in page.attributes


def test_photos_that_found_no_room_are_counted(tmp_path):
    gallery = Gallery({("cat", "cat"): [Thumbnail("c.png", 0.9, RED)]})
    text = written(tmp_path, ["cat", "dog"], gallery=gallery).text
    assert "cat recognised (2) 90 % c.png 1 more is left out" in text


def test_sections_of_others_are_put_in_as_they_are(tmp_path):
    section = Section("The doctor", "doctor", Markup("<section><h2>Twins &amp; co</h2></section>"))
    page = written(tmp_path, ["cat", "dog"], sections=[section])
    assert "Twins & co" in page.text
    assert ("href", "#doctor") in page.attributes
    assert ("id", "doctor") in page.attributes


def test_the_learning_curves_are_shown_with_a_verdict(tmp_path):
    epochs = [Epoch(0.9, 0.6, 0.8, 0.7, 1e-3), Epoch(0.5, 0.9, 0.4, 0.9, 1e-4)]
    curves = Curves(epochs, 1, 1.0, "all epochs were done")
    page = written(
        tmp_path, ["cat", "dog"], learning=[LearningRun("The head", curves, Hyperparameters())]
    )
    assert "How it learnt The head Still improving: the last third of 2 epochs" in page.text
    assert "2 (kept) 0.5000 90.0 % 0.4000 90.0 % 0.0001" in page.text
    assert "How it learnt" not in written(tmp_path, ["cat", "dog"]).text


def test_a_hostile_name_is_shown_as_text(tmp_path):
    mistake = replace(MISTAKE, name=HOSTILE, truth=HOSTILE, predicted=QUOTED)
    page = written(
        tmp_path, [HOSTILE, QUOTED], [Skipped(Path(HOSTILE), f"no {HOSTILE}")], [mistake]
    )
    assert {name for name, _ in page.attributes if name.startswith("on")} == set()
    assert ("alt", f"A photo of {HOSTILE}, taken for {QUOTED}") in page.attributes
    assert page.tags.count("img") == 1
    # the sentence on confusion, the table of classes, the mistake with its file, the skipped file
    assert page.text.count(HOSTILE) >= 6


def test_it_says_how_good_the_network_is_and_how_sure_that_is(tmp_path):
    page = written(tmp_path, ["cat", "dog"])
    assert "75.0 % accuracy on 4 test photos; 95 % interval 30.1 % to 95.4 %" in page.text
    assert "It most often takes dog for cat (1)" in page.text
    # recall with its interval, precision, F1, photos; the weakest class first
    assert "dog 50.0 % 9 % to 91 % 100.0 % 66.7 % 2 cat 100.0 % 34 % to 100 %" in page.text
    assert (
        "1,234 for training, 6 for choosing settings (validation), 4 for the numbers" in page.text
    )
    assert "0.01 (chosen)" in page.text
    assert "seed = 5" in page.text


def test_a_faultless_network_is_reported_as_such(tmp_path):
    text = written(tmp_path, ["cat", "dog"], predicted=(0, 0, 1, 1)).text
    assert "It made no mistake on them." in text
    assert "Worst mistakes None: every test photo was recognised." in text
    assert "Collect more test photos" in text  # four are few


def test_mistakes_show_what_was_taken_for_what(tmp_path):
    text = written(tmp_path, ["cat", "dog"], mistakes=[MISTAKE]).text
    assert "1 of 1, the most confident first" in text
    assert "dog 99 % truth: cat a.png" in text
    assert "Beside each photo" not in text


def test_mistakes_show_what_spoke_for_the_answer_and_what_for_the_truth(tmp_path):
    page = written(tmp_path, ["cat", "dog"], mistakes=[EXPLAINED])
    assert "Next to each photo is what the network saw of it" in page.text
    alternatives = [v for name, v in page.attributes if name == "alt"]
    assert alternatives == [
        "A photo of cat, taken for dog",
        "What speaks for dog",
        "What speaks for cat",
    ]


def test_skipped_files_are_listed_with_their_reasons(tmp_path):
    files = [Skipped(Path(f"cat/{name}.png"), "0 bytes", kind="image_empty") for name in "ab"]
    text = written(tmp_path, ["cat", "dog"], files).text
    assert "2 skipped." in text
    assert "left out why 2 empty" in text  # one table, by kind
    assert "cat/a.png 0 bytes" in text


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


def test_with_too_many_classes_the_matrix_gives_way_to_the_pairs(tmp_path):
    names = [f"class {number}" for number in range(1000)]
    truth = [*range(1000), 7]
    manifest = manifest_of(numbers(names, truth, [*range(1000), 8]), names)
    write_report(tmp_path / "report.html", manifest, COST, [], [])
    page = Page(tmp_path / "report.html")
    assert "A matrix of 1,000 classes cannot be read" in page.text
    assert "truth taken for test photos class 7 class 8 1" in page.text
    assert "class 7 50.0 %" in page.text  # the weakest class is seen at once
    assert "970 more classes, found more often" in page.text
    assert len(page.source) < 400_000


@pytest.mark.parametrize("name", ["$^$", "a_b^c", "猫", "שלום", "x" * 300, HOSTILE, " ", "{{ 7 }}"])
def test_any_class_name_is_shown_as_it_is(tmp_path, name):
    page = written(tmp_path, [name, "b"], mistakes=[replace(MISTAKE, truth=name)])
    assert ("title", name) in page.attributes
    shown = name if len(name) <= 60 else f"{name[:59]}…"
    assert page.pieces.count(shown) >= 4  # the matrix twice, the classes, the mistake
    assert page.tags.count("img") == 1


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
        "leaves the class 41.0 % probability on average, covering parts at random 46.0 %"
        in page.text
    )
    assert "correlate by 0.17" in page.text


def test_without_insight_or_without_its_trials_it_says_nothing_about_them(tmp_path):
    assert "Inside the network" not in written(tmp_path, ["cat", "dog"]).text
    page = written(tmp_path, ["cat", "dog"], insight=insight(trust=None))
    assert "Inside the network" in page.text
    assert "trusted" not in page.text

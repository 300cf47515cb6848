"""The model card: every section, filled from the manifest, whatever the classes are called."""

import re
from pathlib import Path

import numpy as np

from models.bundle import Manifest
from models.bundles.calibration import CalibrationFacts
from models.images import Framing
from training.evaluation.evaluate import measure
from training.photos.listing import Skipped
from training.report.model_card import plain, write_model_card
from training.sides.class_sizes import is_uneven

SECTIONS = [  # Mitchell et al. 2019, figure 1
    *("Model details", "Intended use", "Factors", "Metrics"),
    *("Evaluation data and training data", "Quantitative analyses"),
    *("Ethical considerations", "Caveats and recommendations", "How it was made"),
]
ODD = "a|b *c* <img src=x> $^$ `d`"


def card(folder: Path, names: list[str], skipped: list[Skipped] | None = None, **changes) -> str:
    """Of a network that takes every second photo of the last class for the first."""
    truth = np.repeat(np.arange(len(names)), 20)
    predicted = np.where((truth == len(names) - 1) & (np.arange(truth.size) % 2 == 1), 0, truth)
    probabilities = np.full((truth.size, len(names)), 0.1 / (len(names) - 1))
    probabilities[np.arange(truth.size), predicted] = 0.9
    counts = {name: {"train": 100, "validation": 20, "test": 20} for name in names}
    counts[names[0]]["train"] = 900
    fields = {
        "name": "pets",
        "class_names": names,
        "image": Framing(size=32, resize="crop", fraction=0.875),
        "backbone": {"name": "efficientnet-lite0"},
        "head": {"kind": "logistic regression"},
        "layers": [],
        "training": {
            "weights": "embedded",
            "seed": 5,
            "seconds": {"compute features": 28.0},
            "cpu_seconds": {"compute features": 300.0},
        },
        "data": {
            "photos": {"train": 1234, "validation": 6, "test": truth.size},
            "classes": counts,
            "skipped": len(skipped or []),
            "fingerprint": "f" * 64,
        },
        "metrics": {"test": measure(probabilities, truth, names)},
        "libraries": {"numpy": "2.0"},
    }
    write_model_card(folder / "model_card.md", Manifest(**fields | changes), skipped or [])
    return (folder / "model_card.md").read_text(encoding="utf-8")


def test_every_section_is_there_and_no_template_shows_through(tmp_path):
    text = card(tmp_path, ["cat", "dog", "emu"])
    assert re.findall(r"^## (.*)$", text, re.M) == SECTIONS
    assert "{{" not in text
    assert "{%" not in text
    assert "\n\n\n" not in text


def test_it_gives_numbers_with_their_intervals(tmp_path):
    text = card(tmp_path, ["cat", "dog", "emu"])
    assert "| accuracy | 83.3 % (72.0 % to 90.7 %) |" in text  # 50 of 60, Wilson
    assert "| emu | 50.0 % | 30 % to 70 % | 100.0 % | 66.7 % | 20 |" in text
    assert text.index("| emu | 50.0 %") < text.index("| cat | 100.0 %")  # the weakest first
    assert "| cat | 900 | 20 | 20 |" in text
    assert "| training | 1,234 |" in text
    assert "f" * 64 in text


def test_uneven_means_the_same_as_in_the_report_and_for_the_doctor(tmp_path):
    names = ["cat", "dog"]
    for most, uneven in ((99, False), (100, True)):
        counts = {name: {"train": count} for name, count in zip(names, (10, most), strict=True)}
        photos = {"train": 10 + most, "validation": 1, "test": 40}
        text = card(tmp_path, names, data={"photos": photos, "classes": {
            name: {"validation": 0, "test": 0} | sides for name, sides in counts.items()
        }})  # fmt: skip
        assert ("The classes are uneven: 10 to 100 photos" in text) is uneven
        assert is_uneven([10, most]) is uneven


def test_classes_without_test_photos_are_named_at_the_numbers(tmp_path):
    truth = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.05, 0.05], [0.9, 0.05, 0.05]] + [[0.05, 0.9, 0.05]] * 2)
    names = ["cat", "dog", "emu"]
    text = card(tmp_path, names, metrics={"test": measure(probabilities, truth, names)})
    assert "No test photo shows emu: these numbers do not cover it." in text
    for metric in ("accuracy", "balanced accuracy", "macro F1"):
        assert f"| {metric} without emu | 100.0 %" in text
    assert "| emu | – | – | – | – | none |" in text
    assert "No test photo shows emu: how well these classes work is not known." in text


def test_copies_among_the_test_photos_are_counted_apart(tmp_path):
    names, units = ["cat", "dog"], np.array([0, 0, 0, 1])
    probabilities, truth = np.array([[0.9, 0.1]] * 3 + [[0.1, 0.9]]), np.array([0, 0, 0, 1])
    numbers = measure(probabilities, truth, names, units)
    text = card(tmp_path, names, metrics={"test": numbers})
    assert "Measured on 4 test photos (2 of them independent: the others are copies)" in text
    assert "| accuracy | 100.0 % (34.2 % to 100.0 %) |" in text  # Wilson, 2 of 2


def test_numbers_as_classes_come_in_their_own_order(tmp_path):
    text = card(tmp_path, sorted(map(str, range(12))))
    rows = re.findall(r"^\| (\d+) \| \d+ \| 20 \| 20 \|$", text, re.M)
    assert rows == [str(number) for number in range(12)]


def test_limits_are_told_in_words_from_the_numbers(tmp_path):
    text = card(tmp_path, ["cat", "dog", "emu"])
    assert "far more often than others: it finds 50 % of emu." in text
    assert "uneven" not in text  # 140 to 940 photos: less than 10 to 1
    assert "not calibrated" in text
    facts = CalibrationFacts(method="temperature", temperature=1.5, photos=9)
    calibrated = card(tmp_path, ["cat", "dog"], calibration=facts)
    assert "not calibrated" not in calibrated
    assert "| calibration: temperature | 1.5 |" in calibrated


def test_it_says_how_it_was_made_and_what_that_cost(tmp_path):
    text = card(tmp_path, ["cat", "dog"])
    assert "`seed = 5`" in text
    assert "`numpy 2.0`" in text
    assert "28.0 s of computing, about 1 Wh of electricity" in text  # 300 core seconds at 12 W


def test_what_was_skipped_is_counted_by_reason(tmp_path):
    kind = "image_empty"
    skipped = [Skipped(Path(f"{n}.png"), f"{n} bytes", kind=kind) for n in range(3)]
    assert "- 3: empty" in card(tmp_path, ["cat", "dog"], skipped)


def test_a_class_name_is_shown_as_it_is_and_breaks_no_table(tmp_path):
    text = card(tmp_path, [ODD, "two\nlines", "emu"])
    assert r"| a\|b \*c\* \<img src=x\> \$^\$ \`d\` | 900 |" in text
    assert "| two lines | 100 |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)


def test_of_very_many_classes_the_weakest_are_listed(tmp_path):
    text = card(tmp_path, [f"class {number:03}" for number in range(150)])
    assert "50 more classes, found more often, are in the report." in text
    assert "The first 100 of 150 classes; the manifest has all." in text
    assert "| class 149 | 50.0 %" in text


def test_the_licence_of_the_weights_is_named(tmp_path):
    assert "Apache License 2.0" in card(tmp_path, ["cat", "dog"])
    for weights, words in (("none", "no pretrained weights"), ("my_file.h5", r"my\_file.h5")):
        text = card(tmp_path, ["cat", "dog"], training={"weights": weights})
        assert words in text


def test_plain_words_stay_as_they_are():
    assert plain("t-shirt 2.0 (new)") == "t-shirt 2.0 (new)"

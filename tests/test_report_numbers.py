"""The numbers of the report: independent photos, untested classes, numbers as names, settings."""

import numpy as np

from tests.test_report import COST, Page, manifest_of, numbers, written
from training.evaluation.evaluate import measure
from training.report.page import write_report


def test_settings_are_shown_without_records_and_python_words(tmp_path):
    changes = {
        "training": {"seed": 5, "check": True, "layers": [], "hidden": [64, 32], "rate": 0.001,
                     "search": {"trials": 7}, "fine_tuning": None, "seconds": {}},
    }  # fmt: skip
    names = ["cat", "dog"]
    manifest = manifest_of(numbers(names, [0, 0, 1, 1], [0, 0, 1, 0]), names)
    write_report(tmp_path / "r.html", manifest.model_copy(update=changes), COST, [], [])
    text = Page(tmp_path / "r.html").text
    assert "versions seed = 5; check = yes; hidden = 64, 32; rate = 0.001 numpy 2.0" in text


def test_intervals_of_the_settings_tried_are_read_as_shares(tmp_path):
    row = {"C": 0.01, "validation_accuracy": 0.75, "validation_accuracy_interval": [0.3, 0.95]}
    names = ["cat", "dog"]
    manifest = manifest_of(numbers(names, [0, 0, 1, 1], [0, 0, 1, 0]), names)
    head = {"kind": "logistic", "C": 0.01, "tried": [row]}
    write_report(tmp_path / "r.html", manifest.model_copy(update={"head": head}), COST, [], [])
    assert "0.01 (chosen) 75.0 % 30.0 % to 95.0 %" in Page(tmp_path / "r.html").text


def test_what_a_fine_tuned_head_began_from_is_shown(tmp_path):
    names = ["cat", "dog"]
    manifest = manifest_of(numbers(names, [0, 0, 1, 1], [0, 0, 1, 0]), names)
    head = {"kind": "fine-tuned", "name": "fine-tuned", "from": manifest.head}
    write_report(tmp_path / "r.html", manifest.model_copy(update={"head": head}), COST, [], [])
    text = Page(tmp_path / "r.html").text
    assert "Logistic regression, on the backbone's pooled features" in text
    assert "It was then trained further, together with the upper blocks." in text
    assert "0.01 (chosen)" in text


def test_numbers_as_classes_come_in_their_own_order(tmp_path):
    names = sorted(map(str, range(12)))  # "0", "1", "10", "11", "2": the order in the network
    photos = {"train": 3, "validation": 1, "test": 1}
    manifest = manifest_of(numbers(names, [*range(12)], [*range(12)]), names)
    data = manifest.data | {"classes": dict.fromkeys(names, photos)}
    write_report(tmp_path / "r.html", manifest.model_copy(update={"data": data}), COST, [], [])
    page = Page(tmp_path / "r.html")
    titles = [v for name, v in page.attributes if name == "title"]
    assert titles == [str(number) for number in range(12)] * 2  # columns, then rows
    counted = " ".join(f"{number} 3 1 1" for number in range(12))
    assert f"class training validation test {counted}" in page.text
    classes = " ".join(f"{number} 100.0 % 21 % to 100 % 100.0 % 100.0 % 1" for number in range(12))
    assert classes in page.text
    assert manifest.class_names == names


def test_copies_of_a_test_photo_are_named_and_make_no_interval_narrower(tmp_path):
    names, truth = ["cat", "dog"], [0] * 10 + [1] * 10
    probabilities = np.tile([0.9, 0.1], (20, 1))
    probabilities[10:] = probabilities[10:, ::-1]
    units = np.array([*range(10), *[10] * 10])  # all dogs are one photo
    manifest = manifest_of(measure(probabilities, np.array(truth), names, units), names)
    write_report(tmp_path / "r.html", manifest, COST, [], [])
    text = Page(tmp_path / "r.html").text
    assert "right on 20 of 20 test photos (11 of them independent: the others are copies)" in text
    assert "on 20 test photos (11 independent); 95 % interval 74.1 % to 100.0 %" in text
    assert "dog 100.0 % 21 % to 100 %" in text  # one photo: Wilson, 1 of 1
    assert "Collect more test photos: with 11 the accuracy" in text


def test_a_class_without_test_photos_is_named_at_every_number_that_leaves_it_out(tmp_path):
    names = ["cat", "dog", "emu"]
    manifest = manifest_of(numbers(names, [0, 0, 1, 1], [0, 0, 1, 0]), names)
    write_report(tmp_path / "r.html", manifest, COST, [], [])
    text = Page(tmp_path / "r.html").text
    assert "No test photo shows “emu”: these numbers do not cover it." in text
    assert text.count("without “emu”, which no test photo shows") == 3  # accuracy, balanced, F1
    assert "Collect test photos of “emu”: there are none." in text
    assert "emu – – – – none" in text
    assert "no test photo shows" not in written(tmp_path, ["cat", "dog"]).text


def test_of_many_classes_without_test_photos_some_are_named_and_all_are_counted(tmp_path):
    names = [f"class {number}" for number in range(20)]
    manifest = manifest_of(numbers(names, [0, 1], [0, 1]), names)
    write_report(tmp_path / "r.html", manifest, COST, [], [])
    named = "“class 2”, “class 3”, “class 4”, “class 5”, “class 6” and 13 more"
    assert f"No test photo shows {named}" in Page(tmp_path / "r.html").text


def test_it_says_what_the_run_cost_and_what_it_spared(tmp_path):
    text = written(tmp_path, ["cat", "dog"]).text
    assert "compute features 28.0 60.0 0.2 Wh" in text  # 60 core seconds at 12 W
    assert "30.0 s for the whole run, about 0.2 Wh of electricity" in text
    assert "about 13 min and 5 Wh" in text
    assert "12 W for each core at work" in text
    assert "The frozen network took 14.3 ms a photo on one core" in text

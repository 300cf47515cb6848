"""Two models on the same photos: counts by hand, test and interval by their formulas."""

import json

import pytest
from scipy.stats import binom

from models.bundle import Bundle, new_bundle, seal
from models.classifier import Classifier
from models.errors import PhotosError
from tests.making import COLOURS, colour_bundle, colour_graph, picture, write_classes
from training import __main__ as command
from training.evaluation.compare import compare_bundles
from training.evaluation.intervals import mcnemar, paired_difference
from training.settings.console import Stages


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """One that names red, green and blue, and one that takes red for green and green for red."""
    place = tmp_path_factory.mktemp("bundles")
    right = colour_bundle(place / "right")
    manifest = Bundle(right).manifest
    with new_bundle(place / "swapped") as folder:
        (folder / "predict.onnx").write_bytes(colour_graph())
        names = ["green", "red", "blue"]
        update = {"name": "swapped", "class_names": names, "files": {}}
        seal(folder, manifest.model_copy(update=update), place / "swapped")
    return right, place / "swapped"


@pytest.fixture
def photos(tmp_path):
    """Two photos of each colour, and a red one that is called blue: no model gets it right."""
    folder = write_classes(tmp_path / "photos", 2)
    (folder / "blue" / "red.png").write_bytes(picture(COLOURS["red"]))
    return folder


def test_every_photo_falls_into_one_of_four_cells(bundles, photos):
    first, second = (Classifier(Bundle(path)) for path in bundles)
    found = compare_bundles(first, second, photos, 2, Stages(quiet=True))
    against = found["against"]
    assert found["accuracy"] == 6 / 7
    assert against["model"] == "swapped"
    assert against["accuracy"] == 2 / 7
    cells = [against[key] for key in ("both", "only_this", "only_other", "neither")]
    assert cells == [2, 4, 0, 1]
    assert against["difference"] == 4 / 7
    assert against["p_value"] == pytest.approx(2 / 2**4)  # four tosses, all the same, two-sided


def test_copies_are_no_further_tosses(bundles, photos):
    for number in range(5):  # of one photo that only the first one gets right
        content = (photos / "red" / "000.png").read_bytes()
        (photos / "red" / f"copy{number}.png").write_bytes(content)
    first, second = (Classifier(Bundle(path)) for path in bundles)
    against = compare_bundles(first, second, photos, 2, Stages(quiet=True))["against"]
    assert (against["photos"], against["independent_photos"]) == (12, 7)
    assert against["only_this"] == 9
    assert against["p_value"] == pytest.approx(2 / 2**4)  # as without the copies
    assert against["difference_interval"] == pytest.approx(paired_difference(4, 0, 7))


def test_a_photo_one_of_them_cannot_read_is_left_out(bundles, photos):
    (photos / "red" / "broken.png").write_bytes(b"\x89PNG")
    first, second = (Classifier(Bundle(path)) for path in bundles)
    found = compare_bundles(first, second, photos, 1, Stages(quiet=True))
    assert found["against"]["photos"] == 7
    assert len(found["skipped"]) == 1


def test_a_label_that_only_one_of_them_has_is_refused(bundles, photos, tmp_path):
    other = colour_bundle(tmp_path / "other")
    manifest = Bundle(other).manifest
    (other / "manifest.json").unlink()
    update = {"class_names": ["red", "green", "violet"], "files": {}}
    seal(other, manifest.model_copy(update=update), other)
    models = Classifier(Bundle(bundles[0])), Classifier(Bundle(other))
    with pytest.raises(PhotosError, match="the model has no class blue"):
        compare_bundles(*models, photos, 1, Stages(quiet=True))


def test_the_command_prints_one_json(bundles, photos, capsys, monkeypatch):
    words = ["training", "evaluate", bundles[0], photos, "--against", bundles[1], "--quiet"]
    monkeypatch.setattr("sys.argv", [str(word) for word in words])
    command.main()
    assert json.loads(capsys.readouterr().out)["against"]["only_this"] == 4


def test_mcnemar_counts_tosses_of_a_coin():
    assert mcnemar(0, 0) == 1
    assert mcnemar(8, 2) == pytest.approx(2 * binom.cdf(2, 10, 0.5))
    assert mcnemar(2, 8) == mcnemar(8, 2)


def test_the_interval_of_the_difference_is_bonetts_and_prices():
    # (12 + 1) / 102 - (5 + 1) / 102 = 0.068627; half = 1.959964 * sqrt((19/102 - 0.068627²) / 102)
    assert paired_difference(12, 5, 100) == pytest.approx([-0.014065, 0.151320], abs=1e-5)
    low, high = paired_difference(0, 0, 50)
    assert low == -high
    assert 0 < high < 0.06  # equal on fifty photos is no proof of being equal

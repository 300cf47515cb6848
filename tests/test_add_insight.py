"""A bundle without insight gets it later, and nothing else of it changes."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from models.bundle import Bundle
from models.errors import LayerscopeError, PhotosError, SettingError, UnknownChannel, UnknownLayer
from models.insight import Insight
from tests.making import write_classes
from training.fit import fit
from training.insight.add import add_insight
from training.settings.config import FitConfig
from training.settings.console import Stages

QUIET = Stages(quiet=True)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_classes(tmp_path_factory.mktemp("photos"), 12)


@pytest.fixture(scope="module")
def plain(photos, tmp_path_factory):
    """A bundle that was fitted without insight, and its cache."""
    place = tmp_path_factory.mktemp("plain")
    config = FitConfig(backbone="tiny", cache=place / "cache", insight=False)
    fit(photos, place / "colours", config, QUIET)
    return place / "colours"


@pytest.fixture
def bundle(plain, tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_CACHE", str(tmp_path / "cache"))
    return shutil.copytree(plain, tmp_path / "colours")


def test_a_fit_without_insight_has_none(plain):
    assert not [name for name in Bundle(plain).manifest.files if name.startswith("insight/")]


def test_insight_added_later_is_that_of_fit(bundle, photos, insight_bundle):
    before = Bundle(bundle).manifest
    add_insight(bundle, photos, (), (), QUIET)
    after = Bundle(bundle)
    after.verify()
    assert after.manifest.version == str(int(before.version) + 1)
    assert after.manifest.files["model.keras"] == before.files["model.keras"]
    ours, theirs = Insight(after), Insight(Bundle(insight_bundle))
    for name, summary in theirs.summaries.items():
        assert ours.summaries[name] == pytest.approx(summary)
        one, other = ours.layer(name).arrays, theirs.layer(name).arrays
        np.testing.assert_allclose(one["selectivity"], other["selectivity"], atol=0.01)
        np.testing.assert_array_equal(one["exemplar_photo"][:, 0], other["exemplar_photo"][:, 0])


def test_insight_is_replaced_not_piled_up(bundle, photos):
    add_insight(bundle, photos, (), (), QUIET)
    add_insight(bundle, photos, ("block1_relu",), (), QUIET)
    files = {name for name in Bundle(bundle).manifest.files if name.startswith("insight/")}
    assert files == {"insight/insight.json", "insight/layer00.npz", "insight/layer01.npz"}


@pytest.mark.parametrize(
    ("layers", "visualised", "error", "words"),
    [
        (("block9",), (), UnknownLayer, "no layer with feature maps 'block9'"),
        ((), ("block2_relu",), SettingError, "expected LAYER:CHANNEL"),
        ((), ("block9:1",), UnknownLayer, "block9"),
        ((), ("block2_relu:99",), UnknownChannel, "no channel 99; the layer has 0 to 15"),
    ],
)
def test_what_is_not_there_is_refused_before_the_work(
    layers, visualised, error, words, bundle, photos
):
    with pytest.raises(error, match=words):
        add_insight(bundle, photos, layers, visualised, QUIET)
    assert Bundle(bundle).manifest.version == "1"


def test_photos_of_one_class_leave_the_bundle_as_it_was(bundle, tmp_path):
    one = write_classes(tmp_path / "one", 6, {"red": (200, 40, 40)})
    with pytest.raises(PhotosError):
        add_insight(bundle, one, (), (), QUIET)
    assert Bundle(bundle).manifest.version == "1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "colours", "one"]


def test_other_photos_than_those_of_training_are_said_to_be_others(bundle, tmp_path, capsys):
    others = write_classes(tmp_path / "others", 8, first=500)
    add_insight(bundle, others, (), (), Stages())
    assert "these are not the photos the model was trained on" in capsys.readouterr().err


def test_a_visualised_channel_is_a_picture_that_excites_it(bundle, photos):
    add_insight(bundle, photos, (), ("block2_relu:3",), QUIET)
    opened = Bundle(bundle)
    (entry,) = json.loads(opened.read("insight/insight.json"))["visualised"]
    assert (entry["layer"], entry["channel"]) == ("block2_relu", 3)
    assert isinstance(entry["converged"], bool)
    picture = Image.open(io.BytesIO(opened.read(entry["file"]))).convert("RGB")
    assert picture.size == (32, 32)
    usual = float(Insight(opened).layer("block2_relu").arrays["mean"][3])
    assert entry["answer"] > 1.5 * usual  # more than photos do


def test_every_error_is_one_of_ours(bundle, tmp_path):
    with pytest.raises(LayerscopeError):
        add_insight(bundle, tmp_path / "nowhere", (), (), QUIET)

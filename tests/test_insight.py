"""What is said about layers and channels, against sums done by hand."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.bundle import Bundle, LayerEntry
from models.errors import UnknownLayer
from models.images import Framing, Limits
from models.insight import Insight, LayerInsight
from models.runtime import Graph
from training.features.summaries import SUMMARY, summarise_maps
from training.insight.channel_facts import (
    ChannelFacts,
    class_weights,
    duplicate_share,
    selectivity,
)
from training.insight.exemplars import COUNT, TILE, Exemplars, TopPhotos, cut_sprites
from training.insight.write import choose_layers

LAYER = LayerEntry(
    name="conv", kind="ReLU", height=4, width=8, channels=2, stride=8, receptive_field=16,
    trunk=True, block=True,
)  # fmt: skip


def summaries(**columns: Any) -> np.ndarray:
    """(N, C) of SUMMARY; what is not given is 0."""
    shape = np.shape(next(iter(columns.values())))
    made = np.zeros(shape, SUMMARY)
    for name, values in columns.items():
        made[name] = values
    return made


def facts_of(rows: np.ndarray, labels: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    facts = ChannelFacts(rows.shape[1], classes)
    facts.add(rows, labels)
    return facts.as_arrays()


def exemplars_of(rows: np.ndarray, photos: list[int]) -> Exemplars:
    top = TopPhotos(rows.shape[1])
    top.add(rows, np.array(photos))
    return top.exemplars(LAYER, size=64)


def known(insight: Insight, name: str) -> LayerInsight:
    """A layer that was looked into."""
    layer = insight.layer(name)
    assert layer is not None
    return layer


def test_a_summary_holds_mean_strength_peak_and_its_place():
    maps = np.zeros((2, 2, 3), np.float32)  # two channels, 2 x 3 positions
    maps[0, 1, 2] = 6
    maps[1] = -1
    maps[1, 0, 1] = 2
    first, second = summarise_maps(maps)
    assert first.tolist() == (1.0, 1.0, 6.0, 1, 2)
    mean, strength, peak, row, column = second.tolist()
    assert (peak, row, column) == (2.0, 0, 1)
    assert mean == pytest.approx(-0.5, abs=1e-3)  # (2 - 5) / 6
    assert strength == pytest.approx(1 / 3, abs=1e-3)  # 2 / 6


def test_a_summary_of_huge_answers_stays_finite():
    assert summarise_maps(np.full((1, 1, 1), 1e9, np.float32))["peak"][0] == 65504


def test_channel_facts_by_hand():
    # Channel 0 fires for class 1 only, channel 1 for both alike, channel 2 never.
    strength = [[0, 2, 0], [0, 2, 0], [4, 2, 0], [2, 2, 0]]
    peak = [[0, 3, -1], [0, 3, 0], [9, 3, -1], [5, 3, -2]]
    rows = summaries(strength=strength, peak=peak, mean=strength)
    facts = facts_of(rows, np.array([0, 0, 1, 1]), classes=2)
    assert facts["mean"].tolist() == [1.5, 2.0, 0.0]
    assert facts["peak"].tolist() == [9.0, 3.0, 0.0]
    assert facts["alive"].tolist() == [0.5, 1.0, 0.0]
    assert facts["class"].tolist() == [1, 0, -1]  # -1: dead
    own = [3.0, 2.0, 0.0]  # the best class's mean strength
    rest = 0.1 * np.median(own)
    found = selectivity(facts["own"], facts["others"])
    assert found.tolist() == pytest.approx([3 / (3 + rest), 0, 0])


def test_a_channel_that_hardly_ever_answers_is_no_specialist():
    strength = np.full((40, 5), 1.0)
    strength[:, 0] = 0
    strength[0, 0] = 0.02  # one faint answer, to one photo of class 0
    facts = facts_of(summaries(strength=strength.tolist()), np.arange(40) % 2, classes=2)
    assert selectivity(facts["own"], facts["others"])[0] < 0.02


def test_near_copies_are_counted_once():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 200))
    constant = np.full(200, 3.0)
    pooled = np.stack([one, 2 * one + 5, other, one + 0.01 * other, constant], axis=1)
    assert duplicate_share(pooled) == pytest.approx(
        2 / 5
    )  # the second and the fourth follow the first


def test_exemplars_are_the_photos_with_the_largest_answers_and_no_other():
    peaks = np.array([[1, 0], [5, -1], [3, 0], [5, -2]], float)  # the second channel is dead
    rows = summaries(
        peak=peaks.tolist(), strength=[[0, 0], [1, 0], [9, 0], [2, 0]],
        row=[[0, 0], [3, 0], [1, 0], [0, 0]], column=[[0, 0], [7, 0], [2, 0], [4, 0]],
    )  # fmt: skip
    found = exemplars_of(rows, [10, 11, 12, 13])
    assert found.photo[0].tolist() == [13, 11, 12, 10, -1, -1, -1, -1, -1]  # 13 is stronger than 11
    assert found.value[0, :4].tolist() == [5, 5, 3, 1]
    assert (found.photo[1] == -1).all()
    # Row 3 of 4, column 7 of 8, on 64 px: its centre is at (60, 56); 16 px around it, clipped.
    assert found.at[0, 1].tolist() == [60, 56]
    assert found.box[0, 1].tolist() == [52, 48, 64, 64]


def test_exemplars_of_blocks_are_those_of_all_photos_sorted():
    rng = np.random.default_rng(0)
    shape = (1000, 5)
    rows = summaries(  # many equal peaks, and equal strengths: the order decides too
        peak=np.minimum(rng.integers(-2, 9, shape), 6), strength=rng.integers(0, 6, shape),
        row=rng.integers(0, 4, shape), column=rng.integers(0, 8, shape),
    )  # fmt: skip
    whole, top = exemplars_of(rows, list(range(1000))), TopPhotos(5)
    for start in (0, 4, 100, 600):  # the first block holds fewer than are kept
        end = {0: 4, 4: 100, 100: 600, 600: 1000}[start]
        top.add(rows[start:end], np.arange(start, end))
    for name, array in vars(top.exemplars(LAYER, size=64)).items():
        np.testing.assert_array_equal(array, getattr(whole, name))
    order = sorted(range(1000), key=lambda i: (-rows["peak"][i, 0], -rows["strength"][i, 0], i))
    assert whole.photo[0].tolist() == order[:COUNT]


def test_facts_of_blocks_are_those_of_all_photos():
    rng = np.random.default_rng(0)
    rows = summaries(
        peak=rng.normal(size=(300, 4)), strength=rng.random((300, 4)), mean=rng.random((300, 4))
    )
    labels = rng.integers(0, 3, 300)
    whole, facts = facts_of(rows, labels, 3), ChannelFacts(4, 3)
    for part in np.array_split(np.arange(300), 7):
        facts.add(rows[part], labels[part])
    for name, array in facts.as_arrays().items():
        np.testing.assert_allclose(array, whole[name], rtol=1e-6)


def test_a_sprite_shows_what_the_strongest_position_saw(tmp_path):
    path = tmp_path / "half.png"
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, 32:] = (0, 200, 0)
    Image.fromarray(pixels).save(path)
    rows = summaries(peak=[[2.0]], row=[[1]], column=[[6]])  # right: green
    found = exemplars_of(rows, [0])
    done: list[int] = []
    ((sprite,),) = cut_sprites(
        [found], [path], Framing(64, fraction=1.0), Limits(), tmp_path, 1, done.append
    )
    image = np.asarray(Image.open(io.BytesIO(sprite)).convert("RGB")).astype(int)
    assert image.shape == (3 * TILE, 3 * TILE, 3)
    inner = image[4 : TILE - 4, 4 : TILE - 4]  # WebP is lossy, most of all beside another tile
    assert np.abs(inner - (0, 200, 0)).max() < 32
    assert image[TILE + 8 :].max() < 32  # no photo there
    assert done == [1]


def test_a_photo_that_vanished_leaves_its_tile_black(tmp_path):
    found = exemplars_of(summaries(peak=[[2.0]]), [0])
    gone = tmp_path / "gone.png"
    ((sprite,),) = cut_sprites([found], [gone], Framing(64), Limits(), tmp_path, 1)
    assert np.asarray(Image.open(io.BytesIO(sprite)).convert("L")).max() < 10


def test_the_weights_towards_each_class_are_those_of_a_linear_head(insight_bundle):
    bundle = Bundle(insight_bundle)
    arrays = Insight(bundle).layer("block2_relu").arrays
    import keras

    dense = keras.saving.load_model(insight_bundle / "model.keras").get_layer("logits")
    np.testing.assert_allclose(arrays["weights"], dense.get_weights()[0], atol=1e-4)
    head = Graph(bundle.read("head.onnx"))
    assert class_weights(head, arrays["mean"]).shape == (16, 3)


def test_the_layers_to_look_into_can_be_chosen_and_the_last_is_always_there():
    entries = [LAYER.model_copy(update={"name": name}) for name in ("a", "b", "c")]
    assert [layer.name for layer in choose_layers(entries, ["a"])] == ["a", "c"]
    assert [layer.name for layer in choose_layers(entries)] == ["a", "b", "c"]
    with pytest.raises(UnknownLayer, match="no layer with feature maps 'd'"):
        choose_layers(entries, ["d"])


def test_insight_of_a_bundle_is_read_back_as_it_was_found(insight_bundle):
    insight = Insight(Bundle(insight_bundle))
    assert insight.class_names == ["blue", "green", "red"]
    assert insight.index["chance"] == pytest.approx(1 / 2)  # sides are drawn by lot
    assert list(insight.summaries) == ["block1_relu", "block2_relu"]
    assert insight.layer("conv") is None
    layer = known(insight, "block2_relu")
    assert len(layer) == 16
    alive = int(layer.arrays["alive"].argmax())
    exemplars = insight.exemplars(layer, alive)
    assert len(exemplars) == COUNT
    assert len({(one.photo, one.label) for one in exemplars}) == COUNT  # no photo twice
    values = [one.value for one in exemplars]
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(float(layer.arrays["peak"][alive]), abs=1e-6)
    with Image.open(io.BytesIO(layer.sprite(alive))) as sprite:
        assert (sprite.format, sprite.size) == ("WEBP", (3 * TILE, 3 * TILE))


def test_a_probe_answers_for_a_class_with_its_weight_times_the_answer(insight_bundle):
    insight = Insight(Bundle(insight_bundle))
    layer = known(insight, "block1_relu")
    pooled = np.arange(8, dtype=np.float32)
    effects = insight.effects(layer, pooled, "green")
    assert effects is not None
    np.testing.assert_allclose(effects, layer.arrays["probe_kernel"][:, 1] * pooled)
    assert insight.effects(layer, pooled, "no such class") is None


def test_channels_in_several_runs_give_the_same_insight(insight_bundle, tmp_path, monkeypatch):
    from tests.making import write_classes
    from training.fit import fit
    from training.insight import write as room
    from training.settings.config import FitConfig
    from training.settings.console import Stages

    monkeypatch.setattr(room, "CHANNELS_AT_ONCE", 7)  # of 8 and 16 channels
    photos = write_classes(tmp_path / "photos", 12)  # those of the fixture
    config = FitConfig(backbone="tiny", cache=tmp_path / "cache")
    fit(photos, tmp_path / "colours", config, Stages(quiet=True))
    one, other = Insight(Bundle(insight_bundle)), Insight(Bundle(tmp_path / "colours"))
    assert one.summaries == other.summaries
    for name in one.summaries:
        expected, found = known(one, name).arrays, known(other, name).arrays
        for key, values in expected.items():
            np.testing.assert_array_equal(found[key], values, err_msg=f"{name} {key}")

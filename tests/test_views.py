"""Random views come from the photo, are drawn from the seed, and are computed once."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from models.building.backbones import find_backbone
from models.building.export import to_onnx
from models.building.network import build_backbone
from models.images import Framing, Limits, decode_image
from models.runtime import Graph
from training.fine_tuning.map_store import MapStore
from training.fine_tuning.views import PhotoViews, ViewRecipe, compute_views, draw_view
from training.photos.listing import Photo

SIZE, FRAMING, LIMITS = 32, Framing(32), Limits()
RECIPE = ViewRecipe(FRAMING, LIMITS, 0.45, mirror=True, seed=7)


@pytest.fixture(scope="module")
def lower():
    network = build_backbone(find_backbone("tiny"), SIZE, "none", seed=1)
    return Graph(to_onnx(network, {"cut": network.get_layer("block1_relu").output}))


@pytest.fixture
def photos(tmp_path, paint):
    found = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.roll(paint(50, 70), number * 9, axis=0)).save(path)
        found.append(Photo(path, "x"))
    return found


@pytest.fixture
def store(tmp_path):
    made = MapStore(tmp_path / "cache", "maps", (16, 16, 8))
    yield made
    made.close()


def compute(photos, lower, store, spans, progress=lambda done: None, recipe=RECIPE):
    digests = [photo.path.name.encode() for photo in photos]
    views = [PhotoViews(*each) for each in zip(photos, digests, spans, strict=True)]
    compute_views(views, recipe, lower, store, workers=2, progress=progress)
    return digests


def test_a_view_shows_a_part_of_the_photo_and_sometimes_its_mirror_image():
    right = np.tile(
        np.arange(100, dtype=np.uint8)[None, :, None], (80, 1, 3)
    )  # brighter rightwards
    rng = np.random.default_rng(0)
    views = [draw_view(Image.fromarray(right), 16, RECIPE, rng) for _ in range(40)]
    slopes = [float(view[:, -1].mean()) - float(view[:, 0].mean()) for view in views]
    assert all(view.shape == (16, 16, 3) for view in views)
    assert 8 <= sum(slope < 0 for slope in slopes) <= 32  # mirrored about half the time
    spans = np.abs(slopes) / 100  # share of the width that is seen
    assert 0.45 < spans.min() < 0.8  # an area of 0.45 at a ratio of 3:4 is 0.52 of the width
    assert spans.max() > 0.85
    rng = np.random.default_rng(0)
    unmirrored = replace(RECIPE, mirror=False)
    views = [draw_view(Image.fromarray(right), 16, unmirrored, rng) for _ in range(40)]
    assert all(view[:, -1].mean() > view[:, 0].mean() for view in views)


def test_a_photo_too_narrow_for_any_crop_gives_its_middle():
    strip = Image.fromarray(np.full((4, 400, 3), 9, np.uint8))
    view = draw_view(strip, 8, replace(RECIPE, smallest_area=0.9), np.random.default_rng(0))
    assert view.shape == (8, 8, 3)
    assert view.min() == view.max() == 9


def test_view_0_is_what_serving_sees(photos, lower, store):
    digests = compute(photos, lower, store, [range(1)] * 3)
    pixels = decode_image(photos[1].path.read_bytes(), FRAMING)
    expected = lower.run(pixels[None], ["cut"])[0][0].transpose(1, 2, 0)
    found = store.read([(digests[1], 0)])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)  # float16
    assert len(store.rows) == 3


def test_views_are_the_same_for_the_same_seed_and_others_for_another(photos, lower, tmp_path):
    kept = {}
    for name, recipe in (("a", RECIPE), ("b", RECIPE), ("c", replace(RECIPE, seed=8))):
        made = MapStore(tmp_path / name, "maps", (16, 16, 8))
        digests = compute(photos, lower, made, [range(3)] * 3, recipe=recipe)
        kept[name] = made.read([(digest, view) for digest in digests for view in range(3)])
        made.close()
    assert np.array_equal(kept["a"], kept["b"])
    same = (kept["a"] == kept["c"]).all(axis=(1, 2, 3))
    assert same.tolist() == [True, False, False] * 3  # the plain view has no luck in it
    assert not np.array_equal(kept["a"][1], kept["a"][2])


def test_only_what_is_missing_is_computed_and_everything_is_counted(photos, lower, store):
    compute(photos, lower, store, [range(2)] * 3)
    counted = []
    compute(photos, lower, store, [range(4), range(1), range(2)], counted.append)
    assert sum(counted) == 7
    assert len(store.rows) == 8  # two more, of the first photo


def test_a_photo_that_cannot_be_read_any_more_has_no_views(photos, lower, store):
    photos[1].path.write_bytes(b"gone")
    compute(photos, lower, store, [range(2)] * 3)
    assert {digest for digest, _ in store.rows} == {b"0.png", b"2.png"}

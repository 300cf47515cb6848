"""Saliency is what a logit loses when a part is taken out, checked against sums by hand."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models import saliency
from models.runtime import Graph

RNG = np.random.default_rng(0)
KERNEL = RNG.normal(size=(4, 3)).astype(np.float32)  # four channels, three classes
BIAS = np.array([5, -3, 0], np.float32)
MAPS = RNG.normal(size=(2, 3, 4)).astype(np.float32)  # 2 x 3 positions


def head(*nodes: onnx.NodeProto, **constants: np.ndarray) -> Graph:
    """A graph from `features` (N, 4) to `logits` (N, 3)."""
    graph = helper.make_graph(
        list(nodes),
        "head",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 20)]
    return Graph(helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())


@pytest.fixture(scope="module")
def linear() -> Graph:
    node = helper.make_node("Gemm", ["features", "kernel", "bias"], ["logits"])
    return head(node, kernel=KERNEL, bias=BIAS)


@pytest.fixture(scope="module")
def bent() -> Graph:
    """A head that is not linear: a ReLU before its weights."""
    return head(
        helper.make_node("Relu", ["features"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "kernel", "bias"], ["logits"]),
        kernel=KERNEL,
        bias=BIAS,
    )


def test_with_a_linear_head_it_is_class_activation_mapping_less_its_mean(linear):
    cam = MAPS @ KERNEL[:, 1]  # (2, 3)
    expected = (cam - cam.mean()) / 5  # pooled over the five positions that remain
    np.testing.assert_allclose(saliency.positions(linear, MAPS, 1), expected, atol=1e-5)


def test_with_any_head_it_is_the_logit_lost_without_the_position(bent):
    def logit(positions: np.ndarray) -> float:
        return float(np.maximum(positions.mean(axis=0), 0) @ KERNEL[:, 2] + BIAS[2])

    flat = MAPS.reshape(6, 4)
    lost = [logit(flat) - logit(np.delete(flat, place, axis=0)) for place in range(6)]
    heat = saliency.positions(bent, MAPS, 2)
    np.testing.assert_allclose(heat.ravel(), lost, atol=1e-5)


def test_a_single_position_speaks_for_nothing_more_than_the_others(linear):
    assert saliency.positions(linear, MAPS[:1, :1], 0).tolist() == [[0.0]]


def test_a_channels_effect_is_its_weight_times_its_answer(linear):
    features = np.array([2, -1, 0, 3], np.float32)
    expected = features * KERNEL[:, 0]
    np.testing.assert_allclose(saliency.channels(linear, features, 0), expected, atol=1e-5)


def test_the_effects_of_many_channels_are_the_same_in_parts(linear, monkeypatch):
    features = np.array([2, -1, 0, 3], np.float32)
    whole = saliency.channels(linear, features, 0)
    monkeypatch.setattr(saliency, "CHANNELS_AT_ONCE", 3)  # four channels: 3 and 1
    np.testing.assert_array_equal(saliency.channels(linear, features, 0), whole)


class Brightest:  # stands for a Graph
    """A network whose logit is the brightness of one corner."""

    def run(self, photos: np.ndarray, outputs: list[str]) -> list[np.ndarray]:
        corner = photos[:, :8, :8].astype(np.float32).mean(axis=(1, 2, 3))
        return [np.stack([corner, -corner], axis=1)]


BRIGHTEST: Any = Brightest()


def test_occlusion_finds_the_part_that_matters():
    photo = np.zeros((32, 32, 3), np.uint8)
    photo[:8, :8] = 255  # a sixteenth of the photo
    heat = saliency.occlusion(BRIGHTEST, photo, label=0, cells=4)  # cells of 8 px
    assert heat.shape == (4, 4)
    # The square over the first cell reaches half a cell beyond it: all of the corner is gone.
    assert heat[0, 0] == heat.max() == pytest.approx(255 - 16, abs=1)  # mean colour: 255 / 16
    assert heat[2:, 2:].max() == 0


def test_occlusion_asks_about_as_many_photos_at_once_as_the_trial_did():
    asked = []

    class Counting:
        def run(self, photos: np.ndarray, outputs: list[str]) -> list[np.ndarray]:
            asked.append(len(photos))
            return BRIGHTEST.run(photos, outputs)

    counting: Any = Counting()
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    found = saliency.occlusion(counting, photo, label=0, cells=6)  # 36 places: four remain
    assert found.shape == (6, 6)
    assert set(asked) == {1, saliency.BATCH}


def test_occlusion_leaves_the_photo_as_it_was():
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    before = photo.copy()
    saliency.occlusion(BRIGHTEST, photo, label=1, cells=5)  # 25 places: two batches
    np.testing.assert_array_equal(photo, before)


class Bright:  # stands for the Graph above a layer
    """A network whose logits are linear in the maps; the positions of one corner count."""

    def __init__(self, twist: float = 0):
        self.twist = twist  # of a product of two corners, which belongs to neither

    def run(self, maps: np.ndarray, outputs: list[str]) -> list[np.ndarray]:
        assert len(maps) <= saliency.BATCH
        corner, other = maps[:, 0, 0, 0], maps[:, 0, -1, -1]
        return [np.stack([3 * corner + self.twist * corner * other, -corner], axis=1)]


@pytest.mark.parametrize("twist", [0, 5])
def test_masks_measure_what_is_lost_without_a_position(twist):
    network: Any = Bright(twist)
    blank = np.full((14, 20, 2), 1, np.float32)
    maps = blank.copy()
    maps[0, 0] = 2
    heat = saliency.masks(network, maps, blank, 0)
    assert heat.shape == (14, 20)
    # A position between cells is hidden in shares, of which those of the corner sum to `share`.
    down, right = (1 - 0.5 * 7 / length for length in (14, 20))
    share = (down**2 + (1 - down) ** 2) * (right**2 + (1 - right) ** 2)
    assert heat[0, 0] == pytest.approx((3 + twist) * share, rel=1e-4)  # the other corner is blank
    assert heat.argmax() == 0
    np.testing.assert_allclose(heat[5:, 7:], 0, atol=1e-5)  # nothing leaks into other cells
    np.testing.assert_allclose(
        saliency.masks(network, maps, blank, 1), heat / -(3 + twist), atol=1e-5
    )


def test_two_positions_that_only_matter_together_share_it():
    network: Any = Bright(twist=5)
    maps = np.ones((8, 8, 1), np.float32)
    heat = saliency.masks(network, maps, np.zeros_like(maps), 0)
    assert heat[0, 0] - heat[-1, -1] == pytest.approx(heat[0, 0] * 3 / 5.5, rel=0.02)
    np.testing.assert_allclose(heat[3:5, 3:5], 0, atol=1e-5)


def test_maps_that_show_nothing_have_nothing_to_hide():
    blank = np.full((14, 14, 2), 2, np.float32)
    network: Any = Bright()
    np.testing.assert_allclose(saliency.masks(network, blank, blank, 0), 0, atol=1e-6)


def test_every_pair_of_cells_is_shown_together_as_often_as_apart():
    signs = saliency.hide_halves().reshape(128, 64) * 2 - 1
    np.testing.assert_array_equal(signs.T @ signs, 128 * np.eye(64))
    pairs = (signs[:, :, None] * signs[:, None]).reshape(128, -1)
    np.testing.assert_array_equal(signs.T @ pairs, 0)  # no effect of a pair looks like a cell's

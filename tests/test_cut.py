"""A network cut at a layer: the part above answers that layer's maps as the whole one does."""

import shutil

import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models import saliency
from models.bundle import Bundle
from models.bundles.manifest import LayerEntry
from models.classifier import Classifier
from models.cut import cut_network
from models.errors import BundleError
from models.inside import choose_method, explain
from models.runtime import Graph
from tests.crafting import replace

RNG = np.random.default_rng(0)
SIDES = {"wide": 32, "fine": 16, "finer_still": 16, "coarse": 8}


def entry(name: str, block: bool = True) -> LayerEntry:
    side = SIDES[name]
    return LayerEntry(
        name=name, kind="", height=side, width=side, channels=3, stride=32 // side,
        receptive_field=0, trunk=True, block=block,
    )  # fmt: skip


LAYERS = [entry(name) for name in SIDES]


def network(around: str | None = None) -> bytes:
    """A chain of poolings, each an output; `around` adds the mean of that layer to the logits."""
    nodes = [helper.make_node("Transpose", ["image"], ["wide/0"], perm=[0, 3, 1, 2])]
    before = "wide/0"
    for name in list(SIDES)[1:]:
        stride = 1 if name == "finer_still" else 2
        window = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        nodes.append(helper.make_node("AveragePool", [before], [f"{name}/pool"], **window))
        nodes.append(helper.make_node("Mul", [f"{name}/pool", "scale"], [f"{name}/0"]))
        before = f"{name}/0"
    nodes.append(helper.make_node("GlobalAveragePool", [before], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    answer = "flat"
    if around:
        nodes.append(helper.make_node("GlobalAveragePool", [f"{around}/0"], ["skip/pooled"]))
        nodes.append(helper.make_node("Flatten", ["skip/pooled"], ["skip"]))
        nodes.append(helper.make_node("Add", ["flat", "skip"], ["sum"]))
        answer = "sum"
    nodes.append(helper.make_node("MatMul", [answer, "kernel"], ["logits"]))
    nodes += [helper.make_node("Identity", [f"{name}/0"], [name]) for name in SIDES]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 32, 32, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 2])]
        + [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3, side, side])
            for name, side in SIDES.items()
        ],
        [
            numpy_helper.from_array(np.array(0.5, np.float32), "scale"),
            numpy_helper.from_array(RNG.normal(size=(3, 2)).astype(np.float32), "kernel"),
        ],
    )
    opset = [helper.make_opsetid("", 20)]
    made = helper.make_model(graph, opset_imports=opset, ir_version=10)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def test_the_upper_part_answers_maps_as_the_whole_network_answers_the_photos():
    whole = network()
    cut = cut_network(whole, LAYERS)
    assert cut is not None
    assert cut.layer == "finer_still"  # of the coarsest maps with 12 positions the deepest
    photos = RNG.uniform(0, 255, (3, 32, 32, 3))
    logits, maps = Graph(whole).run(photos, ["logits", cut.layer])
    assert cut.upper.outputs == ["logits"]
    np.testing.assert_allclose(cut.upper.run(maps, ["logits"])[0], logits, rtol=1e-5)


@pytest.mark.parametrize(
    ("around", "expected"),
    [("wide", "wide"), ("fine", "fine"), ("finer_still", "finer_still"), ("coarse", "finer_still")],
)
def test_a_layer_that_a_path_leads_around_is_passed_over(around, expected):
    cut = cut_network(network(around), LAYERS)
    assert cut is not None
    assert cut.layer == expected


def test_a_network_without_a_layer_that_separates_it_is_not_cut():
    deep = [one for one in LAYERS if one.name != "wide"]
    assert cut_network(network("wide"), deep) is None
    assert cut_network(network(), [entry("coarse")]) is None  # 8 positions
    assert cut_network(network(), [entry("fine", block=False)]) is None


@pytest.fixture(scope="module")
def classifier(tiny_bundle):
    return Classifier(Bundle(tiny_bundle))


def test_masks_on_maps_agree_with_keras_asked_mask_by_mask(classifier, tiny_network, noise):
    network = keras.models.clone_model(tiny_network)  # Keras calls its layers once more
    network.set_weights(tiny_network.get_weights())
    layer = network.get_layer("block1_relu").output
    assert classifier.cut.layer == "block1_relu"
    lower = keras.Model(network.input, layer)
    upper = keras.Model(layer, network.output)
    photo = noise[0].astype("float32")
    flat = np.broadcast_to(photo.mean(axis=(0, 1)).round(), photo.shape)
    maps, blank = np.asarray(lower(np.stack([photo, flat])))  # (16, 16, C) each
    near = np.array(
        [[max(0, 1 - abs((at + 0.5) * 7 / 16 - cell)) for cell in range(8)] for at in range(16)]
    )  # (16, 8): which cells a position lies between
    halves = saliency.hide_halves()
    answers = []
    for cells in halves:
        mask = np.einsum("ia,ab,jb->ij", near, cells, near)[..., None]
        answers.append(float(upper((mask * maps + (1 - mask) * blank)[None])[0, 1]))
    with_it = np.einsum("n,nab->ab", answers, halves) / 64  # each cell is shown by 64
    without = np.einsum("n,nab->ab", answers, 1 - halves) / 64
    expected = np.einsum("ia,ab,jb->ij", near, with_it - without, near)
    heat = explain(classifier, noise[0], "pear", "masks").heat
    tolerance = 1e-3 * np.abs(expected).max()
    np.testing.assert_allclose(heat, expected, atol=tolerance)
    again = explain(Classifier(classifier.bundle), noise[0], "pear", "masks").heat
    np.testing.assert_array_equal(heat, again)


def test_where_nothing_separates_the_network_occlusion_takes_the_place_of_masks(tiny_bundle, noise):
    classifier = Classifier(Bundle(tiny_bundle))
    assert choose_method(classifier, "masks") == "masks"
    classifier.cut = None  # as of a network with paths around its layers
    assert choose_method(classifier, "masks") == "occlusion"
    found = explain(classifier, noise[0], "pear", "masks").heat
    np.testing.assert_array_equal(found, explain(classifier, noise[0], "pear", "occlusion").heat)


def test_a_graph_that_lies_about_its_maps_is_an_unusable_bundle(tiny_bundle, tmp_path):
    copied = shutil.copytree(tiny_bundle, tmp_path / "tiny")
    graph = onnx.load_from_string((copied / "layers.onnx").read_bytes())
    (maps,) = [value for value in graph.graph.output if value.name == "block1_relu"]
    maps.type.tensor_type.shape.dim[1].dim_value = 99  # channels; to load it is no trouble
    classifier = Classifier(Bundle(replace(copied, "layers.onnx", graph.SerializeToString())))
    with pytest.raises(BundleError, match=r"layers\.onnx cannot be cut"):
        choose_method(classifier, "masks")

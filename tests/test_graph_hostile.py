"""A graph that could do harm or says nothing is refused before it serves."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.bundle import Bundle
from models.classifier import Classifier
from models.errors import BundleError
from models.examine import examine
from models.onnx_weights import check_graph
from tests.crafting import change_weights, endless_loop, replace, with_node
from tests.making import believe_colours, colour_bundle, colour_graph


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    place = tmp_path_factory.mktemp("bundles")
    return believe_colours(colour_bundle(place / "plain"), place / "colours")


@pytest.fixture
def copied(colours, tmp_path):
    return shutil.copytree(colours, tmp_path / "colours")


@pytest.fixture
def deep(insight_bundle, tmp_path):
    """A copy of a bundle with layers and insight."""
    return shutil.copytree(insight_bundle, tmp_path / "colours")


def in_a_list():
    """A graph among several, as no operator of ONNX has it today."""
    node = helper.make_node("Identity", ["features"], ["copy"])
    empty = helper.make_graph([], "empty", [], [])
    node.attribute.append(helper.make_attribute("graphs", [empty]))
    return with_node(node)


def outside(value):
    """A Constant whose numbers lie in another file."""
    tensor = TensorProto(name="away", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return with_node(helper.make_node("Constant", [], ["more"], **{value: tensor}))


def sized(operator, *sizes, by=("image",), first=("features",), **attributes):
    """An operator whose size the nodes before it compute from `by`."""
    nodes = [helper.make_node("Cast", list(by), ["whole"], to=TensorProto.INT64)]
    nodes.append(helper.make_node("ReduceMax", ["whole"], ["size"], keepdims=0))
    nodes.append(helper.make_node(operator, [*first, *sizes], ["more"], **attributes))
    model = onnx.load_from_string(colour_graph())
    model.graph.node.extend(reversed(nodes))  # in any order
    return model.SerializeToString()


def many_more():
    """A mask from the photo, and as many numbers as it lets through."""
    model = onnx.load_from_string(colour_graph())
    model.graph.node.extend([
        helper.make_node("NonZero", ["image"], ["places"]),
        helper.make_node("Shape", ["places"], ["count"]),
        helper.make_node("ConstantOfShape", ["count"], ["more"]),
    ])  # fmt: skip
    return model.SerializeToString()


GRAPHS = {
    "runs a graph of its own, perhaps without end": endless_loop,
    "graph of its own": in_a_list,
    "keeps its numbers in another file": lambda: outside("value"),
    "not of ONNX": lambda: with_node(
        helper.make_node("Gelu", ["features"], ["more"], domain="com.microsoft")
    ),
    "'more' are not all finite": lambda: with_node(
        helper.make_node(
            "Constant", [], ["x"], value=helper.make_tensor("more", 1, [1], [float("nan")])
        )
    ),
    "how much operator 'NonZero' answers depends on the photo": many_more,
    "a size of operator 'ConstantOfShape' is computed": lambda: sized(
        "ConstantOfShape", "size", first=()
    ),
    "a size of operator 'Range' is computed": lambda: sized(
        "Range", "zero", "size", "one", first=()
    ),
    "a size of operator 'Tile' is computed": lambda: sized("Tile", "size"),
    "a size of operator 'Resize' is computed": lambda: sized("Resize", "", "", "size"),
    "a size of operator 'ReduceSum' is computed": lambda: sized("ReduceSum", "size"),
    "a size of operator 'Squeeze' is computed": lambda: sized("Squeeze", "size"),
    "operator 'SequenceAt' works on lists": lambda: with_node(
        helper.make_node("SequenceAt", ["features", "image"], ["x"])
    ),
    "a size of operator 'Slice' is computed": lambda: sized("Slice", "zero", "size"),
    "a setting of operator 'Elu' is not finite": lambda: with_node(
        helper.make_node("Elu", ["features"], ["x"], alpha=float("inf"))
    ),
    "'half' are not all finite": lambda: with_node(
        helper.make_node(
            "Constant", [], ["x"], value=helper.make_tensor("half", 10, [1], [float("inf")])
        )
    ),
}


@pytest.mark.parametrize("reason", GRAPHS)
def test_a_graph_that_could_do_harm_is_refused_before_it_runs(reason, copied):
    replace(copied, "predict.onnx", GRAPHS[reason]())
    with pytest.raises(BundleError, match=f"predict.onnx does not load: .*{reason}"):
        Classifier(Bundle(copied))


def test_sizes_that_follow_from_the_size_of_the_photo_are_no_harm():
    for size in ("Shape", "Size"):
        model = onnx.load_from_string(sized("Tile", "size", by=("extent",)))
        model.graph.node.append(helper.make_node(size, ["image"], ["extent"]))
        check_graph(model.SerializeToString())


@pytest.mark.parametrize("name", ["predict.onnx", "layers.onnx", "head.onnx"])
def test_weights_that_are_all_zero_are_refused(name, deep):
    change_weights(deep, name, np.zeros_like)
    with pytest.raises(BundleError, match=f"{name} answers every photo alike"):
        examine(Bundle(deep))


def test_logits_that_overflow_on_a_photo_are_an_error_and_no_nan(copied):
    huge = np.float32(2e36)  # 127 times that is finite, 255 times that is not

    def grow(numbers):
        return numbers * 0 + huge if numbers.ndim == 0 else numbers

    change_weights(copied, "predict.onnx", grow)
    opened = Classifier(Bundle(copied))
    with pytest.raises(BundleError, match="answers this photo with numbers that are not finite"):
        opened.read(np.full((8, 8, 3), 255, np.uint8))


def test_features_too_large_to_compare_are_familiar_to_nothing(copied):
    known = Classifier(Bundle(copied)).familiarity
    assert known.score(np.full((1, 3), 3e38, np.float32)).tolist() == [0]

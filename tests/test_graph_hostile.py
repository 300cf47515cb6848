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
from models.onnx_operators import OPERATORS
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


def sized(operator, *sizes, first=("features",), **attributes):
    """An operator whose size the nodes before it compute from the photo, in whole numbers."""
    nodes = [helper.make_node("GreaterOrEqual", ["image", "grey"], ["light"])]
    nodes.append(helper.make_node("Where", ["light", "one", "many"], ["whole"]))
    nodes.append(helper.make_node("ReduceMax", ["whole"], ["size"], keepdims=0))
    nodes.append(helper.make_node(operator, [*first, *sizes], ["more"], **attributes))
    model = onnx.load_from_string(colour_graph())
    model.graph.node.extend(reversed(nodes))  # in any order
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
    "a size of operator 'Tile' is computed": lambda: sized("Tile", "size"),
    "a size of operator 'Resize' is computed": lambda: sized("Resize", "", "", "size"),
    "a size of operator 'ReduceMean' is computed": lambda: sized("ReduceMean", "size"),
    "a size of operator 'Reshape' is computed": lambda: sized("Reshape", "size"),
    "a size of operator 'Pad' is computed": lambda: sized("Pad", "size"),
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


# What they could do: numbers drawn at each run, lists, sizes from pixels or from how many photos
# there are, whole numbers that the processor cannot divide.
@pytest.mark.parametrize(
    "operator",
    [
        "RandomUniform",
        "SequenceAt",
        "NonZero",
        "Shape",
        "ConstantOfShape",
        "Range",
        "Cast",
        "Constant",  # one may hold two numbers, of two types
        "Gather",
    ],
)
def test_an_operator_that_layerscope_does_not_write_is_refused(operator, copied):
    replace(copied, "predict.onnx", with_node(helper.make_node(operator, ["features"], ["more"])))
    words = f"predict.onnx does not load: .*operator '{operator}' is none of those"
    with pytest.raises(BundleError, match=words):
        Classifier(Bundle(copied))


MAXIMA = helper.make_node("MaxPool", ["image"], ["most", "where"], kernel_shape=[1, 3])
LIGHT = helper.make_node("GreaterOrEqual", ["image", "sharpness"], ["light"])


@pytest.mark.parametrize(
    "nodes",
    [
        [MAXIMA],
        [LIGHT, helper.make_node("Where", ["light", "axes", "axes"], ["whole"])],
        [
            helper.make_node("Neg", ["axes"], ["computed"]),
            LIGHT,
            helper.make_node("Where", ["light", "computed", "image"], ["whole"]),
        ],
        [
            helper.make_node("QuantizeLinear", ["image", "sharpness"], ["bytes"]),
            helper.make_node("Max", ["bytes", "bytes"], ["whole"]),
        ],
    ],
    ids=["places", "choice", "computed", "bytes"],
)
def test_no_whole_number_is_made_of_pixels(nodes, copied):
    """One that a processor cannot divide by, as -1, would stop the process."""
    model = onnx.load_from_string(colour_graph())
    model.graph.node.extend(reversed(nodes))
    replace(copied, "predict.onnx", model.SerializeToString())
    words = f"operator '{nodes[-1].op_type}' computes with whole numbers from the photo"
    with pytest.raises(BundleError, match=words):
        Classifier(Bundle(copied))


def test_no_two_tensors_have_one_name(copied):
    model = onnx.load_from_string(colour_graph())
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.int32(1), "sharpness"))
    replace(copied, "predict.onnx", model.SerializeToString())
    with pytest.raises(BundleError, match="two tensors have one name"):
        Classifier(Bundle(copied))


def test_an_answer_of_another_type_than_float32_is_refused(copied):
    model = onnx.load_from_string(colour_graph())
    model.graph.node[1].output[0] = "real"
    model.graph.node.append(helper.make_node("QuantizeLinear", ["real", "sharpness"], ["logits"]))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    replace(copied, "predict.onnx", model.SerializeToString())
    with pytest.raises(BundleError, match="answers with numbers of type uint8, not float32"):
        Classifier(Bundle(copied))


def test_every_operator_that_is_allowed_is_one_of_onnx():
    assert {name for name in OPERATORS if not onnx.defs.has(name)} == set()


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ([1, 3], "does not answer 8 photos at once as each alone: .*Reshape"),  # of one photo
        ([3, -1], "does not answer 8 photos at once as each alone: "),  # photos mixed
    ],
)
def test_a_network_that_answers_photos_together_otherwise_is_refused(shape, words, copied):
    model = onnx.load_from_string(colour_graph())
    (last,) = [node for node in model.graph.node if node.output[0] == "logits"]
    last.output[0] = "separate"
    target = onnx.numpy_helper.from_array(np.array(shape), "target")
    model.graph.initializer.append(target)
    model.graph.node.append(helper.make_node("Reshape", ["separate", "target"], ["turned"]))
    perm = [0, 1] if shape[0] == 1 else [1, 0]
    model.graph.node.append(helper.make_node("Transpose", ["turned"], ["logits"], perm=perm))
    replace(copied, "predict.onnx", model.SerializeToString())
    Classifier(Bundle(copied))
    with pytest.raises(BundleError, match=words):
        examine(Bundle(copied))


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
    with pytest.raises(BundleError, match="answers with numbers that are not all finite"):
        opened.read(np.full((8, 8, 3), 255, np.uint8))


def test_features_too_large_to_compare_are_familiar_to_nothing(copied):
    known = Classifier(Bundle(copied)).familiarity
    assert known.score(np.full((1, 3), 3e38, np.float32)).tolist() == [0]

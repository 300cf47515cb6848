"""A saved model answers as the Keras network in it does, from any thread, or is not opened."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest

from models.bundle import Bundle
from models.classifier import Classifier, softmax
from models.errors import BundleError, ImageUnsupported, UnknownLayer
from tests.crafting import change_weights, edit, replace

CLOSE = 1e-4  # ten times what two libraries' orders of adding made of these logits of up to 3


@pytest.fixture(scope="module")
def classifier(tiny_bundle):
    return Classifier(Bundle(tiny_bundle))


@pytest.fixture
def copied(tiny_bundle, tmp_path):
    """A copy of the bundle to damage; its path."""
    return shutil.copytree(tiny_bundle, tmp_path / "tiny")


def spoil(bundle, name, constant, value):
    """Make one number of one of the graph's constants `value`."""

    def change(numbers):
        numbers.flat[0] = value
        return numbers

    change_weights(bundle, name, change, slice(constant, constant + 1 or None))


def keras_answer(network, layer, photos):
    import keras

    output = network.output if layer is None else network.get_layer(layer).output
    return np.asarray(keras.Model(network.input, output)(photos.astype("float32")))


def test_probabilities_equal_those_of_keras(classifier, tiny_network, noise):
    expected = softmax(keras_answer(tiny_network, None, noise))
    found = classifier.predict(noise)
    assert np.ptp(expected, axis=0).max() > 0.01  # four photos, and not one answer for all
    assert np.abs(found - expected).max() < CLOSE
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-6


def test_feature_maps_equal_those_of_keras(classifier, tiny_network, noise):
    answer = classifier.look(noise[1], ["block2_relu", "block1_relu"])
    assert list(answer.maps) == ["block2_relu", "block1_relu"]
    for layer, maps in answer.maps.items():
        expected = keras_answer(tiny_network, layer, noise[1:2])[0]
        assert np.ptp(expected) > 0.1  # the layer is not silent
        assert np.abs(maps - expected).max() < CLOSE  # (h, w, C), as Keras has them
    assert np.abs(answer.probabilities - classifier.predict(noise[1:2])[0]).max() < 1e-6


def test_a_layer_may_be_asked_for_twice_or_not_at_all(classifier, noise):
    assert list(classifier.look(noise[0], ["block1_relu"] * 2).maps) == ["block1_relu"]
    assert classifier.look(noise[0], []).maps == {}


def test_an_unknown_layer_gets_the_nearest_names(classifier, noise):
    with pytest.raises(UnknownLayer, match="'block2_rel'; nearest names: block2_relu, block1_relu"):
        classifier.look(noise[0], ["block1_relu", "block2_rel"])
    with pytest.raises(UnknownLayer, match=r"'pool'.*2 to choose from, block1_relu to block2_relu"):
        classifier.layer("pool")  # a layer, but one without height and width


def test_an_encoded_photo_is_framed_for_the_network(classifier, encode, paint):
    photo = paint(80, 100).astype(int)
    pixels = classifier.decode(encode(photo.astype("uint8"))).astype(int)
    # At 80 px high 0.875 is 70 px, from 15 px left and 5 px down; paint's ramps show where.
    assert pixels.shape == (32, 32, 3)
    assert abs(pixels[0, 0, 0] - photo[5, 15, 0]) <= 3
    assert abs(pixels[-1, -1, 1] - photo[74, 84, 1]) <= 3
    with pytest.raises(ImageUnsupported):
        classifier.decode(b"<html>")


def test_a_photo_is_not_changed_by_looking(classifier, noise):
    before = noise.copy()
    classifier.predict(noise)
    classifier.look(noise[0], ["block1_relu"])
    assert np.array_equal(noise, before)


def test_eight_threads_get_the_answers_that_one_gets(tiny_bundle, noise):
    fresh = Classifier(Bundle(tiny_bundle))  # its graph of layers is not loaded yet: a race for it
    expected = [Classifier(Bundle(tiny_bundle)).look(photo, ["block2_relu"]) for photo in noise]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: fresh.look(noise[i % 4], ["block2_relu"]), range(64)))
        rows = list(pool.map(lambda i: fresh.predict(noise[i % 4, None])[0], range(64)))
    for i, answer in enumerate(answers):
        assert np.array_equal(answer.maps["block2_relu"], expected[i % 4].maps["block2_relu"])
        assert np.abs(rows[i] - expected[i % 4].probabilities).max() < 1e-6


def test_several_cores_give_the_answer_of_one(tiny_bundle, classifier, noise):
    two = Classifier(Bundle(tiny_bundle), threads=2).predict(noise)
    assert np.abs(two - classifier.predict(noise)).max() < 1e-6


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("constant", "name"),
    [(2, r"/c\d+"), (-1, r"/head/c\d+")],
    ids=["first convolution", "bias of the logits"],
)
def test_a_weight_that_is_no_number_is_refused_when_opened(constant, name, value, copied):
    spoil(copied, "predict.onnx", constant, value)
    with pytest.raises(
        BundleError, match=rf"predict\.onnx.*weights of '{name}' are not all finite"
    ):
        Classifier(Bundle(copied))


def test_weights_kept_in_another_file_are_refused(copied):
    graph = onnx.load_from_string((copied / "predict.onnx").read_bytes())
    tensor = graph.graph.initializer[-1]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")  # read, and answered from
    replace(copied, "predict.onnx", graph.SerializeToString())
    with pytest.raises(BundleError, match=r"predict\.onnx.*in another file"):
        Classifier(Bundle(copied))


def test_a_spoilt_graph_of_layers_is_refused_when_it_is_needed(copied, noise):
    spoil(copied, "layers.onnx", -1, np.nan)
    opened = Classifier(Bundle(copied))
    assert opened.predict(noise).shape == (4, 3)  # predictions do not need it
    with pytest.raises(BundleError, match=r"layers\.onnx"):
        opened.look(noise[0], ["block1_relu"])


def test_an_altered_graph_is_refused_before_it_is_parsed(copied):
    (copied / "predict.onnx").write_bytes(b"altered")
    with pytest.raises(BundleError, match=r"predict\.onnx was altered"):
        Classifier(Bundle(copied))


@pytest.mark.parametrize("content", [b"", b"not ONNX"])
def test_a_file_that_is_no_graph_is_refused_by_name(content, copied):
    replace(copied, "predict.onnx", content)
    with pytest.raises(BundleError, match=r"predict\.onnx does not load"):
        Classifier(Bundle(copied))


def test_a_class_too_many_is_refused_with_both_numbers(copied):
    edit(copied, lambda fields: fields["class_names"].append("quince"))
    with pytest.raises(BundleError, match="with 3 numbers; expected 4 logits"):
        Classifier(Bundle(copied))


def test_another_input_size_is_refused(copied):
    edit(copied, lambda fields: fields["image"].update(size=64))
    with pytest.raises(BundleError, match=r"predict\.onnx does not run"):
        Classifier(Bundle(copied))


def test_a_layer_that_only_the_manifest_knows_is_refused(copied, noise):
    ghost = {**json.loads((copied / "manifest.json").read_text())["layers"][0], "name": "ghost"}
    edit(copied, lambda fields: fields["layers"].append(ghost))
    with pytest.raises(BundleError, match="ghost"):
        Classifier(Bundle(copied)).look(noise[0], ["ghost"])


def test_check_answers_again_whether_the_model_works(classifier):
    classifier.check()


def test_softmax_of_large_logits_does_not_overflow():
    logits = np.array([[1000, 0], [-1000, -1000], [1e38, -1e38]], "float32")  # exp(89) overflows
    with np.errstate(under="ignore"):
        assert softmax(logits).tolist() == [[1, 0], [0.5, 0.5], [1, 0]]


def test_softmax_of_logs_gives_the_shares_back():
    assert np.allclose(softmax(np.log([[0.1, 0.2, 0.7]])), [[0.1, 0.2, 0.7]])


def test_the_top_classes_come_best_first_and_ties_in_class_order(classifier):
    row = np.array([0.25, 0.5, 0.25], "float32")
    assert classifier.top(row, 2) == [("pear", 0.5), ("apple", 0.25)]
    assert [label for label, _ in classifier.top(row, 9)] == ["pear", "apple", "plum"]


@pytest.mark.parametrize(
    ("count", "names"), [(0, []), (1, ["block1_relu"]), (9, ["block1_relu", "block2_relu"])]
)
def test_depths_go_from_photo_to_answer(count, names, classifier):
    assert classifier.depths(count) == names


def test_photos_are_looked_into_one_at_a_time(tiny_bundle, monkeypatch):
    # the runtime keeps for good the memory of the most runs that ever went on together
    classifier = Classifier(Bundle(tiny_bundle))
    photo = np.zeros((classifier.framing.size, classifier.framing.size, 3), np.uint8)
    layer = next(iter(classifier.layers))
    graph = classifier._graph("layers.onnx")
    at_once, most, run = [], [], graph.run

    def count(*arguments):
        at_once.append(1)
        most.append(len(at_once))
        time.sleep(0.01)  # long enough for another one to begin
        answer = run(*arguments)
        at_once.pop()
        return answer

    monkeypatch.setattr(graph, "run", count)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: classifier.look(photo, [layer]), range(8)))
    assert most == [1] * 8

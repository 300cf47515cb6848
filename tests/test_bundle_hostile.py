"""A bundle that was damaged, or made by somebody who means no good, is refused, never followed."""

import logging
import os
import shutil
import socket
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.bundle import MANIFEST, SIGNATURE, Bundle
from models.classifier import Classifier
from models.errors import BundleError, SettingError
from models.examine import examine
from models.pinned import pinned
from models.signature import check_signature, read_key
from tests.crafting import age, change_weights, edit, replace
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


def test_a_manifest_with_any_bit_flipped_is_refused(deep):
    whole = (deep / MANIFEST).read_bytes()
    rng = np.random.default_rng(12)
    opened = []
    for bit in rng.choice(8 * len(whole), 300, replace=False):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (deep / MANIFEST).write_bytes(damaged)
        try:
            Bundle(deep)
            opened.append(int(bit))
        except BundleError:
            pass
    assert opened == []
    (deep / MANIFEST).write_bytes(whole)
    Bundle(deep).verify()


def test_the_one_bit_that_would_make_a_manifest_an_older_one_is_noticed(copied):
    text = (copied / MANIFEST).read_text()
    (copied / MANIFEST).write_text(text.replace('"schema_version": 3', '"schema_version": 2'))
    with pytest.raises(BundleError, match="it is not what its own SHA-256 says"):
        Bundle(copied)


def test_a_bundle_of_the_schema_before_is_read_with_a_warning(deep, caplog):
    before = Bundle(deep).manifest
    with caplog.at_level(logging.WARNING):
        opened = examine(Bundle(age(deep)))
    assert "schema 2, whose manifest has no hash of its own" in caplog.text
    assert opened.manifest.calibration == before.calibration
    assert opened.manifest.thresholds == before.thresholds
    assert opened.class_names == ["blue", "green", "red"]


def test_an_old_bundle_without_calibration_is_read_too(copied):
    edit(age(copied), lambda fields: fields.update(calibration={}, parity={}, thresholds={}))
    opened = examine(Bundle(copied))
    assert (opened.manifest.calibration, opened.manifest.parity) == (None, None)
    assert opened.coverage is None


CHANGES = {
    "metrics.test": lambda f: f.update(metrics={"test": None}),
    "metrics.test.accuracy": lambda f: f.update(metrics={"test": {"accuracy": "high"}}),
    "backbone.name": lambda f: f.update(backbone={"name": ["a"]}),
    "data.samples": lambda f: f.update(data={"samples": None}),
    "data.samples.0.name": lambda f: f.update(
        data={"samples": [{"name": "../../etc/passwd", "label": "x"}]}
    ),
    "thresholds.prediction_set": lambda f: f.update(thresholds={"prediction_set": [1]}),
    "calibration.temperature": lambda f: f.update(
        calibration={"method": "temperature", "temperature": 0, "photos": 1}
    ),
    "parity.logits": lambda f: f.update(
        parity={"photos": 1, "logits": None, "maps": 0, "onnx_ms": 1}
    ),
    "version": lambda f: f.update(version="1/../2"),
    "created": lambda f: f.update(created="x" * 2000),
    "class_names.1": lambda f: f["class_names"].__setitem__(1, "\ud800"),
    "files": lambda f: f["files"].update({"a/b/c/d/e/f": {"size": 1, "sha256": "0" * 64}}),
    "files.predict.onnx.sha256": lambda f: f["files"]["predict.onnx"].update(sha256="0"),
    "files.predict.onnx.size": lambda f: f["files"]["predict.onnx"].update(size=-1),
    "image": lambda f: f["image"].update(fraction=7),
}


@pytest.mark.parametrize("place", CHANGES)
def test_a_field_that_something_reads_later_is_refused_by_its_place(place, copied):
    with pytest.raises(BundleError, match=place):
        Bundle(edit(copied, CHANGES[place]))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_has_not_is_refused(number, copied):
    text = (copied / MANIFEST).read_text()
    (copied / MANIFEST).write_text(text.replace('"fraction": 1.0', f'"fraction": {number}'))
    with pytest.raises(BundleError, match=f"{number} is not a finite number"):
        Bundle(copied)


def as_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def as_pipe(path):
    path.unlink()
    os.mkfifo(path)


def as_socket(path):
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(path))


def as_device(path):
    path.unlink()
    os.mknod(path, 0o666 | 0o020000, os.makedev(1, 5))  # /dev/zero, which never ends


@pytest.mark.parametrize("become", [as_link, as_pipe, as_socket, as_device])
@pytest.mark.parametrize("name", [MANIFEST, "predict.onnx"])
def test_what_is_no_regular_file_is_refused_at_once(name, become, copied):
    try:
        become(copied / name)
    except PermissionError as error:
        pytest.skip(f"only root makes devices: {error}")
    with pytest.raises(BundleError, match=rf"{name} (that can|cannot) be read.*|read \("):
        Bundle(copied).verify()


def test_a_folder_inside_that_is_a_link_is_not_followed(deep, tmp_path):
    (deep / "insight").rename(tmp_path / "insight")
    (deep / "insight").symlink_to(tmp_path / "insight")
    with pytest.raises(BundleError, match=r"insight/.* cannot be read: a link"):
        Bundle(deep).verify()


def test_a_bundle_reached_by_a_link_is_opened(copied, tmp_path):
    (tmp_path / "current").symlink_to(copied)  # as who deploys by links has it
    Bundle(tmp_path / "current").verify()


def graph_of(*nodes, constants=(), opsets=(("", 20),)):
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", "S", "S", 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3])
        for name in ("logits", "features")
    ]
    graph = helper.make_graph(list(nodes), "graph", [image], outputs, list(constants))
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid(*one) for one in opsets], ir_version=10
    )


def with_node(node):
    """`colour_graph` with one node more."""
    model = onnx.load_from_string(colour_graph())
    model.graph.node.append(node)
    return model.SerializeToString()


def endless_loop():
    """A Loop whose condition stays true: 2^62 times nothing."""
    inner = helper.make_graph(
        [helper.make_node("Identity", ["keep_in"], ["keep_out"])],
        "body",
        [
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
            helper.make_tensor_value_info("keep_in", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("keep_out", TensorProto.BOOL, [])],
    )
    return with_node(helper.make_node("Loop", ["most", "true"], [], body=inner))


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


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f["layers"][0].update(height=9), "has maps of .*; its manifest says"),
        (lambda f: f["layers"][-1].update(channels=9), "'?block|has maps of|insight knows"),
        (lambda f: f["data"].update(samples=[{"name": "9.jpg", "label": "x"}]), r"'9\.jpg'"),
        (lambda f: f["files"].pop("layers.onnx"), "layers.onnx is not in its manifest"),
        (lambda f: f["files"].pop("head.onnx"), "head.onnx is not in its manifest"),
        (lambda f: f["files"].pop("insight/layer00.npz"), "layer00.npz is not in its manifest"),
    ],
)
def test_what_would_fail_a_request_later_is_found_when_it_is_examined(change, reason, deep):
    with pytest.raises(BundleError, match=reason):
        examine(Bundle(edit(deep, change)))


def test_insight_with_rows_missing_is_refused(deep):
    place = deep / "insight" / "layer00.npz"
    with np.load(place) as file:
        arrays = {name: file[name][:-1] for name in file.files}
    np.savez(place, **arrays)
    replace(deep, "insight/layer00.npz", place.read_bytes())
    with pytest.raises(BundleError, match="insight"):
        examine(Bundle(deep))


def test_a_pinned_bundle_stays_as_it_was_when_its_folder_is_damaged(deep):
    bundle = pinned(Bundle(deep))
    shutil.rmtree(deep)
    found = examine(bundle)
    assert found.class_names == ["blue", "green", "red"]
    assert bundle.read("report.html").startswith(b"<!doctype html>")
    with pytest.raises(BundleError, match=r"model\.keras cannot be read: it is not kept"):
        bundle.read("model.keras")


def test_a_damaged_file_is_not_pinned(deep):
    content = bytearray((deep / "model.keras").read_bytes())
    content[100] ^= 1
    (deep / "model.keras").write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.keras was altered"):
        pinned(Bundle(deep))


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    """A pair of keys as docs/serving.md says how to make it: the folder."""
    place = tmp_path_factory.mktemp("key")
    openssl("genpkey", "-algorithm", "ed25519", "-out", place / "key.pem")
    openssl("pkey", "-in", place / "key.pem", "-pubout", "-out", place / "public.pem")
    return place


def openssl(*words):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def sign(bundle, key):
    places = ("-in", bundle / MANIFEST, "-out", bundle / SIGNATURE)
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", key / "key.pem", *places)


def test_a_bundle_signed_by_the_trusted_key_is_believed(copied, key):
    sign(copied, key)
    check_signature(Bundle(copied), read_key(key / "public.pem"))
    Bundle(copied).verify()  # the signature is no file of the bundle


@pytest.mark.parametrize("how", ["unsigned", "altered", "cut", "another"])
def test_any_other_is_refused(how, copied, key):
    if how != "unsigned":
        sign(copied, key)
    if how == "altered":
        edit(copied, lambda fields: fields.update(class_names=["green", "red", "blue"]))
    if how == "cut":
        (copied / SIGNATURE).write_bytes((copied / SIGNATURE).read_bytes()[:63])
    if how == "another":
        (copied / SIGNATURE).write_bytes(bytes(64))
    with pytest.raises(BundleError, match=r"manifest\.sig"):
        check_signature(Bundle(copied), read_key(key / "public.pem"))


@pytest.mark.parametrize("content", [b"", b"ssh-ed25519 AAAA", b"\xff", None])
def test_what_is_no_key_is_refused_with_what_was_expected(content, tmp_path):
    if content is not None:
        (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(SettingError, match=r"--trust .*key\.pem (is no key|cannot be read)"):
        read_key(tmp_path / "key.pem")


def test_a_private_key_is_not_taken_for_a_public_one(key):
    with pytest.raises(SettingError, match="is no key"):
        read_key(key / "key.pem")

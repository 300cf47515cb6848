"""A bundle in the formats of others: each answers as the bundle does, by its own program."""

import json
import subprocess
import sys
import zipfile

import flatbuffers
import numpy as np
import onnxruntime
import pytest
from flatbuffers.table import Table

from models.bundle import Bundle, new_bundle, seal
from models.classifier import Classifier
from models.errors import FormatError
from tests.conftest import CLASS_NAMES
from tests.making import write_classes
from tests.serving import ROOT
from training.exporting.config import ExportConfig
from training.exporting.export import export_bundle
from training.settings.console import Stages

SLOW = pytest.mark.slow  # TensorFlow writes it, or runs it in a process of its own
COLOURS = {"apple": (200, 40, 40), "pear": (40, 200, 40), "plum": (40, 40, 200)}
KINDS = [
    pytest.param(("onnx", False)),
    pytest.param(("keras", False), marks=SLOW),
    pytest.param(("saved_model", False), marks=SLOW),
    pytest.param(("litert", False), marks=SLOW),
    pytest.param(("litert", True), marks=SLOW),
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Thirty photos in folders that are called like the classes, and a text file."""
    folder = write_classes(tmp_path_factory.mktemp("p") / "fruit", 10, COLOURS)
    (folder / "apple" / "notes.jpg").write_bytes(b"these are apples")
    return folder


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: f"{kind[0]}{'-int8' * kind[1]}")
def exported(request, tiny_bundle, photos, tmp_path_factory):
    """The tiny bundle in one format: its folder, and what the proof came to."""
    form, int8 = request.param
    out = tmp_path_factory.mktemp("e") / form
    made = export_bundle(tiny_bundle, out, ExportConfig(form, photos, int8), Stages(quiet=True))
    return out, made


def test_an_export_answers_as_its_bundle_does(exported):
    out, made = exported
    proof, facts = made.facts["proof"], json.loads((out / "export.json").read_bytes())
    assert facts == made.facts
    assert proof["of"] == "photos of fruit"
    assert proof["labelled"] == proof["photos"] == (15 if made.facts["int8"] else 30)
    assert proof["milliseconds"] > 0
    assert [(one.path.name, one.kind) for one in made.skipped] == [
        ("notes.jpg", "image_unsupported")
    ]
    if made.facts["int8"]:
        assert proof["calibrated_on"] == 15  # the other half
        assert 1e-5 < proof["largest_difference"] < 0.15  # random weights round badly
        assert proof["same_top1"] >= 13
    else:
        assert proof["calibrated_on"] is None
        assert proof["largest_difference"] < 1e-5
        assert proof["same_top1"] == 30
        assert proof["accuracy"] == proof["accuracy_before"]


def test_its_readme_states_the_labels_the_input_and_the_proof(exported):
    out, made = exported
    readme = (out / "README.md").read_text(encoding="utf-8")
    proof = made.facts["proof"]
    assert (out / "labels.txt").read_text(encoding="utf-8").splitlines() == CLASS_NAMES
    assert f"| `{made.facts['file']}` | the model" in readme
    assert "32, 32, 3)" in readme
    assert "0.875 of the shorter side" in readme
    assert f"| same most probable class | {proof['same_top1']} of {proof['photos']} |" in readme
    assert f"| {proof['largest_difference']:.2g} |" in readme
    assert f"{proof['accuracy']:.3f}; of the bundle {proof['accuracy_before']:.3f}" in readme
    assert made.facts["size_bytes"] > 3_000


def test_its_program_names_a_photo_as_the_bundle_does(exported, tiny_bundle, tmp_path, photos):
    out, made = exported
    photo = photos / "plum" / "003.png"
    before = sorted(path.name for path in out.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-B", out / "example.py", photo],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    classifier = Classifier(Bundle(tiny_bundle))
    (best,) = classifier.top(classifier.predict(classifier.decode(photo.read_bytes())[None])[0], 1)
    path, said = done.stdout.strip().split(": ")
    label, share = said.rstrip(")").split(" (")
    assert (path, label) == (str(photo), best.label)
    assert float(share) == pytest.approx(best.probability, abs=0.15 if made.facts["int8"] else 2e-4)
    assert sorted(path.name for path in out.rglob("*")) == before


def test_each_file_holds_its_labels_where_its_format_has_a_place_for_them(exported, tiny_bundle):
    out, made = exported
    file = out / made.facts["file"]
    if made.facts["format"] == "onnx":
        known = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
        assert json.loads(known["labels"]) == CLASS_NAMES
    elif made.facts["format"] == "litert":
        with zipfile.ZipFile(file) as archive:
            assert archive.read("labels.txt").decode().splitlines() == CLASS_NAMES
    elif made.facts["format"] == "saved_model":
        assert made.facts["file"] == "1"  # TensorFlow Serving looks for a number
        assert (file / "saved_model.pb").is_file()
        weights = sum(one.stat().st_size for one in (file / "variables").iterdir())
        assert weights < 1.5 * (tiny_bundle / "model.keras").stat().st_size  # each is there once


def at(table: Table, place: int) -> Table:
    """The table in a field of another one; a vector's first element if it is one."""
    offset = table.Offset(4 + 2 * place)
    return Table(table.Bytes, table.Indirect(offset + table.Pos))


def first(table: Table, place: int) -> Table:
    return Table(table.Bytes, table.Indirect(table.Vector(table.Offset(4 + 2 * place))))


def text(table: Table, place: int) -> bytes:
    return table.String(table.Offset(4 + 2 * place) + table.Pos)


@SLOW
def test_the_metadata_of_litert_says_that_labels_name_the_outputs(exported):
    from ai_edge_litert import schema_py_generated as schema

    out, made = exported
    if made.facts["format"] != "litert":
        pytest.skip("another format")
    model = schema.Model.GetRootAs((out / "model.tflite").read_bytes())
    entries = [model.Metadata(i) for i in range(model.MetadataLength())]
    (entry,) = [one for one in entries if one.Name() == b"TFLITE_METADATA"]
    described = bytes(model.Buffers(entry.Buffer()).DataAsNumpy())
    assert described[4:8] == b"M001"  # the schema
    root = flatbuffers.encode.Get(flatbuffers.packer.uoffset, described, 0)
    known = Table(described, root)
    graph = first(known, 3)
    image, answer = first(graph, 2), first(graph, 3)
    labels = first(answer, 6)
    picture = at(at(image, 3), 1)
    assert text(known, 0) == b"tiny"
    assert text(image, 0) == b"image"
    assert text(labels, 0) == b"labels.txt"
    assert labels.Get(flatbuffers.number_types.Int8Flags, labels.Offset(8) + labels.Pos) == 2
    assert picture.Get(flatbuffers.number_types.Int8Flags, picture.Offset(4) + picture.Pos) == 1


@SLOW
def test_litert_of_8_bits_computes_with_whole_numbers_only(exported):
    from ai_edge_litert.interpreter import Interpreter

    out, made = exported
    if made.facts["format"] != "litert":
        pytest.skip("another format")
    network = Interpreter(str(out / "model.tflite"))
    network.allocate_tensors()
    assert network.get_input_details()[0]["dtype"] is np.uint8
    answer = network.get_output_details()[0]["dtype"]
    kinds = {np.dtype(one["dtype"]).name for one in network.get_tensor_details()}
    if made.facts["int8"]:
        assert answer is np.uint8
        assert kinds <= {"uint8", "int8", "int32"}
    else:
        assert answer is np.float32


@SLOW
@pytest.mark.parametrize("form", ["keras", "saved_model"])
def test_an_export_that_answers_otherwise_than_its_bundle_is_refused(
    tiny_bundle, tiny_backbone, tiny_head, noise, tmp_path, form
):
    from tests.networks import save_network

    turned = [type(tiny_head[0])(-tiny_head[0].kernel, tiny_head[0].bias)]
    other = Bundle(save_network(tiny_backbone, turned, tmp_path / "other", noise, CLASS_NAMES))
    mixed = tmp_path / "mixed"
    with new_bundle(mixed) as folder:
        for name in other.manifest.files:
            source = Bundle(tiny_bundle) if name == "model.keras" else other
            (folder / name).write_bytes(source.read(name))
        seal(folder, other.manifest, mixed)
    with pytest.raises(FormatError, match=r"differ from the bundle's by 0\.\d+, more than 0\.01"):
        export_bundle(mixed, tmp_path / "out", ExportConfig(form), Stages(quiet=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mixed", "other"]


@SLOW
def test_the_converter_prints_nothing(tiny_bundle, photos, tmp_path):
    words = (tiny_bundle, "--format", "litert", "--int8", "--photos", photos, "--quiet")
    done = subprocess.run(
        [sys.executable, "-m", "training", "export", *words, "--out", tmp_path / "out"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.startswith(f"saved {tmp_path / 'out'}: 0.0 MB, same top-1 on ")

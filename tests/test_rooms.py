"""The three rooms keep their doors, and each file keeps its size and its name."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "models": {"models"},
    "training": {"training", "models"},
    "service": {"service", "models"},
}
SOURCES = [*ROOT.glob("*.py")]
for folder in (*MAY_IMPORT, "tests", "benchmarks"):
    SOURCES += (ROOT / folder).rglob("*.py")
HEAVY = {"tensorflow", "keras"}
WITHOUT_KERAS = (
    *("bundle", "classifier", "cores", "errors", "head", "images", "inside", "insight", "mosaic"),
    *("runtime", "saliency", "familiarity"),
)


def short(file):
    return file.relative_to(ROOT).as_posix()


def imported_names(file):
    """The packages that a file imports anywhere, also inside its functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: import from the room by its name, not by dots"
            yield (node.module or "").partition(".")[0]


def loaded_by(*modules):
    """Packages in memory once a fresh process has imported `modules`."""
    program = "import sys, " + ", ".join(modules) + "; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_all_rooms_have_files():
    assert {file.parent.name for file in SOURCES} >= set(MAY_IMPORT)  # else nothing is tested


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_it_may(room):
    for file in (ROOT / room).rglob("*.py"):
        rooms = {name for name in imported_names(file) if name in MAY_IMPORT}
        assert rooms <= MAY_IMPORT[room], short(file)


def test_no_room_imports_the_tests_or_the_benchmarks():
    for room in MAY_IMPORT:
        for file in (ROOT / room).rglob("*.py"):
            assert not {"tests", "benchmarks", "pytest"} & set(imported_names(file)), short(file)


def test_no_file_of_the_service_names_keras():
    for file in (ROOT / "service").rglob("*.py"):
        assert not HEAVY & set(imported_names(file)), short(file)


@pytest.mark.parametrize("module", WITHOUT_KERAS)
def test_answering_a_photo_loads_no_keras(module):
    found = loaded_by(f"models.{module}")
    assert "models" in found
    assert not HEAVY & found


def test_the_doors_of_the_rooms_import_nothing_heavy():
    assert not (HEAVY | {"numpy", "PIL", "onnxruntime"}) & loaded_by("models")


def test_every_file_is_named_after_its_subject():
    vague = {"utils", "helpers", "common", "misc"}
    assert [short(file) for file in SOURCES if vague & set(file.stem.split("_"))] == []


def test_every_file_can_be_read_in_one_go():
    lines = {short(file): len(file.read_text(encoding="utf-8").splitlines()) for file in SOURCES}
    assert {file: count for file, count in lines.items() if count > 300} == {}  # the median is 100


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_every_file_says_what_it_is_about(room):
    for file in (ROOT / room).rglob("*.py"):
        assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), short(file)

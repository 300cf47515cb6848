"""The three rooms keep their doors, and each file keeps its size and its name."""

import ast
import re
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
# The rooms of training, from the ground up: a room imports only from those it names.
BELOW = {
    "settings": set(),
    "places": {"settings"},
    "photos": {"settings", "places"},
    "scale": {"settings", "places", "photos"},
    "sides": {"settings", "photos"},
    "evaluation": {"settings", "places", "photos", "scale", "sides"},
    "features": {"settings", "places", "photos", "scale"},
    "optimisation": {"settings", "evaluation"},
    "heads": {"settings", "evaluation", "features", "optimisation"},
    "doctor": {
        *("settings", "places", "photos", "scale", "sides", "features", "evaluation", "heads"),
    },
    "fine_tuning": {
        *("settings", "places", "photos", "scale", "sides", "evaluation", "features", "heads"),
        "optimisation",
    },
    "insight": {
        *("settings", "places", "photos", "scale", "sides", "evaluation", "features", "doctor"),
        "heads",
    },
    "report": {"settings", "places", "photos", "sides", "evaluation", "optimisation"},
}
ABOVE = {
    "search",
    "demo",
    "adopt",
    "exporting",
}  # these may import from all of them, and from training's own files
TOURS = [*(ROOT / "training").glob("*/__init__.py"), ROOT / "models/building/__init__.py"]
SOURCES = [*ROOT.glob("*.py")]
for folder in (*MAY_IMPORT, "tests", "benchmarks"):
    SOURCES += (ROOT / folder).rglob("*.py")
HEAVY = {"tensorflow", "keras"}
WITHOUT_KERAS = sorted(file.stem for file in (ROOT / "models").glob("[!_]*.py"))


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


def imported_modules(file):
    """The modules of our rooms that a file imports anywhere, by their path without `.py`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in MAY_IMPORT:
            place = ROOT / node.module.replace(".", "/")
            yield from {place / a.name if place.is_dir() else place for a in node.names}


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


def test_a_start_has_bundles_tried_before_what_serves_is_loaded():
    """What begins the trials loads neither what computes nor what answers, which takes longer."""
    serving = {"flask", "gunicorn", "prometheus_client", "limits", "asyncio"}
    computing = {"numpy", "PIL", "onnxruntime", "pydantic", "google"}
    found = loaded_by("service.__main__")
    assert "click" in found
    assert not (HEAVY | serving | computing) & found


def test_every_file_is_named_after_its_subject():
    vague = {"utils", "helpers", "common", "misc"}
    assert [short(file) for file in SOURCES if vague & set(file.stem.split("_"))] == []


def test_every_file_can_be_read_in_one_go():
    lines = {short(file): len(file.read_text(encoding="utf-8").splitlines()) for file in SOURCES}
    assert {file: count for file, count in lines.items() if count > 300} == {}  # the median is 100


def functions():
    """Every function of ours with where it stands; a command's options are no parameters."""
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                makers = " ".join(map(ast.unparse, node.decorator_list))
                is_command = "click." in makers
                yield f"{short(file)}: {node.name}", node, is_command


def test_no_function_has_more_than_seven_parameters():
    counts = {
        place: len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs)
        - any(argument.arg in ("self", "cls") for argument in node.args.args[:1])
        for place, node, is_command in functions()
        if not is_command
    }
    assert {place: count for place, count in counts.items() if count > 7} == {}


def test_every_function_fits_on_a_page():
    lines = {
        place: node.end_lineno - (node.body[0].lineno if is_command else node.lineno) + 1
        for place, node, is_command in functions()
    }
    assert {place: count for place, count in lines.items() if count > 60} == {}


def test_no_call_packs_arguments_only_to_unpack_them():
    found = [
        f"{short(file)}:{call.lineno}"
        for file in SOURCES
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        for argument in call.args
        if isinstance(argument, ast.Starred) and isinstance(argument.value, ast.Tuple | ast.List)
    ]
    assert found == []


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_every_file_says_what_it_is_about(room):
    for file in (ROOT / room).rglob("*.py"):
        assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), short(file)


def test_every_room_of_training_has_its_place():
    rooms = {tour.parent.name for tour in TOURS if tour.parents[1].name == "training"}
    assert rooms == set(BELOW) | ABOVE


@pytest.mark.parametrize("room", BELOW)
def test_a_room_of_training_imports_only_from_those_below(room):
    for file in (ROOT / "training" / room).glob("*.py"):
        for module in imported_modules(file):
            if module.parent == ROOT / "training":
                pytest.fail(f"{short(file)} imports {module.name}, which lies above it")
            if module.parents[1] == ROOT / "training":
                assert module.parent.name in BELOW[room] | {room}, short(file)


def test_the_serving_half_of_models_imports_nothing_that_builds():
    parts = [file for file in (ROOT / "models").rglob("*.py") if "building" not in file.parts]
    for file in (*parts, *(ROOT / "service").rglob("*.py")):
        folders = {parent for module in imported_modules(file) for parent in module.parents}
        assert ROOT / "models/building" not in folders, file
        assert ROOT / "models/adopting" not in folders or "adopting" in file.parts, file


@pytest.mark.parametrize("tour", TOURS, ids=lambda tour: tour.parent.name)
def test_a_tour_names_every_file_and_the_doors_that_others_use(tour):
    text = tour.read_text(encoding="utf-8")
    files = {file.name for file in tour.parent.glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"(\w+\.py)\b", text)) == files
    assert "import" not in text.partition('"""\n')[2]  # a tour loads nothing
    used = {
        module.stem
        for file in SOURCES
        if file.is_relative_to(ROOT / "training") and file.parent != tour.parent
        for module in imported_modules(file)
        if module.parent == tour.parent
    }
    doors = re.split(r",\s", re.search(r"^Doors: ([\w,\s]+)\.", text, re.M)[1])
    assert doors == sorted(used)


@pytest.mark.parametrize(
    "room",
    [
        "models/bundles",
        "models/adopting",
        "models/adopting/files",
        "models/building/writers",
        "service/versions",
        "service/watching",
        "service/incoming",
        "service/network",
        "service/protocols",
        "service/described",
    ],
)
def test_a_tour_of_a_smaller_room_names_every_file(room):
    text = (ROOT / room / "__init__.py").read_text(encoding="utf-8")
    files = {file.name for file in (ROOT / room).glob("*.py")} - {"__init__.py"}
    assert files <= set(re.findall(r"(\w+\.py)\b", text))


def test_nothing_is_imported_in_a_circle():
    arrows = {file.with_suffix(""): set(imported_modules(file)) for file in SOURCES}
    while done := {file for file, needs in arrows.items() if not needs & set(arrows)}:
        arrows = {file: needs for file, needs in arrows.items() if file not in done}
    assert sorted(map(str, arrows)) == []

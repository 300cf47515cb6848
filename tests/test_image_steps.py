"""The Dockerfile, as the script that performs its steps reads it."""

import re
import shutil
import tomllib

import pytest

from deploy.image_steps import command_of, copied, ignore_rules, is_ignored, stages
from tests.serving import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGES = stages(DOCKERFILE)


def inside(target: str) -> set[str]:
    """The paths of all files that a target copies, inside the image."""
    return {path for _, path in copied(STAGES[target], ROOT)}


def test_a_build_without_a_target_makes_the_service():
    assert list(STAGES) == ["base", "training", "service"]  # the last one is built


@pytest.mark.parametrize("target", ["training", "service"])
def test_an_image_runs_as_a_numeric_user_that_is_not_root(target):
    last = {step.verb: step.rest for step in STAGES[target]}
    assert last["USER"] == "10001:10001"


@pytest.mark.parametrize("target", ["training", "service"])
def test_an_image_says_what_it_is_in_the_labels_of_the_open_container_initiative(target):
    labels = dict(
        pair
        for step in STAGES[target]
        if step.verb == "LABEL"
        for pair in re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]+)"', step.rest)
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert labels["version"] == project["version"]
    assert labels["licenses"] == project["license"]
    assert labels["title"] == f"Layerscope {target}"
    assert labels["description"]


def test_the_service_asks_its_own_readiness_and_training_has_no_health_to_ask():
    assert "/v2/health/ready" in command_of(STAGES["service"])["health"][-1]
    assert command_of(STAGES["training"])["health"] == []


def test_the_service_image_holds_all_of_its_two_rooms_but_what_only_training_needs():
    rooms = {
        file.relative_to(ROOT).as_posix()
        for room in ("models", "service")
        for file in (ROOT / room).rglob("*.py")
        if not {"building", "adopting"} & set(file.parts)
    }
    python = {path for path in inside("service") if path.endswith(".py")}
    assert python == rooms  # a new room below models/ needs a line in the Dockerfile


def test_the_training_image_holds_its_room_and_the_demo_but_not_the_service():
    paths = inside("training")
    assert {"models/building/network.py", "training/fit.py", "requirements.txt"} <= paths
    assert any(path.startswith("training/demo/photos/") for path in paths)
    assert not any(path.startswith("service/") for path in paths)


@pytest.mark.parametrize("target", ["training", "service"])
def test_no_step_depends_on_the_processor(target):
    text = "\n".join(step.rest for step in STAGES[target])
    assert not re.search(r"amd64|x86|arm64|aarch64|TARGETARCH|--platform", text)


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("README.md", True),
        ("out/flowers/manifest.json", True),
        ("models", False),
        ("models/bundles/folder.py", False),
        ("service/__pycache__", True),
        ("models/bundles/__pycache__/one", True),
        ("service/" + "compiled.pyc", True),
        ("service/" + ".DS_Store", True),
        ("service/page/index.html", False),
        ("modelsx/a.py", True),
    ],
)
def test_the_last_rule_that_fits_a_path_or_a_folder_above_it_decides(path, ignored):
    rules = ignore_rules((ROOT / ".dockerignore").read_text(encoding="utf-8"))
    assert is_ignored(path, rules) is ignored


def test_a_source_that_dockerignore_leaves_out_is_named(tmp_path):
    shutil.copy(ROOT / ".dockerignore", tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.md").write_text("a")
    steps = stages("FROM python:3 AS one\nCOPY notes/ notes/\n")["one"]
    with pytest.raises(SystemExit, match=r"COPY notes/: no such file, or \.dockerignore"):
        list(copied(steps, tmp_path))

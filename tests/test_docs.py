"""What the docs promise holds: settings, commands, links, files, and the Python that they show."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import pytest

from models.adopting.kinds import KINDS, TRAINING_ONLY
from service.__main__ import main as service
from service.config_file import PREFIX, expected_type, in_file, read_config
from service.watching.metrics import METRICS
from service.watching.record import STAGES
from tests.conftest import encode_photo, paint_photo
from tests.serving import ROOT
from tests.test_rooms import ABOVE, BELOW, SOURCES
from training.__main__ import training

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

OF_OTHERS = (
    "--data-binary",
    "--read-only",
    "--tmpfs",
    "--cap-drop",
    "--logdir",
    "--tag",
    "--target",
    "--platform",
    "--profile",
    "--network",
    "--user",
    "--build-arg",
    "--python-platform",
    "--only-binary",
)  # curl, docker, ...
OF_BENCHMARKS = (
    *("--environments", "--peers", "--rounds", "--seconds", "--picture", "--recipes", "--rows"),
    *("--seeds", "--few", "--own", "--half", "--arithmetic", "--rates", "--width", "--without"),
    "--scheduler",
)
ROOMS = "models|training|service|tests|benchmarks|docs|deploy"


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def rows_of(page: str, header: str) -> list[list[str]]:
    """The cells of every table of a page whose header begins so."""
    rows = []
    for table in re.findall(r"(?:^\|.*\n)+", text_of(page) + "\n", re.M):
        first, _, *others = table.splitlines()
        if first.startswith(f"| {header}"):
            rows += [[cell.strip() for cell in line.strip("|").split("|")] for line in others]
    return rows


class Setting(NamedTuple):
    """A row of the table of settings."""

    names: tuple[str, ...]
    commands: set[str]
    default: str
    may_be: str
    meaning: str


def documented() -> list[Setting]:
    known = set(training.commands)
    found = []
    for names, commands, *others in rows_of("docs/commands.md", "setting | commands"):
        chosen = set(commands.split(", "))
        if commands == "all but backbones":
            chosen = known - {"backbones"}
        assert chosen <= known, names
        found.append(Setting(tuple(re.findall(r"`(--[\w-]+)`", names)), chosen, *others))
    return found


def options() -> list[tuple[str, click.Option]]:
    """Every option of every command of the training room."""
    return [
        (command, option)
        for command, known in training.commands.items()
        for option in known.params
        if isinstance(option, click.Option)
    ]


def row_for(command: str, option: click.Option) -> Setting:
    names = (*option.opts, *option.secondary_opts)
    rows = [row for row in documented() if row.names == names and command in row.commands]
    assert len(rows) == 1, f"{command} {names[0]}: expected one row, found {len(rows)}"
    return rows[0]


def test_the_table_names_every_setting_of_every_command_and_no_other():
    real = {(command, (*o.opts, *o.secondary_opts)) for command, o in options()}
    table = [(command, row.names) for row in documented() for command in row.commands]
    assert sorted(table) == sorted(real)
    assert len(real) > 60  # else nothing is tested


@pytest.mark.parametrize(
    ("command", "option"), options(), ids=lambda each: getattr(each, "name", each)
)
def test_the_table_has_the_default_and_the_range_of_each_setting(command, option):
    row = row_for(command, option)
    shown = re.search(r"\[default: (.+)\]$", option.help or "")
    if isinstance(option.type, click.Choice):
        assert row.may_be == ", ".join(option.type.choices)
        assert shown[1] == row.default
    elif option.is_flag:
        assert (row.default, row.may_be) == (shown[1] if shown else "off", "")
    elif option.required or not shown:
        assert row.default == ("required" if option.required else "none")
    else:
        ranged = re.search(r"^\d.* (to|or more)", row.may_be)
        assert shown[1] == (f"{row.default}; {row.may_be}" if ranged else row.default)


def test_every_option_of_the_service_is_documented():
    serving = text_of("docs/serving.md")
    for option in service.params:
        if isinstance(option, click.Option):
            assert option.opts[0] in serving, option.opts[0]


def test_the_table_of_the_services_settings_has_each_with_its_names_and_default():
    rows = rows_of("docs/operations.md", "setting | environment")
    table = {tuple(re.findall(r"`([^`]+)`", names)): others for names, *others in rows}
    real = {}
    for one in service.params:
        names = (
            (*one.opts, *one.secondary_opts) if isinstance(one, click.Option) else ("BUNDLE ...",)
        )
        known = in_file(service).get(str(one.name))
        real[names] = [
            f"`{PREFIX}_{str(one.name).upper()}`",
            f"`{one.name}`" if known else "",
            default_of(one),
            expected_type(known) if known else "",
        ]
    assert table == real


def default_of(option: click.Parameter) -> str:
    """A default of the service as the table has it."""
    if isinstance(option, click.Option) and option.is_flag:
        return "on" if option.default is True else "off"
    return str(option.default) if isinstance(option.default, str | int | float) else "none"


def test_the_file_of_settings_that_is_shown_is_one(tmp_path):
    (example,) = re.findall(r"^```toml\n(.*?)^```", text_of("docs/operations.md"), re.M | re.S)
    (tmp_path / "settings.toml").write_text(example)
    assert len(read_config(tmp_path / "settings.toml", service)) == 5


def test_the_table_of_metrics_has_each_with_its_kind_labels_and_meaning():
    kinds = {"shelf": "gauge", "worker": "gauge"}
    assert rows_of("docs/operations.md", "metric | kind") == [
        [f"`{name}`", kinds.get(metric.kind, metric.kind),
         ", ".join(f"`{label}`" for label in metric.labels), metric.help]
        for name, metric in METRICS.items()
    ]  # fmt: skip


def test_the_table_of_stages_has_each_in_its_order():
    rows = rows_of("docs/operations.md", "stage of a request with photos")
    assert [stage.strip("`") for stage, _ in rows] == list(STAGES)


def commands_named(page: Path) -> set[str]:
    """Commands of the training room that a page names."""
    return set(re.findall(r"python -m training ([a-z]+)", page.read_text(encoding="utf-8")))


def test_every_command_that_is_named_exists_and_every_one_is_named():
    named = {page: commands_named(page) for page in PAGES}
    for page, commands in named.items():
        assert commands <= set(training.commands), page
    assert named[ROOT / "docs/commands.md"] == set(training.commands)


def test_every_option_that_is_named_exists():
    known = {name for _, option in options() for name in (*option.opts, *option.secondary_opts)}
    known |= {name for one in service.params for name in (*one.opts, *one.secondary_opts)}
    known |= {"--help", *OF_OTHERS, *OF_BENCHMARKS}
    for page in PAGES:
        named = re.findall(r"(?<![\w-])--[a-z][\w-]*", page.read_text(encoding="utf-8"))
        assert set(named) <= known, page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target), link


def anchors_of(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    plain = (re.sub(r"[^\w\- ]", "", heading).lower() for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def test_every_page_can_be_found_from_the_readme():
    linked = set(re.findall(r"\]\(docs/([\w-]+\.md)", text_of("README.md")))
    assert linked == {page.name for page in PAGES} - {"README.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page):
    for path in re.findall(rf"`((?:{ROOMS})/[\w./-]*)`", page.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path


def test_every_file_that_the_code_names_exists():
    for file in SOURCES:
        named = re.findall(rf"\b(?:{ROOMS})/[\w/-]+\.\w+", file.read_text(encoding="utf-8"))
        for path in named:
            assert (ROOT / path).exists(), (file, path)


def test_every_name_stands_in_the_file_that_is_said_to_decide_it():
    rows = rows_of("docs/architecture.md", "decided | file | called")
    assert len(rows) > 30  # else nothing is tested
    for _, files, called in rows:
        for path in re.findall(r"`([^`]+)`", files):
            assert (ROOT / path).is_file(), path
        for name in re.findall(r"`([^`]+)`", called):
            first = re.match(r"`([^`]+)`", files)[1]
            assert re.search(rf"^\s*(class |def )?{name}\b", text_of(first), re.M), (first, name)


def test_the_picture_of_the_rooms_is_that_of_the_imports():
    picture = re.search(r"^```\n(fit\.py.*?)^```", text_of("docs/architecture.md"), re.M | re.S)[1]
    lines = {
        room: number
        for number, line in enumerate(picture.splitlines())
        for room in re.findall(r"(\w+)/ ", line)
    }
    assert set(lines) == set(BELOW) | ABOVE
    for room, needs in BELOW.items():
        assert all(lines[needed] > lines[room] for needed in needs), room


def test_the_table_of_the_rooms_is_that_of_the_imports():
    rows = rows_of("docs/architecture.md", "room | its question")
    table = {room.strip("`"): {*filter(None, needs.split(", "))} for room, _, _, needs in rows}
    assert table == BELOW
    for room, _, begins, _ in rows:
        assert (ROOT / "training" / room.strip("`") / begins.strip("`")).is_file(), begins


def python_of(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", text_of(page), re.M | re.S)


def test_the_python_page_shows_an_answer_its_maps_and_its_saliency(tmp_path, insight_bundle):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/things").symlink_to(insight_bundle)
    (tmp_path / "photo.jpg").write_bytes(encode_photo(paint_photo(60, 80), "JPEG"))
    first, second = python_of("docs/python.md")
    assert len([line for line in first.splitlines() if line]) <= 10  # as the page promises
    shapes = "print(photo.shape, maps.shape, saliency.shape)"
    program = "\n".join(["import sys", f"sys.path.insert(0, {str(ROOT)!r})", first, second, shapes])
    program += "\nassert 'tensorflow' not in sys.modules"
    environment = {"MPLBACKEND": "agg", "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer, shown = done.stdout.strip().splitlines()
    assert len(ast.literal_eval(answer)["predictions"]) == 3
    photo, maps, saliency = ast.literal_eval(shown.replace(") (", "), ("))
    assert photo == (32, 32, 3)
    assert maps[:2] == saliency


def test_the_page_on_adopting_lists_the_layers_that_are_read_and_left_out():
    rows = dict(re.findall(r"^\| (read|left out) \| (.*) \|$", text_of("docs/adopt.md"), re.M))
    assert rows["read"].split(", ") == sorted(KINDS)
    assert rows["left out"].split(", ") == sorted(TRAINING_ONLY)

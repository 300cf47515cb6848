"""Settings of the service: a flag goes before the environment, that before a file, that before
the default; what is wrong in a file is refused by its name."""

import json
import os
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from service.__main__ import main
from service.config_file import chosen, in_file, prefer, read_config
from tests.serving import serving
from tests.watching import wait_for


def write(file: Path, text: str) -> str:
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "settings.toml"


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch):
    for name in [name for name in os.environ if name.startswith("LAYERSCOPE_")]:
        monkeypatch.delenv(name)


def given(*words: str) -> dict[str, Any]:
    return main.make_context("service", list(words)).params


def refused(*words: str) -> str:
    """The one line by which a start is refused."""
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_flag_goes_before_the_environment_that_before_the_file_that_before_the_default(
    config, monkeypatch
):
    file = write(config, "port = 8001\nwaiting = 3\nread_seconds = 5\n")
    monkeypatch.setenv("LAYERSCOPE_PORT", "8002")
    monkeypatch.setenv("LAYERSCOPE_WAITING", "4")
    found = given("b", "--config", file, "--port", "8003")
    assert (found["port"], found["waiting"], found["read_seconds"]) == (8003, 4, 5.0)
    assert found["answer_seconds"] == 30.0


def test_every_setting_can_be_given_in_the_environment_and_in_the_file(config, monkeypatch):
    texts = {
        "models": "m", "trust": "k", "host": "h", "port": 9, "workers": 3, "max_megapixels": 2.5,
        "more_formats": True, "read_seconds": 1.5, "answer_seconds": 2, "waiting": 7,
        "decode_megabytes": 100, "allow_host": ["a", "b"], "allow_origin": ["https://a.org"],
        "api_keys": "f", "rate_limit": "1/day", "log": "json", "access_log": False,
        "bundles": ["x", "y"], "precision": "fp32", "device": "cpu",
    }  # fmt: skip
    assert set(texts) == set(in_file(main))
    file = write(config, "".join(f"{key} = {json.dumps(value)}\n" for key, value in texts.items()))
    from_file = given("--config", file)
    for key, value in texts.items():
        words = value if isinstance(value, list) else [str(value)]
        between = os.pathsep if key == "bundles" else " "
        monkeypatch.setenv(f"LAYERSCOPE_{key.upper()}", between.join(words))
    from_environment = given()
    del from_file["config"], from_environment["config"]
    assert from_file == from_environment
    assert from_file["workers"] == "3"
    assert from_file["bundles"] == (Path("x"), Path("y"))
    assert from_file["access_log"] is False


def test_the_environment_can_name_the_file(config, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_CONFIG", write(config, 'log = "json"\n'))
    assert given("b")["log"] == "json"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "'prot' is no setting; nearest names: port"),
        ("read-seconds = 1", "'read-seconds' is no setting; nearest names: read_seconds"),
        ("[server]\nport = 1", "'server' is no setting"),
        ('config = "x"', "'config' is no setting"),
        ('help = "x"', "'help' is no setting"),
        ('port = "8000"', "port is '8000'; expected a whole number"),
        ("port = true", "port is 'True'; expected a whole number"),
        ("port = 80.5", "port is '80.5'; expected a whole number"),
        ("port = 0", "port: 0 is not in the range 1<=x<=65535"),
        ("access_log = 1", "access_log is '1'; expected true or false"),
        ('more_formats = "no"', "expected true or false"),
        ('read_seconds = "1"', "read_seconds is '1'; expected a number"),
        ("read_seconds = nan", "--read-seconds is nan; expected 0.1 to 3600"),
        ('allow_host = "a"', "allow_host is 'a'; expected a list of texts"),
        ("allow_host = [1]", "expected a list of texts"),
        ('bundles = "b"', "bundles is 'b'; expected a list of texts"),
        ("models = 5", "models is '5'; expected a text"),
        ("workers = 1.5", "workers is '1.5'; expected auto or a whole number"),
        ("workers = true", "expected auto or a whole number"),
        ("workers = 0", "--workers is '0'; expected auto or 1 to 64"),
        ('log = "xml"', "log: 'xml' is not one of 'auto', 'text', 'json'"),
        ('rate_limit = "often"', "--rate-limit is 'often'"),
        ("port = ", "no TOML: "),
        ("port = 1\nport = 2", "no TOML: "),
    ],
)
def test_what_is_wrong_in_a_file_is_refused_in_one_line(config, text, said):
    line = refused("b", "--config", write(config, text))
    assert said in line
    assert str(config) in line or "--" in said


@pytest.mark.parametrize("kind", ["missing", "folder", "latin"])
def test_a_file_that_cannot_be_read_is_refused_by_its_name(config, kind):
    if kind == "folder":
        config.mkdir()
    if kind == "latin":
        config.write_bytes(b'host = "\xff"')
    assert f"{config}: cannot be read" in refused("b", "--config", str(config))


def test_a_key_in_the_file_that_is_hostile_reaches_no_terminal(config):
    line = refused("b", "--config", write(config, '"a\\u001b[2J\\nb" = 1'))
    assert "\x1b" not in line


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "http", "'http' is not a valid integer"),
        ("ACCESS_LOG", "perhaps", "'perhaps' is not a valid boolean"),
        ("LOG", "xml", "'xml' is not one of"),
    ],
)
def test_a_wrong_value_in_the_environment_is_refused_as_that_of_a_flag(
    monkeypatch, name, value, said
):
    monkeypatch.setenv(f"LAYERSCOPE_{name}", value)
    done = CliRunner().invoke(main, ["b"])
    assert done.exit_code == 2
    assert said in done.stderr


def test_an_address_that_a_cluster_puts_there_is_no_port(monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_PORT", "tcp://10.0.0.1:80")  # of a service called layerscope
    assert given("b")["port"] == 8000


def test_of_bundles_and_a_folder_of_models_the_one_nearer_to_the_command_counts(
    config, monkeypatch
):
    file = write(config, 'bundles = ["old"]\n')
    context = main.make_context("service", ["--config", file, "--models", "new"])
    assert prefer(context, "bundles", "models") == ((), Path("new"))
    monkeypatch.setenv("LAYERSCOPE_MODELS", "other")
    context = main.make_context("service", ["flowers"])
    assert prefer(context, "bundles", "models") == ((Path("flowers"),), None)
    assert "name one or more bundles to serve, or a folder" in refused("b", "--models", "m")


def test_what_was_chosen_is_told_with_where_it_came_from(config, monkeypatch):
    file = write(config, 'allow_host = ["a.org"]\n')
    monkeypatch.setenv("LAYERSCOPE_WAITING", "4")
    context = main.make_context("service", ["b", "--config", file, "--port", "1"])
    assert chosen(context) == {
        "bundles": (["b"], "flag"),
        "config": (file, "flag"),
        "port": (1, "flag"),
        "waiting": (4, "environment"),
        "allow_host": (["a.org"], "file"),
    }


def test_a_file_of_one_command_is_read_by_its_own_options(config):
    @click.command()
    @click.option("--size", type=int)
    def other(size: int) -> None: ...

    assert read_config(Path(write(config, "size = 3")), other) == {"size": 3}


@pytest.mark.alone
def test_a_start_tells_its_settings_and_no_key(tiny_bundle, tmp_path, config):
    key = "0123456789abcdef-secret"
    write(tmp_path / "keys", key)
    write(config, f'api_keys = "{tmp_path / "keys"}"\nwaiting = 5\n')
    log = tmp_path / "log"
    environment = os.environ | {"LAYERSCOPE_READ_SECONDS": "7", "LAYERSCOPE_LOG": "json"}
    with (
        log.open("wb") as file,
        serving(tiny_bundle, workers=1, options=("--config", str(config)), env=environment,
                stdout=file, stderr=file),
    ):  # fmt: skip
        wait_for(lambda: "serving" in log.read_text(), "the start")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    told = next(line["settings"] for line in lines if "settings" in line)
    assert told["waiting"] == [5, "file"]
    assert told["read_seconds"] == [7.0, "environment"]
    assert told["api_keys"] == [str(tmp_path / "keys"), "file"]
    assert key not in log.read_text()

"""Settings from the environment and from a file: what click does with them, and what it does not.

click takes a value from the command line, else from LAYERSCOPE_NAME, else from the file, else the
default; so each setting stands once, as an option of the command. What is added here: the file is
read, its keys and the types of its values are checked, and the start says what came from where.
"""

import difflib
import tomllib
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from models.errors import SettingError
from service.logs import printable

PREFIX = "LAYERSCOPE"
SOURCES = {
    ParameterSource.COMMANDLINE: "flag",
    ParameterSource.ENVIRONMENT: "environment",
    ParameterSource.DEFAULT_MAP: "file",
}


class Port(click.Option):
    """A port; Kubernetes and Docker set LAYERSCOPE_PORT to an address of that service's."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The variable, unless it is not meant for this program."""
        found = super().resolve_envvar_value(ctx)
        return None if found and found.startswith(("tcp://", "udp://")) else found


class LocalPath(click.Path):
    """A path of this machine: the serving image has nothing that could read an address."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Make a path. Raises BadParameter for an address."""
        scheme, mark, _ = str(value).partition("://")
        if mark:
            self.fail(
                f"{printable(scheme)}:// is an address, and the service reads bundles from disk: "
                "download it first, such as by `aws s3 sync`, and give its folder",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


def read_config(file: Path, command: click.Command) -> dict[str, Any]:
    """The settings of a TOML file, for click's `default_map`.

    Raises:
        SettingError: no such file, no TOML, an unknown key, or a value of another type.
    """
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"--config {file}: cannot be read ({type(error).__name__})") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"--config {file}: no TOML: {error}") from error
    known = in_file(command)
    for key, value in found.items():
        if key not in known:
            near = ", ".join(difflib.get_close_matches(key, known, cutoff=0.5)) or "none close"
            raise SettingError(
                f"--config {file}: {key!r} is no setting; nearest names: {near}; "
                f"the settings are {', '.join(sorted(known))}"
            )
        found[key] = _checked(file, key, value, known[key])
    return found


def in_file(command: click.Command) -> dict[str, click.Parameter]:
    """The settings that a file may have, by their keys."""
    return {
        str(one.name): one
        for one in command.params
        if one.name != "config" and not (isinstance(one, click.Option) and one.is_eager)
    }


def _checked(file: Path, key: str, value: Any, option: click.Parameter) -> Any:
    """The value as click takes it. Raises SettingError."""
    expected = expected_type(option)
    fits = {
        "true or false": isinstance(value, bool),
        "a list of texts": isinstance(value, list) and all(isinstance(x, str) for x in value),
        "a whole number": isinstance(value, int) and not isinstance(value, bool),
        "a number": isinstance(value, int | float) and not isinstance(value, bool),
        "a text": isinstance(value, str),
        "auto or a whole number": value == "auto" or type(value) is int,
    }
    if not fits[expected]:
        raise SettingError(f"--config {file}: {key} is {str(value)[:60]!r}; expected {expected}")
    if expected == "auto or a whole number":
        value = str(value)
    try:
        option.type_cast_value(click.Context(click.Command("service")), value)
    except click.BadParameter as error:
        raise SettingError(f"--config {file}: {key}: {error.message}") from error
    return value


def expected_type(option: click.Parameter) -> str:
    """What a setting may be in the file."""
    if option.multiple or option.nargs != 1:
        return "a list of texts"
    if isinstance(option, click.Option) and option.is_flag:
        return "true or false"
    if option.name == "workers":
        return "auto or a whole number"
    if isinstance(option.type, click.types.IntParamType):
        return "a whole number"
    return "a number" if isinstance(option.type, click.types.FloatParamType) else "a text"


def take_config(context: click.Context, option: click.Parameter, file: Path | None) -> Path | None:
    """Called by click before it looks at any other option; a file that is refused ends it."""
    try:
        if file is not None:
            context.default_map = read_config(file, context.command)
    except SettingError as error:
        click.echo(f"error: {printable(str(error))}", err=True)
        context.exit(2)
    return file


def prefer(context: click.Context, one: str, other: str) -> tuple[Any, Any]:
    """Two settings that exclude each other: the one of the lower source counts as not given."""
    values = {name: context.params[name] for name in (one, other)}
    sources = {name: context.get_parameter_source(name) for name in values}
    ranks = [list(SOURCES).index(source) for source in sources.values() if source in SOURCES]
    if len(ranks) == 2 and ranks[0] != ranks[1]:
        lower = one if ranks[0] > ranks[1] else other
        values[lower] = () if isinstance(values[lower], tuple) else None
    return values[one], values[other]


def chosen(context: click.Context) -> dict[str, tuple[Any, str]]:
    """Every setting that is not the default: its value, and what it came from.

    Keys and passwords are never values of settings: they stand in files that are named.
    """
    found = {}
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if source in SOURCES:
            plain = list(map(str, value)) if isinstance(value, tuple) else value
            found[name] = (str(plain) if isinstance(plain, Path) else plain, SOURCES[source])
    return found

"""The options of a command, made from the settings of a dataclass."""

from collections.abc import Callable
from dataclasses import Field, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import click

from training.settings.config import FitConfig
from training.settings.setting import Setting, default_in_words, option_name


class LocalPath(click.Path):
    """A path of this machine; an address would be taken for a folder called `s3:`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Make a path. Raises BadParameter for an address."""
        scheme, mark, _ = str(value).partition("://")
        if mark:
            self.fail(f"{scheme}:// is an address: give a path of this machine", param, ctx)
        return super().convert(value, param, ctx)


LOCAL = LocalPath(path_type=Path)


def settings(
    *names: str, of: type = FitConfig
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add options to a command: for the named settings of a dataclass, or for all of them."""
    declared = [entry for entry in fields(of) if "setting" in entry.metadata]
    chosen = [entry for entry in declared if not names or entry.name in names]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        for entry in reversed(chosen):  # the last decorator is shown first
            function = _option(entry)(function)
        return function

    return decorate


def _option(entry: Field[Any]) -> Callable[..., Any]:
    """Make one click option; its range is checked where the settings are made."""
    known: Setting = entry.metadata["setting"]
    name = option_name(entry.name)
    notes = "; ".join(filter(None, (f"default: {default_in_words(entry)}", known.range)))
    text = f"{known.help} [{notes}]"
    kind = get_args(entry.type)[0] if isinstance(entry.type, UnionType) else entry.type
    if kind is bool:
        flags = f"--{name}" if entry.default is False else f"--{name}/--no-{name}"
        return click.option(flags, is_flag=True, default=entry.default, help=text)
    if get_origin(kind) is tuple:
        read = _numbers if int in get_args(kind) else _names
        return click.option(f"--{name}", callback=read, help=text)
    if kind is Path:
        return click.option(f"--{name}", type=LOCAL, help=text)
    choice = click.Choice(known.choices) if known.choices else kind
    return click.option(f"--{name}", type=choice, default=entry.default, help=text)


def _names(context: Any, option: Any, text: str | None) -> tuple[str, ...]:
    """Read names with commas between them."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _numbers(context: Any, option: Any, text: str | None) -> tuple[int, ...] | None:
    """Read whole numbers with commas between them; `none` for no layer at all."""
    if text is None:
        return None
    if text.strip().lower() in ("", "none"):
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r}; expected numbers, such as 256,64") from None

"""The options of a command, made from the fields of the config."""

from collections.abc import Callable
from dataclasses import Field, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

import click

from training.settings.config import FitConfig


def settings(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Options for the named fields of FitConfig; all of them but the cache if none is named."""
    chosen = [f for f in fields(FitConfig) if f.metadata and (not names or f.name in names)]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        for entry in reversed(chosen):  # the last decorator is shown first
            function = _option(entry)(function)
        return function

    return decorate


def _option(entry: Field[Any]) -> Callable[..., Any]:
    """One click option."""
    name, told = entry.name.replace("_", "-"), entry.metadata
    kind = get_args(entry.type)[0] if isinstance(entry.type, UnionType) else entry.type
    if kind is bool:
        flags = f"--{name}/--no-{name}" if entry.default else f"--{name}"
        return click.option(flags, is_flag=True, default=entry.default, help=told["help"])
    text = f"{told['help']} [default: {told['shown'] or entry.default}]"
    if get_origin(kind) is tuple:
        read = _numbers if int in get_args(kind) else _names
        return click.option(f"--{name}", callback=read, help=text)
    if kind is Path:
        return click.option(f"--{name}", type=click.Path(path_type=Path), help=text)
    choice = click.Choice(told["choices"]) if told["choices"] else kind
    return click.option(f"--{name}", type=choice, default=entry.default, help=text)


def _names(context: Any, option: Any, text: str | None) -> tuple[str, ...]:
    """Names that were given with commas between them."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _numbers(context: Any, option: Any, text: str | None) -> tuple[int, ...] | None:
    """Whole numbers that were given with commas between them; `none` for no layer at all."""
    if text is None:
        return None
    if text.strip().lower() in ("", "none"):
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r}; expected numbers, such as 256,64") from None

"""Recipes: names for options of `fit`, read by the command's own parser."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from click.core import ParameterSource

from models.errors import LayerscopeError, SettingError
from training.__main__ import fit
from training.settings.config import FitConfig

BUILT_IN = {"frozen": "", "default": "--fine-tune yes", "auto": "--fine-tune auto"}
OWN = ("seed", "summary", "quiet")  # options that the benchmark gives itself


@dataclass(frozen=True)
class Recipe:
    """What a person would type after `python -m training fit PHOTOS --out BUNDLE`."""

    name: str
    options: tuple[str, ...]

    @property
    def text(self) -> str:
        """The options as one line of a shell."""
        return shlex.join(self.options)


def read_recipes(given: Sequence[str]) -> list[Recipe]:
    """Read recipes as they were typed.

    Args:
        given: each one `frozen`, `default` or `auto`; or `NAME=OPTIONS`; or the path of a JSON
            file, `{"NAME": "OPTIONS"}`.

    Raises:
        SettingError: options that `fit` refuses, an unknown name, or a name given twice.
    """
    named: list[tuple[str, str]] = []
    for one in given:
        name, mark, options = one.partition("=")
        if mark:
            named.append((name.strip(), options))
        elif one in BUILT_IN:
            named.append((one, BUILT_IN[one]))
        else:
            named += _read_file(Path(one))
    names = [name for name, _ in named]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingError(f"recipes given twice: {', '.join(twice)}; each needs a name of its own")
    return [_checked(name, options) for name, options in named]


def _read_file(path: Path) -> list[tuple[str, str]]:
    """Names and options of a JSON file. Raises SettingError."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        known = ", ".join(BUILT_IN)
        raise SettingError(
            f"--recipes {path}: expected {known}, NAME=OPTIONS or a JSON file ({error})"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(o, str) for o in content.values()):
        raise SettingError(f'--recipes {path}: expected {{"NAME": "OPTIONS", ...}}')
    return list(content.items())


def _checked(name: str, text: str) -> Recipe:
    """Parse options as `fit` will. Raises SettingError with the name of the recipe."""
    try:
        options = tuple(shlex.split(text))
        context = fit.make_context("fit", ["PHOTOS", "--out", "BUNDLE", *options])
        for option in OWN:
            if context.get_parameter_source(option) != ParameterSource.DEFAULT:
                raise SettingError("--seed, --json and --quiet are the benchmark's own")
        others = {"photos", "out", "summary", "quiet"}
        FitConfig(**{key: value for key, value in context.params.items() if key not in others})
    except click.ClickException as error:
        raise SettingError(f"recipe {name!r}: {error.format_message()}") from error
    except (LayerscopeError, ValueError) as error:  # ValueError: a quote that is never closed
        raise SettingError(f"recipe {name!r}: {error}") from error
    return Recipe(name, options)

"""One setting: its default, the values it may take, and the sentence that explains it.

A setting is a field of a dataclass made with `setting`. Its range stands there and nowhere
else: options and their help, the check of what was given, and the tables of the docs read it.
"""

from dataclasses import Field, dataclass, field, fields
from typing import Any

from models.errors import SettingError


@dataclass(frozen=True)
class Setting:
    """What a setting is for, and what it may be."""

    help: str  # whole sentences
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    shown: str = ""  # the default in words, where it is not a plain value
    or_zero: bool = False  # 0 is allowed too, outside the range; `help` says what it means
    option: str = ""  # the name people know it by, where it is not the field's

    @property
    def range(self) -> str:
        """The range in words, such as `0 to 256`; empty where there is none."""
        if self.low is None:
            return ""
        low = f"0, or {_plain(self.low)}" if self.or_zero else _plain(self.low)
        return f"{low} or more" if self.high is None else f"{low} to {_plain(self.high)}"

    def check(self, name: str, value: Any) -> None:
        """Raise SettingError where `value`, or one of several, is none it may be."""
        for one in value if isinstance(value, tuple) else (value,):
            if self.choices and one not in self.choices:
                raise SettingError(f"--{name} is {one!r}; expected {', '.join(self.choices)}")
            if self.low is None or (self.or_zero and one == 0):
                continue
            high = float("inf") if self.high is None else self.high
            if not self.low <= one <= high:  # NaN is not, either
                raise SettingError(f"--{name} is {one}; expected {self.range}")


def setting(
    default: Any, help: str, low: float | None = None, high: float | None = None, **more: Any
) -> Any:
    """Declare a field of a dataclass as a setting; `more`: the other fields of `Setting`."""
    return field(default=default, metadata={"setting": Setting(help, low, high, **more)})


def settings_of(kind: type) -> dict[str, Setting]:
    """List the settings that a dataclass declares, by the name of the field, in order."""
    return {e.name: e.metadata["setting"] for e in fields(kind) if "setting" in e.metadata}


def default_in_words(entry: Field[Any]) -> str:
    """Write the default of a setting as help and docs show it."""
    shown: str = entry.metadata["setting"].shown
    if shown:
        return shown
    default: Any = entry.default
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return default if isinstance(default, str) else _plain(default)


def option_name(name: str) -> str:
    """Turn the name of a field into that of an option, without its two dashes."""
    return name.replace("_", "-")


def check_settings(settings: Any) -> None:
    """Check every setting of a dataclass; None, not given, passes. Raises SettingError."""
    for name, known in settings_of(type(settings)).items():
        if (value := getattr(settings, name)) is not None:
            known.check(known.option or option_name(name), value)


def _plain(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"

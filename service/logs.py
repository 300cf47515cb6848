"""The log: one line a message, whatever names are in it; for people, or as JSON for machines.

Names of files and classes come from outside. A line end or an escape code in one would forge
a line, or change the terminal of whoever reads. `network/logger.py` has gunicorn write so, too.
"""

import json
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import click

_UNSAFE = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_UNSAFE |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
_UNSAFE |= {code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F))}
_UNSAFE |= {code: f"\\u{code:04x}" for code in range(0x2066, 0x206A)}  # they turn text around
FORMS = ("auto", "text", "json")


def printable(text: str) -> str:
    """`text` on one line, control characters written out."""
    return text.translate(_UNSAFE)


class OneLine(logging.Formatter):
    """A formatter that writes control characters out; a traceback keeps its lines, indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """The line itself."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802
        """The traceback, so that no line of it can be taken for a message of its own."""
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"    {printable(line)}" for line in lines)


class JsonLine(logging.Formatter):
    """A formatter that writes one JSON object a message, in ASCII; a traceback is a field of it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line itself."""
        line = _head(record.created, record.levelname)
        fields = getattr(record, "fields", None)
        line |= {"message": record.getMessage()} if fields is None else fields
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Form:
    """The form of every message, text or json, set before gunicorn starts; and how `say` writes."""

    used = "text"
    write: Callable[[str], object] = click.echo


def formatter(line: str, moment: str | None = None) -> logging.Formatter:
    """Make a formatter of the form in use; for text, from formats of a line and of its time."""
    return JsonLine() if Form.used == "json" else OneLine(line, moment)


def choose_form(asked: str) -> str:
    """`text` or `json` for `--log`; `auto`: text where a person reads it on a terminal."""
    if asked != "auto":
        return asked
    return "text" if sys.stderr.isatty() else "json"


def use_form(form: str) -> None:
    """Have every message from now on in this form, also before gunicorn starts.

    What Pillow says of a damaged photo is left out: whoever sent it is told.
    """
    Form.used = form
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(formatter("%(levelname)s: %(message)s"))


def say(text: str, **fields: Any) -> None:
    """Tell on standard output what the service does; `fields` are for JSON alone."""
    line = printable(text)
    if Form.used == "json":
        now = datetime.now(UTC).timestamp()
        line = json.dumps(_head(now, "INFO") | {"message": text} | fields, default=str)
    with suppress(OSError):  # a full disk, or nobody who reads it
        Form.write(line)


def _head(seconds: float, level: str) -> dict[str, Any]:
    """The first fields of a line."""
    time = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return {"time": time, "level": level.lower(), "process": os.getpid()}

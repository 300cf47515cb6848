"""The log: names from outside cannot forge a line or reach the terminal as codes."""

import logging
import sys

import pytest

from service.logs import Form, OneLine, printable, use_form


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat", "cat"),
        ("café ‘€’ 猫", "café ‘€’ 猫"),
        ("a\nERROR forged", "a\\nERROR forged"),
        ("a\r\nb", "a\\r\\nb"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x9b2J", "\\x9b2J"),  # an escape code of one byte
        ("a\u2028b\u202eb", "a\\u2028b\\u202eb"),  # a line separator, text turned around
        ("a\0b\x7f", "a\\x00b\\x7f"),
    ],
)
def test_control_characters_are_written_out(name, shown):
    assert printable(name) == shown


def test_a_traceback_keeps_its_lines_and_forges_none():
    try:
        raise ValueError("bad name\n[2026-01-01] [INFO] all is well\x1b[2J")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "in %r\n", ("a",), sys.exc_info())
    lines = OneLine("%(message)s").format(record).split("\n")
    assert lines[0] == "in 'a'\\n"
    assert all(line.startswith("    ") for line in lines[1:])
    assert len(lines) > 3
    assert "\x1b" not in "".join(lines)


def test_pillow_writes_nothing_about_damaged_photos(monkeypatch):
    monkeypatch.setattr(Form, "used", Form.used)
    use_form("text")
    assert not logging.getLogger("PIL.TiffImagePlugin").isEnabledFor(logging.ERROR)

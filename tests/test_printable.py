"""Names from strangers reach no terminal raw: line ends, escape codes, marks of direction."""

import os
from pathlib import Path

import pytest

from training.settings.console import Stages
from training.settings.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a plain name, Käse, 猫.jpg", "a plain name, Käse, 猫.jpg"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x9b31m", r"\x9b31m"),  # C1: the same in one byte
        ("bell\x07\x00\x7f", r"bell\x07\x00\x7f"),
        ("\u202egnp.exe", r"\u202egnp.exe"),  # would be read as exe.png
        ("\u2066a\u2069\u200f", r"\u2066a\u2069\u200f"),
        ("a\u200bb\ufeff", r"a\u200bb\ufeff"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("no\xa0break", r"no\xa0break"),
        (os.fsdecode(b"caf\xe9"), r"caf\udce9"),
        ("क्\u200dष", "क्\u200dष"),  # a joiner shapes the letter
        ("\U000e0041", r"\U000e0041"),  # a tag: nothing is seen of it
    ],
)
def test_what_cannot_be_seen_is_written_as_an_escape(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown
    shown.encode("utf-8")  # no terminal fails at it


def test_a_path_is_taken_as_it_is():
    assert printable(Path("a/b\n.png")) == r"a/b\n.png"


def test_progress_shows_no_escape_code_and_takes_no_name_for_markup(capsys):
    stages = Stages()
    stages.say("skipped [red]x[/red]\x1b]0;title\x07\n.png")
    with stages.stage("s") as show:
        show("\x1b[2J")
    assert capsys.readouterr().err.splitlines()[0] == (
        r"skipped [red]x[/red]\x1b]0;title\x07\n.png"
    )

"""Text from strangers, made safe to print: what cannot be seen is written as an escape.

Names of files and folders may hold line ends, escape codes of terminals (ANSI, C1), marks that
turn the direction of writing, and bytes that are no Unicode. Whatever a person reads goes
through here: the terminal, errors, lists and reports.
"""

from pathlib import Path

_JOINERS = "\u200c\u200d"  # they shape letters of Indian scripts, Persian and emoji


def printable(text: str | Path) -> str:
    """Write `text` on one line, with escapes such as `\\n`, `\\x1b` and `\\u202e`.

    Spaces other than the common one are written as escapes too: they look like it.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _JOINERS else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")

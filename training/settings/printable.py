"""Text from strangers, made safe to print: what cannot be seen is written as an escape.

Names of files and folders may hold line ends, escape codes of terminals (ANSI, C1), marks that
turn the direction of writing, and bytes that are no Unicode. Whatever a person reads goes
through here: the terminal, errors, lists and reports. Addresses lose their credentials here.
"""

import re
from pathlib import Path

_JOINERS = "\u200c\u200d"  # they shape letters of Indian scripts, Persian and emoji


# What stands before the host; and where keys hold `/`, all up to the last `@`. Paths that were made
# of addresses have one `/` left. A user of HDFS is no secret, nor is a port.
_USER = re.compile(
    r"(?<![A-Za-z0-9+.-])(?:((?!(?:hdfs|file):)[A-Za-z][A-Za-z0-9+.-]+:/{1,2})[^/\s]*@"
    r"|([A-Za-z][A-Za-z0-9+.-]+:/{1,2})[^/\s:@]*:(?!\d{1,5}(?:[/\s]|$))\S*@)"
)
_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:/{1,2}[^\s?]*)\?\S*=\S*")


def printable(text: str | Path) -> str:
    """Write `text` on one line, with escapes such as `\\n`, `\\x1b` and `\\u202e`.

    Spaces other than the common one are written as escapes too: they look like it.
    """
    text = without_secrets(str(text))
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _JOINERS else _escape(c) for c in text)


def without_secrets(text: str) -> str:
    """Leave out of addresses what may be a secret: `user:password@`, and all of the query."""
    if ":/" not in text:
        return text
    return _QUERY.sub(r"\1", _USER.sub(lambda found: found[1] or found[2], text))


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")

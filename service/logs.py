"""The log: one line a message, whatever names are in it.

Names of files and classes come from outside. A line end or an escape code in one would forge
a line, or change the terminal of whoever reads.
"""

import logging
from typing import Any

from gunicorn import glogging

_UNSAFE = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_UNSAFE |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
_UNSAFE |= {code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F))}
_UNSAFE |= {code: f"\\u{code:04x}" for code in range(0x2066, 0x206A)}  # they turn text around
OURS = "service"


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


class Logger(glogging.Logger):
    """gunicorn's logger, whose form and place the service's own messages share."""

    def setup(self, cfg: Any) -> None:
        """Set our formatter; called again when gunicorn reads its settings again."""
        super().setup(cfg)
        ours = logging.getLogger(OURS)
        ours.handlers = list(self.error_log.handlers)
        ours.propagate = False
        for handler in ours.handlers:
            handler.setFormatter(OneLine(self.error_fmt, self.datefmt))

"""A file without a name: nobody else can open it, and it ends with its last descriptor."""

import os
from contextlib import suppress


def new_file() -> int:
    """The descriptor of an empty file without a name."""
    if hasattr(os, "memfd_create"):
        with suppress(OSError):  # some systems forbid it
            return os.memfd_create("bundle", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    import tempfile  # here: it is rarely needed, and brings as much code as a start's other half

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())

"""Load Keras without what TensorFlow prints before its logging is set up.

Its shared libraries write to the descriptor of standard error while they are loaded, some only
on some processors, and no setting stops them. So the descriptor leads elsewhere meanwhile; what
is no remark goes on to where it was to go, and everything does where the import fails.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

STDERR = 2
REMARK = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} \d\d:\d\d:|fully_quantize: "
)


def load_keras() -> None:
    """Import Keras with TensorFlow; takes seconds the first time."""
    if "keras" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with without_remarks(STDERR):
        import keras  # noqa: F401


@contextmanager
def without_remarks(descriptor: int) -> Iterator[None]:
    """Hold back what is written to `descriptor`; Python's own messages still appear at once."""
    try:
        shown = os.fdopen(os.dup(descriptor), "w", buffering=1)
    except OSError:  # closed: nobody reads it
        yield
        return
    with shown, tempfile.TemporaryFile() as held:
        python_stderr, failed = sys.stderr, True
        os.dup2(held.fileno(), descriptor)
        if python_stderr is sys.__stderr__:
            sys.stderr = shown
        try:
            yield
            failed = False
        finally:
            sys.stderr = python_stderr
            os.dup2(shown.fileno(), descriptor)
            _pass_on(held, descriptor, everything=failed)


def _pass_on(held: BinaryIO, descriptor: int, everything: bool) -> None:
    """Write what was held back, without the remarks."""
    held.seek(0)
    for line in held:
        if everything or not REMARK.match(line):
            os.write(descriptor, line)

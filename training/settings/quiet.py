"""Load Keras without what TensorFlow prints before its logging is set up.

Its shared libraries write to the descriptor of standard error while they are loaded, some only
on some processors, and no setting stops them. So the descriptor leads elsewhere meanwhile; what
is no remark goes on to where it was to go, and everything does where the import fails.
"""

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from models.errors import SettingError

STDERR = 2
REMARK = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} \d\d:\d\d:|fully_quantize: "
)


def load_keras(device: str = "auto") -> None:
    """Import Keras with TensorFlow, and let it use `device`; takes seconds the first time.

    Raises:
        SettingError: the device is cuda, and TensorFlow sees no GPU.
    """
    if "keras" not in sys.modules:
        _import_keras()
    if device != "auto":
        _choose_gpu(device)


def _choose_gpu(device: str) -> None:
    """Hide GPUs from TensorFlow, or see that there is one."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if device == "cpu" and gpus:
        tf.config.set_visible_devices([], "GPU")
    if device == "cuda" and not gpus:
        raise SettingError(
            "--device cuda: TensorFlow sees no GPU here: install tensorflow[and-cuda] and NVIDIA's "
            "driver, or use --device auto or cpu"
        )


def _import_keras() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with without_remarks(STDERR):
        import keras  # noqa: F401
    for handler in logging.getLogger("tensorflow").handlers:  # that was made meanwhile
        if isinstance(handler, logging.StreamHandler):
            handler.stream = sys.stderr  # `setStream` would flush what is closed


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

"""TensorFlow's remarks while it is loaded are held back; what an error says is not."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WRITES = """
import os, sys
from training.settings.quiet import STDERR, without_remarks
with without_remarks(STDERR):
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written\\n")
    os.write(2, b"I0000 00:00:1700000000.1 1 port.cc:153] oneDNN custom operations are on.\\n")
    os.write(2, b"E0000 00:00:1700000000.2 1 lib.cc:9] this library is broken\\n")
    print("shown at once", file=sys.stderr)
    {last}
os.write(2, b"I0000 00:00:1700000000.3 1 later.cc:1] afterwards all is shown\\n")
"""


def stderr_of(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    return done.stderr.splitlines()


def test_loading_keras_prints_nothing():
    loads = "from training.settings.quiet import load_keras; load_keras(); import keras"
    assert stderr_of(loads) == []


def test_remarks_are_held_back_and_errors_are_not():
    assert stderr_of(WRITES.format(last="pass")) == [
        "shown at once",
        "E0000 00:00:1700000000.2 1 lib.cc:9] this library is broken",
        "I0000 00:00:1700000000.3 1 later.cc:1] afterwards all is shown",
    ]


def test_a_failed_import_shows_everything():
    lines = stderr_of(WRITES.format(last="raise ImportError('no such symbol')"))
    assert lines[0] == "shown at once"
    assert "oneDNN custom operations are on" in lines[2]
    assert lines[-1] == "ImportError: no such symbol"

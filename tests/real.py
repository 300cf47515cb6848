"""The real photos, and the commands of the training room, for the tests that need them.

$LAYERSCOPE_DATASETS holds `clothing` (train/ validation/ test/ with class folders) and
`imagenet-100` (photos whose names begin with their class index).
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import ROOT


def dataset(name: str) -> Path:
    """A folder of real photos; without it the test is skipped."""
    folder = Path(os.environ.get("LAYERSCOPE_DATASETS", ".")) / name
    if not folder.is_dir():
        pytest.skip(f"no folder {name} in $LAYERSCOPE_DATASETS")
    return folder.resolve()


def command(*words: object) -> str:
    """What a command of the training room prints."""
    done = subprocess.run(
        [sys.executable, "-m", "training", *map(str, words)],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return done.stdout

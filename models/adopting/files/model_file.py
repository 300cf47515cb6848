"""A model file as text and arrays, read by a process of its own (`child.py`)."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.adopting.files.file_kinds import find_kind
from models.errors import AdoptError

WALL_S = 600
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class ModelFile:
    """What a model file says, in plain types."""

    format: str  # keras: a `.keras` archive; hdf5: the legacy form
    version: str  # of the Keras that saved it; may be empty
    config: dict[str, Any]
    arrays: dict[str, np.ndarray]  # path inside the file -> float32
    shapes: dict[str, list[int]]  # of arrays that are no floats: counters and seeds
    names: dict[str, str]  # group -> the layer's name, where the file says it
    groups: dict[str, list[str]]  # legacy: layer -> its arrays' paths, in order

    @property
    def is_old(self) -> bool:
        """Whether Keras 1 or 2 saved it, some of whose functions compute something else."""
        return self.version.startswith(("1.", "2."))


def read_model_file(path: Path) -> ModelFile:
    """Read a model that Keras saved, without executing anything of it.

    Raises:
        AdoptError: it is no such file, is damaged or hostile, or takes too much to read.
    """
    find_kind(path)  # the common mistakes need no process
    with tempfile.TemporaryDirectory(prefix="layerscope-adopt-") as folder:
        _run(path, Path(folder))
        try:
            found = json.loads((Path(folder) / "model.json").read_bytes())
            if "reason" in found:
                raise AdoptError(f"{path}: {found['reason']}")
            with np.load(Path(folder) / "arrays.npz", allow_pickle=False) as arrays:
                numbers = {name: arrays[key] for name, key in found.pop("keys").items()}
        except (OSError, ValueError, RecursionError, KeyError) as error:
            raise AdoptError(f"{path} cannot be read: {str(error)[:200]}") from error
    for name, array in numbers.items():
        if not np.isfinite(array).all():
            raise AdoptError(
                f"{path}: the weights {name!r} hold numbers that are not finite (NaN or "
                "infinity): the training had diverged; use an earlier checkpoint"
            )
    return ModelFile(arrays=numbers, **found)


def _run(path: Path, folder: Path) -> None:
    """Let the process read the file. Raises AdoptError where it does not come to an end."""
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "OPENBLAS_NUM_THREADS": "1",  # each thread takes address space, which has a limit
        "OMP_NUM_THREADS": "1",
        "HDF5_PLUGIN_PRELOAD": "::",  # load no filter from anywhere
    }
    words = [sys.executable, "-m", "models.adopting.files.child", str(path.absolute()), str(folder)]
    try:
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, timeout=WALL_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise AdoptError(f"{path}: reading it takes more than {WALL_S} s") from error
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        why = f"signal {-done.returncode}" if done.returncode < 0 else f"{''.join(last)[:200]}"
        raise AdoptError(f"{path}: the process that read it ended early ({why}): it is refused")

"""Keras in a process of its own, while this one loads what comes after it.

TensorFlow takes seconds to load and one more to end, on one core; so does what training needs
from other libraries. Side by side they take the time of the longer one, and a process that
never loaded TensorFlow is smaller. Nothing depends on it: the compiled backbone is left in the
cache, and where it is not found there, whoever asked compiles it himself and sees what is wrong.

    python -m training.apart SETTINGS < PHOTOS
"""

import json
import os
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import numpy as np

from training.config import FitConfig

LATER = ("sklearn.linear_model", "cleanlab.filter", "matplotlib.figure")
NEEDED = ("backbone", "weights", "size", "seed")  # of the settings, to compile a backbone


def compile_apart(config: FitConfig, photos: np.ndarray) -> None:
    """Compile the backbone of `config` into its cache, if that can be done elsewhere.

    Args:
        photos: (P, S, S, 3) uint8, that Keras is asked about.
    """
    settings = {name: getattr(config, name) for name in NEEDED} | {"cache": str(config.cache)}
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-m", "training.apart", json.dumps(settings)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path])},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us; we end it
    ) as process:
        try:
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.write(photos.tobytes())
                process.stdin.close()
            for name in LATER:
                import_module(name)
            process.wait()
        finally:
            process.kill()


def main() -> None:
    """Compile, and leave without TensorFlow's farewell."""
    from training.compiled import CompiledStore, build, compile_network

    settings = json.loads(sys.argv[1])
    config = FitConfig(**settings | {"cache": Path(settings["cache"])})
    side = config.framing.size
    photos = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(-1, side, side, 3)
    store = CompiledStore(config)
    store.save(compile_network(build(config), store.identity, photos))
    os._exit(0)


if __name__ == "__main__":
    main()

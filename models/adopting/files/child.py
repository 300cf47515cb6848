"""Read a hostile file in its own process: `python -m models.adopting.files.child MODEL FOLDER`.

Whatever a file does to the libraries that open it happens here, where memory and time have an
end. What comes out is text and plain arrays: `model.json` and `arrays.npz` in FOLDER, or the
reason why the file is refused.
"""

import json
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np

from models.adopting.files.archive import unpack
from models.adopting.files.file_kinds import find_kind
from models.adopting.files.hdf5 import Numbers, read_numbers
from models.errors import AdoptError

CPU_S = 300
MEMORY = 1_500_000_000  # bytes of address space beyond what the file itself may need
COPIES = 4  # of the file's size: unpacked, read, converted, written


def read(path: Path, folder: Path) -> dict[str, Any]:
    """Read a model file; its arrays go to `folder`. Raises AdoptError."""
    if find_kind(path) == "keras":
        weights = folder / "weights.h5"
        archive = unpack(path, weights)
        numbers = read_numbers(weights)
        weights.unlink()
        version = _json(archive.metadata, "metadata.json").get("keras_version", "")
        config = _json(archive.config, "config.json")
        known = {"format": "keras", "version": str(version), "config": config}
    else:
        numbers = read_numbers(path)
        if not numbers.config:
            raise AdoptError(_without_network(numbers))
        config = _json(numbers.config.encode(), "its model_config")
        if numbers.training:
            config["compile_config"] = _json(numbers.training.encode(), "its training_config")
        known = {"format": "hdf5", "version": numbers.version, "config": config}
    keys = {name: f"a{number}" for number, name in enumerate(numbers.arrays)}
    arrays: dict[str, Any] = {keys[name]: array for name, array in numbers.arrays.items()}
    np.savez(folder / "arrays.npz", **arrays)
    return known | {
        "keys": keys,
        "shapes": numbers.shapes,
        "names": numbers.names,
        "groups": numbers.groups,
    }


def _without_network(numbers: Numbers) -> str:
    if numbers.arrays:
        return (
            "the file holds weights without their network (model.save_weights): build the network "
            "by the code it came from, load these weights and save it with model.save"
        )
    return "the HDF5 file holds no model of Keras"


def _json(content: bytes, what: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise AdoptError(f"{what} is not JSON: {str(error)[:100]}") from error
    if not isinstance(found, dict):
        raise AdoptError(f"{what} holds no object")
    return found


def main() -> None:
    """Read the command line, set the limits, write the outcome."""
    path, folder = Path(sys.argv[1]), Path(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    try:
        size = path.stat().st_size if path.is_file() else 0
        most = MEMORY + COPIES * size
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        outcome = read(path, folder)
    except AdoptError as error:
        outcome = {"reason": str(error)}
    except MemoryError:
        outcome = {"reason": f"reading it takes more than {most:,} bytes of memory"}
    except RecursionError:
        outcome = {"reason": "it is nested too deep"}
    (folder / "model.json").write_text(json.dumps(outcome), encoding="utf-8")


if __name__ == "__main__":
    main()

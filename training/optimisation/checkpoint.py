"""The state of a training run after its last whole epoch, in one file."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.bundle import writing
from training.settings.recipe import name_of


@dataclass(frozen=True)
class State:
    """A state that was read back."""

    facts: dict[str, Any]
    arrays: list[np.ndarray]


class Checkpoint:
    """A file that always holds a whole state, or none."""

    def __init__(self, folder: Path, recipe: Any):
        """Name the file after `recipe`, all that the run's result depends on."""
        self.path = folder / f"run-{name_of(recipe)}.npz"

    def save(self, facts: dict[str, Any], arrays: Sequence[Any]) -> None:
        """Replace the state. Raises StorageError; the earlier one then stays."""
        half = self.path.with_suffix(".part")
        named: dict[str, Any] = {f"a{at}": np.asarray(array) for at, array in enumerate(arrays)}
        with writing(self.path):
            with half.open("wb") as file:
                np.savez(file, facts=np.array(json.dumps(facts)), **named)
                file.flush()
                os.fsync(file.fileno())
            half.replace(self.path)

    def load(self, like: Sequence[Any]) -> State | None:
        """Read the state, if there is one whose arrays have the shapes of `like`."""
        try:
            with self.path.open("rb") as content, np.load(content, allow_pickle=False) as file:
                facts = json.loads(str(file["facts"]))
                arrays = [file[f"a{number}"] for number in range(len(file.files) - 1)]
        except Exception:  # not there, or cut short: numpy and zipfile say it in many ways
            return None
        shapes = [np.shape(array) for array in like]
        return State(facts, arrays) if [a.shape for a in arrays] == shapes else None

    def discard(self) -> None:
        """Remove the file: the run is over and its result is safe."""
        self.path.unlink(missing_ok=True)

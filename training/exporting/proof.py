"""The proof of an export: its own example, run in a process of its own, next to our answers."""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.classifier import Classifier
from models.errors import FormatError
from training.exporting.proof_photos import UNLABELLED, ProofPhotos
from training.settings.printable import printable

LIMIT = 0.01  # of a probability: rounding stays a hundred times below it, a wrong layer does not
REPORT = "Nothing was saved: please report the backbone and the versions"


@dataclass(frozen=True)
class Proof:
    """What an export answers, compared with the bundle it was made from."""

    of: str  # which photos, in words
    photos: int
    same_top1: int  # photos whose most probable class is the same
    largest_difference: float  # of the probability of any class
    milliseconds: float  # of one photo, the median
    calibrated_on: int | None  # photos that ranges were measured on
    labelled: int  # photos whose folder names a class
    accuracy: float | None  # on these; None: there are none
    accuracy_before: float | None  # of the bundle, likewise


def prove(folder: Path, classifier: Classifier, photos: ProofPhotos) -> Proof:
    """Compare the export in `folder` with its bundle.

    Raises:
        FormatError: it does not run, or answers otherwise; whole numbers may.
    """
    found, milliseconds = _run(folder, photos.pixels)
    expected = np.concatenate([classifier.predict(photo[None]) for photo in photos.pixels])
    if found.shape != expected.shape or not np.isfinite(found).all():
        raise FormatError(
            f"the export answers with numbers of shape {found.shape}; expected {expected.shape}, "
            f"all finite. {REPORT}"
        )
    difference = float(np.abs(found - expected).max())
    if photos.calibration is None and difference > LIMIT:
        raise FormatError(
            f"the export's probabilities differ from the bundle's by {difference:.2g}, more than "
            f"{LIMIT}. {REPORT}"
        )
    known = photos.labels != UNLABELLED
    accuracy, before = (
        float((answers.argmax(1) == photos.labels)[known].mean()) if known.any() else None
        for answers in (found, expected)
    )
    return Proof(
        of=photos.origin,
        photos=len(expected),
        same_top1=int((found.argmax(1) == expected.argmax(1)).sum()),
        largest_difference=difference,
        milliseconds=float(np.median(milliseconds)),
        calibrated_on=None if photos.calibration is None else len(photos.calibration),
        labelled=int(known.sum()),
        accuracy=accuracy,
        accuracy_before=before,
    )


def _run(folder: Path, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, K) and milliseconds (N,) of the example. Raises FormatError."""
    program = Path(__file__).with_name("timed_run.py")
    with tempfile.TemporaryDirectory() as place:
        photos, answers = Path(place) / "photos.npy", Path(place) / "answers.npz"
        np.save(photos, pixels)
        # -P: no file next to the program is taken for a package; -B: the export stays as it is
        words = (program, folder.resolve(), photos, answers)
        command = [sys.executable, "-P", "-B", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise FormatError(
                f"the export does not run here: {printable(last)[:300]}. "
                "Nothing was saved: is all of requirements.txt installed?"
            )
        with np.load(answers, allow_pickle=False) as kept:
            return kept["probabilities"], kept["milliseconds"]

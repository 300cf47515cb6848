"""The embedded handwritten digits, as the folder of photos that `fit` takes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from models.errors import StorageError
from training.demo.digits import write_digits
from training.photos.find import find_photos


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("digits")
    assert write_digits(place) == 1797
    return place


def test_every_digit_is_in_the_folder_of_its_class(folder):
    photos = find_photos(folder).photos
    counts = np.unique([int(photo.label) for photo in photos], return_counts=True)
    assert counts[0].tolist() == list(range(10))
    # the counts that scikit-learn's description of the data set gives
    assert counts[1].tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_a_digit_is_dark_on_white_and_large_enough_to_see(folder):
    picture = Image.open(folder / "0" / "0000.png")  # the first of the set is a nought
    pixels = np.asarray(picture)
    assert (picture.format, pixels.shape) == ("PNG", (64, 64))
    assert pixels[:, :4].min() > 240  # the left edge is paper
    assert pixels.min() < 30  # and there is ink
    shrunk = np.asarray(picture.resize((8, 8), Image.Resampling.BOX), float)
    ink = 255 - load_digits().images[0] * 255 / 16
    assert np.corrcoef(shrunk.ravel(), ink.ravel())[0, 1] > 0.97  # the same drawing


def test_a_place_that_cannot_be_written_is_refused_by_name(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot write .*file/digits"):
        write_digits(tmp_path / "file" / "digits")


def test_the_command_refuses_such_a_place_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "training.demo.digits", str(tmp_path / "file" / "digits")]
    root = Path(__file__).parents[1]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert run.stderr.startswith("error: cannot write")
    assert run.stderr.count("\n") == 1
    assert run.returncode == 2
    assert run.stdout == ""

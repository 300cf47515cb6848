"""Good model files, to be spoilt, and how a refusal is checked."""

from pathlib import Path

import pytest

from models.adopting.files.model_file import read_model_file
from models.adopting.rebuild import rebuild
from models.errors import AdoptError


def refused(path: Path, *words: str) -> str:
    """See that a file is refused with these words; returns the text without the file's path.

    A path of pytest holds the test's name, and so most words that are looked for.
    """
    with pytest.raises(AdoptError) as caught:
        rebuild(read_model_file(path))
    text = str(caught.value).replace(str(path), "")
    for word in words:
        assert word in text, text
    return text

"""What a model file is, by its first bytes: its name says little.

Legacy HDF5 files are often called `.keras`, and a pointer of Git LFS is called like the file it
stands for.
"""

import stat
from pathlib import Path
from typing import Literal

from models.errors import AdoptError

Kind = Literal["keras", "hdf5"]
HEAD = 4096  # bytes
LARGEST = 4_000_000_000  # bytes
SAVE_AGAIN = "load it where it was made and save it with model.save('model.keras')"

# First bytes -> what the file is, and what to do.
_OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs",
        "a pointer of Git LFS, not the model itself",
        "run `git lfs pull` where it came from, or download the file itself",
    ),
    (b"\x80\x02", "a Python pickle", "a pickle runs code when it is read: " + SAVE_AGAIN),
    (b"\x80\x03", "a Python pickle", "a pickle runs code when it is read: " + SAVE_AGAIN),
    (b"\x80\x04", "a Python pickle", "a pickle runs code when it is read: " + SAVE_AGAIN),
    (b"\x80\x05", "a Python pickle", "a pickle runs code when it is read: " + SAVE_AGAIN),
    (b"\x1f\x8b", "compressed by gzip", "unpack it first"),
    (b"7z\xbc\xaf", "a 7-Zip archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"\x93NUMPY", "an array of NumPy, without a network", SAVE_AGAIN),
)


def find_kind(path: Path) -> Kind:
    """Find out whether a file is a `.keras` archive or HDF5. Raises AdoptError for all else."""
    if path.is_dir():
        raise AdoptError(_describe_folder(path))
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise AdoptError(f"{path} is a pipe or a device; expected a .keras or HDF5 file")
        size = found.st_size
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise AdoptError(f"{path} cannot be read: {error.strerror}") from error
    if not head:
        raise AdoptError(f"{path} is empty: was its download or copy finished?")
    if size > LARGEST:
        raise AdoptError(f"{path} has {size:,} bytes; the limit is {LARGEST:,}")
    if head.startswith(b"PK\x03\x04"):
        return "keras"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    raise AdoptError(f"{path} is {_describe(head)}")


def _describe(head: bytes) -> str:
    for magic, what, remedy in _OTHERS:
        if head.startswith(magic):
            return f"{what}: {remedy}"
    if head[4:8] == b"TFL3":
        return "a LiteRT (TensorFlow Lite) model, which has lost its layers: adopt the Keras one"
    begin = head.lstrip().lower()
    if begin.startswith((b"<!doctype", b"<html")):
        return "a web page: the download went wrong; get the file itself"
    if begin.startswith((b"{", b"[")):
        return f"JSON, so a network without its weights: {SAVE_AGAIN}"
    if b"\0" not in head and head.isascii():
        shown = head[:40].decode().split("\n")[0]
        return f"text, beginning {shown!r}; expected a .keras or HDF5 file of Keras"
    return "neither a .keras archive nor HDF5; expected a model that Keras saved"


def _describe_folder(path: Path) -> str:
    if (path / "saved_model.pb").is_file():
        return f"{path} is a SavedModel, a graph without Keras' layers: {SAVE_AGAIN}"
    if (path / "model.json").is_file():
        return f"{path} is a model of TensorFlow.js: export it for Keras (a .h5 file) instead"
    return f"{path} is a folder; expected a .keras or HDF5 file of Keras"

"""Read plain arrays of numbers out of an .npz file; nothing in it can become a Python object."""

import io
import zipfile
import zlib

import numpy as np

MOST_BYTES = 500_000_000  # unpacked: a small file may hold zeros without end
_BROKEN = (OSError, EOFError, KeyError, RuntimeError, zlib.error, zipfile.BadZipFile)


def read_arrays(content: bytes, *needed: str) -> dict[str, np.ndarray]:
    """Read every array by its name; those that are `needed` are there.

    Raises:
        ValueError: no such file, too large, a missing array, or one of another type.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MOST_BYTES:
            raise ValueError(f"{size:,} bytes unpacked; expected {MOST_BYTES:,} at most")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except _BROKEN as error:
        raise ValueError(str(error) or type(error).__name__) from error
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
            raise ValueError(f"{name} has the type {array.dtype}; expected numbers")
    missing = set(needed) - set(arrays)
    if missing:
        raise ValueError(f"{min(missing)} is not among its arrays")
    return arrays

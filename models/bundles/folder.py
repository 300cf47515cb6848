"""Read one file of a folder that a stranger may have filled.

Only regular files below the folder are read: no link is followed, and a pipe or a device is
refused before it can keep the reader waiting.
"""

import errno
import os
import stat
from pathlib import Path

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def read_file(folder: Path, name: str, most: int) -> bytes:
    """Read the file `name`, parts joined by `/`, of up to `most` bytes.

    Where the folder is replaced by another in the meantime, the file is that of the new one.

    Raises:
        OSError: it cannot be read, or is no regular file of that size; `strerror` says why.
    """
    while True:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # maybe by a link
        try:
            return _read_below(place, name, most)
        except FileNotFoundError:
            if os.path.samestat(os.fstat(place), os.stat(folder)):
                raise
        finally:
            os.close(place)


def _read_below(place: int, name: str, most: int) -> bytes:
    """The same from a folder that is open."""
    *above, last = name.split("/")
    opened = []
    try:
        for part in above:
            place = os.open(part, _OPEN | os.O_DIRECTORY, dir_fd=place)
            opened.append(place)
        number = os.open(last, _OPEN | os.O_NONBLOCK, dir_fd=place)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise OSError(error.errno, "a link, or below one, which is not followed") from error
        raise
    finally:
        for one in opened:
            os.close(one)
    try:
        facts = os.fstat(number)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if facts.st_size > most:
            raise OSError(errno.EFBIG, f"{facts.st_size:,} bytes; expected {most:,} at most")
        parts, left = [], facts.st_size
        while left and (some := os.read(number, left)):
            parts.append(some)
            left -= len(some)
        return b"".join(parts)
    finally:  # also of a folder, which `open` would refuse and leave open
        os.close(number)

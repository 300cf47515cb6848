"""The file systems behind addresses, by fsspec: opened once, asked again where that may help.

Each takes credentials from its own environment, as its own programs do; none are taken here.
What they raise leaves as an OSError, its text without anything that the environment keeps secret.
"""

import errno
import hashlib
import importlib.util
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from models.errors import PhotosError, SettingError
from training.settings.printable import without_secrets

if TYPE_CHECKING:
    from training.places.address import Url

WAITS_S = (0.5, 1.0, 2.0)  # before each further attempt
SILENT = 10  # places in a row that could not be read after all attempts: the store is away
EXTRA = "requirements-scale.txt"
SHORTEST_SECRET = 8  # characters: shorter values are words
MOST_TEXT = 200  # characters of what a system raised
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL", re.IGNORECASE)
_MEANT = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
T = TypeVar("T")


class Unreachable(OSError):
    """A store that failed at every attempt."""


@dataclass(frozen=True)
class System:
    """A kind of store."""

    packages: tuple[str, ...]  # beside fsspec
    environment: str  # where its credentials are taken from
    below_host: bool = False  # whether its names leave out what follows `://`
    root: str = ""

    def key(self, parts: Sequence[str]) -> str:
        """Join the parts behind the scheme to the name that the system uses."""
        return self.root + "/".join(parts[1:] if self.below_host else parts)


SYSTEMS = {
    "s3": System(("s3fs",), "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"),
    "gs": System(("pyarrow",), "GOOGLE_APPLICATION_CREDENTIALS"),
    "hdfs": System(("pyarrow",), "HADOOP_CONF_DIR and the Kerberos ticket", True, "/"),
    "memory": System((), "nothing", root="/"),  # of this process: for tests
}


def find_system(place: object, scheme: str) -> None:
    """See that a system's packages are installed. Raises SettingError."""
    if lacking := _lacking(scheme):
        raise SettingError(
            f"{place}: addresses of {scheme}:// need packages that are not installed "
            f"({', '.join(lacking)}): pip install -r {EXTRA}"
        )


@lru_cache
def _lacking(scheme: str) -> list[str]:
    packages = ("fsspec", *SYSTEMS[scheme].packages)
    return [package for package in packages if importlib.util.find_spec(package) is None]


@lru_cache
def open_system(scheme: str, host: str) -> Any:
    """Open the file system of a kind of store; its listings are kept here, not there."""
    import fsspec

    if scheme == "s3":
        return fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
    if scheme == "gs":
        from fsspec.implementations.arrow import ArrowFSWrapper
        from pyarrow.fs import GcsFileSystem

        return ArrowFSWrapper(GcsFileSystem())
    if scheme == "hdfs":
        from fsspec.core import url_to_fs

        return url_to_fs(f"hdfs://{host}/")[0]
    return fsspec.filesystem(scheme)


def attempt(place: "Url", work: Callable[[Any], T]) -> T:
    """Ask the system of `place`, again after a while where that may help.

    Raises:
        OSError: it says no: not there, no right.
        Unreachable: it failed every time.
        PhotosError: so did the places before.
    """
    for wait_s in (*WAITS_S, None):
        try:
            found = work(open_system(place.scheme, place.parts[1]))
        except _MEANT as error:
            _silence.end()
            number = error.errno or _number(error)
            raise OSError(number, os.strerror(number), str(place)) from None
        except Exception as error:  # each system has its own kinds; none is worth a crash
            if wait_s is None:
                reason = _in_words(error)
                _silence.go_on(place, reason)
                told = f"cannot be reached, after {len(WAITS_S) + 1} attempts: {reason}"
                raise Unreachable(errno.EIO, told, str(place)) from None
            time.sleep(wait_s)
        else:
            _silence.end()
            return found
    raise AssertionError("the last attempt returns or raises")


def _in_words(error: Exception) -> str:
    """Say what a system raised, without secrets that it may have repeated."""
    lines = str(error).splitlines()
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= SHORTEST_SECRET:
            text = text.replace(value, "***")
    return without_secrets(text)[:MOST_TEXT]


def _number(error: OSError) -> int:
    kinds = {FileNotFoundError: errno.ENOENT, PermissionError: errno.EACCES}
    return next((kinds[kind] for kind in kinds if isinstance(error, kind)), errno.EISDIR)


class _Silence:
    """Counts places in a row that could not be reached: a model of the rest would be no model."""

    def __init__(self) -> None:
        self._lock, self._count = threading.Lock(), 0

    def end(self) -> None:
        """Begin to count anew: somebody answered."""
        self._count = 0

    def go_on(self, place: "Url", reason: str) -> None:
        """Count one more. Raises PhotosError where it was one too many."""
        with self._lock:
            self._count += 1
            if self._count < SILENT:
                return
        raise PhotosError(
            f"{place.scheme}://{place.parts[1]} does not answer: {SILENT} places in a row failed, "
            f"the last with {reason}; what was computed so far is kept: run it again"
        )


_silence = _Silence()


def token_of(found: Mapping[str, Any]) -> int:
    """Return a number that changes with the content: of the ETag, else of the time of change."""
    for name in ("ETag", "etag", "md5Hash", "mtime", "last_modified", "created"):
        if found.get(name) is not None:
            digest = hashlib.sha256(str(found[name]).encode()).digest()
            return int.from_bytes(digest[:8], "big") >> 1  # SQLite's numbers have a sign
    return time.time_ns()  # nothing is known: read it every time

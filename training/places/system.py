"""The stores behind addresses: opened once, asked again where that may help.

What their libraries raise leaves as an OSError, its text without anything that the environment
keeps secret.
"""

import errno
import importlib.util
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol, TypeVar

from models.errors import PhotosError, SettingError
from training.places.stores import Bucket, Hadoop, Store
from training.settings.printable import without_secrets

WAITS_S = (0.5, 1.0, 2.0)  # before each further attempt
SILENT = 10  # places in a row that could not be read after all attempts: the store is away
EXTRA = "requirements-scale.txt"
SHORTEST_SECRET = 8  # characters: shorter values are words
MOST_TEXT = 200  # characters of what a system raised
_SECRET = re.compile(r"KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL", re.IGNORECASE)
# What the libraries call a plain no, which no further attempt would change.
_REFUSALS = {
    "FileNotFoundError": errno.ENOENT,
    "NotFoundError": errno.ENOENT,
    "PermissionError": errno.EACCES,
    "PermissionDeniedError": errno.EACCES,
    "UnauthenticatedError": errno.EACCES,
    "IsADirectoryError": errno.EISDIR,
    "NotADirectoryError": errno.ENOTDIR,
}
T = TypeVar("T")


class Address(Protocol):
    """What must be known of a place to ask its store for it."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Scheme, bucket or host, and the rest."""

    @property
    def scheme(self) -> str:
        """The part in front of `://`."""

    @property
    def key(self) -> str:
        """The name that the store has for it."""


class Unreachable(OSError):
    """A store that failed at every attempt."""


@dataclass(frozen=True)
class System:
    """A kind of store."""

    packages: tuple[str, ...]
    environment: str  # where its credentials are taken from
    open: Callable[[str], Store]  # by bucket or host
    root: str = ""  # what its names begin with

    def key(self, parts: Sequence[str]) -> str:
        """Join the parts behind the bucket or host to the name that the store uses."""
        return self.root + "/".join(parts)


SYSTEMS = {
    "s3": System(
        ("obstore",),
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role of the machine",
        partial(Bucket, "s3"),
    ),
    "gs": System(
        ("obstore",),
        "GOOGLE_APPLICATION_CREDENTIALS, or the role of the machine",
        partial(Bucket, "gs"),
    ),
    "hdfs": System(("pyarrow",), "Hadoop's settings (HADOOP_CONF_DIR)", Hadoop.at, "/"),
    "memory": System(("obstore",), "nothing", partial(Bucket, "memory")),  # for tests
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
    packages = SYSTEMS[scheme].packages
    return [package for package in packages if importlib.util.find_spec(package) is None]


@lru_cache
def open_store(scheme: str, host: str) -> Store:
    """Open a store, once."""
    return SYSTEMS[scheme].open(host)


def attempt(place: Address, work: Callable[[Store], T]) -> T:
    """Ask the system of `place`, again after a while where that may help.

    Raises:
        OSError: it says no: not there, no right.
        Unreachable: it failed every time.
        PhotosError: so did the places before.
    """
    for wait_s in (*WAITS_S, None):
        try:
            found = work(open_store(place.scheme, place.parts[1]))
        except Exception as error:  # each library has its own kinds; none is worth a crash
            if number := _REFUSALS.get(type(error).__name__):
                _silence.end()
                raise OSError(number, os.strerror(number), str(place)) from None
            if type(error).__name__ == "InvalidPathError":  # it would be so every time
                raise PhotosError(f"{place}: {_in_words(error)}: rename that object") from None
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


class _Silence:
    """Counts places in a row that could not be reached: a model of the rest would be no model."""

    def __init__(self) -> None:
        self._lock, self._count = threading.Lock(), 0

    def end(self) -> None:
        """Begin to count anew: somebody answered."""
        self._count = 0

    def go_on(self, place: Address, reason: str) -> None:
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

"""Bundles at addresses: fetched and checked; written so that none is ever seen half.

A store cannot rename a folder. So each bundle gets a folder of its own below the address, named
by its version as the service's folders of models are: `s3://bucket/flowers/3/`. Its manifest is
written last, and a folder without one is no version. The highest version is the bundle.
"""

import functools
import inspect
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import ParamSpec, TypeVar

from models.bundle import Bundle, writing
from models.bundles.names import MANIFEST
from models.errors import BundleError, StorageError
from training.places.address import Url
from training.places.system import attempt
from training.places.tree import Branch
from training.settings.config import default_cache
from training.settings.recipe import name_of

SPLIT = "split.json"  # which photo stood on which side: a later version keeps it
_VERSION = re.compile(r"[0-9]{1,18}")
P = ParamSpec("P")
T = TypeVar("T")


def published(
    option: str = "out", whole: bool = False, kept: bool = False, file: bool = False
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a function that writes to a path able to write to an address.

    It gets a path of this machine, and what it wrote there goes to the address when it ends
    well. Of the bundle there it finds manifest and sides.

    Args:
        option: the parameter that may be an address.
        whole: it needs all of the bundle that is there.
        kept: what it leaves beside the bundle, its next run finds again on this machine.
        file: it writes a file, not a bundle.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        declared = inspect.signature(function)

        @functools.wraps(function)
        def run(*args: P.args, **options: P.kwargs) -> T:
            given = declared.bind(*args, **options)
            out = given.arguments[option]
            if not isinstance(out, Url):
                return function(*args, **options)
            photos = (value for name, value in given.arguments.items() if name != option)
            _refuse_among(out, photos)
            with _staged(out, whole, kept, file) as given.arguments[option]:
                return function(*given.args, **given.kwargs)

        return run

    return decorate


@contextmanager
def _staged(out: Url, whole: bool, kept: bool, file: bool) -> Iterator[Path]:
    """Yield a path of this machine for what is to be written; write it to `out` at the end."""
    cache = default_cache()
    with writing(cache):
        cache.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="out-", dir=cache) as passing:
        here = (cache / f"out-{name_of([str(out)])}" if kept else Path(passing)) / out.name
        if file:
            _try_to_write(out.parent)
            yield here
            _put(here, out)
            return
        with writing(here):
            shutil.rmtree(here, ignore_errors=True)
            here.parent.mkdir(parents=True, exist_ok=True)
        if found := _take_place(out):
            _fetch(found, here, None if whole else (SPLIT,))
        yield here
        _publish(here, out)
        shutil.rmtree(here, ignore_errors=True)


def folder_of(out: Path, version: str) -> Path:
    """Return where the files of a bundle are that was written to `out`."""
    return out / version if isinstance(out, Url) else out


def fetch_bundle(address: Url, here: Path) -> None:
    """Copy the bundle at an address to a path of this machine; every file is checked.

    Raises:
        BundleError: there is none, or a file is not what its manifest says.
    """
    try:
        found = _latest(_anew(address))
    except OSError as error:
        raise BundleError(address, f"cannot be read: {error.strerror}") from error
    if found is None:
        reason = f"no {MANIFEST} there, nor in a folder named by a version; is this a bundle?"
        raise BundleError(address, reason)
    _fetch(found, here, None)
    Bundle(here).verify()


def _latest(address: Url) -> Url | None:
    """Find the bundle: the highest version below the address, or what lies there itself."""
    branch = address.branch
    whole = [int(n) for n in _versions(branch) if MANIFEST in branch.folders[n].files]
    if whole:
        return address / str(max(whole))
    return address if MANIFEST in branch.files else None


def _anew(address: Url) -> Url:
    """Forget what was listed: somebody else may have written meanwhile."""
    return Url(*address.parts)


def _versions(branch: Branch) -> list[str]:
    return [name for name in branch.folders if _VERSION.fullmatch(name) and name == str(int(name))]


def _fetch(found: Url, here: Path, names: tuple[str, ...] | None) -> None:
    """Copy a manifest and its files, or those of some names, into a new folder."""
    try:
        with writing(here):
            here.mkdir()
            (here / MANIFEST).write_bytes((found / MANIFEST).read_bytes())
        for name, entry in Bundle(here).manifest.files.items():
            if names is not None and name not in names:
                continue
            place = found
            for part in name.split("/"):  # the manifest was checked: nothing leads out of it
                place = place / part
            if place.fact.size != entry.size:
                raise BundleError(found, f"{name} was altered: its size is not the manifest's")
            local = here / name
            local.parent.mkdir(parents=True, exist_ok=True)
            local.write_bytes(place.read_bytes())
    except OSError as error:
        raise BundleError(found, f"cannot be copied: {error.strerror or error}") from error


def _take_place(out: Url) -> Url | None:
    """See that a bundle could be written at `out`; returns the one that is there.

    Raises:
        StorageError: it cannot, or something else is there.
    """
    fresh = _anew(out)
    try:
        branch, found = fresh.branch, _latest(fresh)
    except OSError as error:
        raise StorageError(f"{out} cannot be read: {error.strerror}") from error
    others = set(branch.folders) - set(_versions(branch))
    if found is None and (branch.files or others):
        raise StorageError(f"{out} exists and is not a bundle: choose another --out")
    _try_to_write(out)
    return found


def _try_to_write(folder: Path) -> None:
    """Write and remove a small object, before hours of work. Raises StorageError."""
    check = Url(*folder.parts, ".layerscope-check")
    try:
        attempt(check, lambda store: store.write(check.key, b"may be removed"))
        attempt(check, lambda store: store.remove(check.key))
    except OSError as error:
        told = f"credentials are taken from {check.environment}"
        raise StorageError(f"cannot write {folder}: {error.strerror}; {told}") from error


def _publish(here: Path, out: Url) -> None:
    """Write a bundle as a new version below `out`, its manifest last. Raises StorageError."""
    try:
        number = 1 + max(map(int, _versions(_anew(out).branch)), default=0)
    except OSError as error:
        raise StorageError(f"{out} cannot be read: {error.strerror}") from error
    version = max(number, int(Bundle(here).manifest.version))
    for name in (*Bundle(here).manifest.files, MANIFEST):
        _put(here / name, Url(*out.parts, str(version), *PurePosixPath(name).parts))


def _put(local: Path, place: Url) -> None:
    """Copy a file to an address. Raises StorageError."""
    try:
        attempt(place, lambda store: store.write(place.key, local))
    except OSError as error:
        raise StorageError(f"cannot write {place}: {error.strerror}") from error


def _refuse_among(out: Url, others: Iterable[object]) -> None:
    """Refuse a place below the photos: the next run would take it for photos."""
    for other in others:
        if isinstance(other, Url) and out.is_relative_to(other):
            raise StorageError(
                f"--out {out} lies among the photos of {other}, and the next run would find it "
                "there: choose a place outside"
            )

"""The saved model: a folder, written to the side, hashed, and renamed into place.

A reader never sees half of one: files are written beside the target and the folder is
renamed when it is whole. `manifest.json` holds what the model is, size and SHA-256 of
every other file, and its own; no file is used before its bytes have been hashed.
"""

import errno
import functools
import hashlib
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.bundles.exchange import exchange
from models.bundles.folder import read_file
from models.bundles.json_text import MOST_BYTES, read_json
from models.bundles.manifest import (
    OLD_SCHEMA,
    SCHEMA,
    UNSEALED,
    FileEntry,
    LayerEntry,
    Manifest,
    pick_blocks,
    spread,
)
from models.bundles.names import MANIFEST, NAME, SIGNATURE
from models.errors import BundleError, StorageError

__all__ = [  # the manifest's own names can be had from here too
    "Bundle",
    "FileEntry",
    "LayerEntry",
    "Manifest",
    "check_target",
    "new_bundle",
    "new_folder",
    "pick_blocks",
    "seal",
    "spread",
    "writing",
]

log = logging.getLogger(__name__)

SIGNATURE_BYTES = 64


class Bundle:
    """A saved model on disk, opened for reading."""

    def __init__(self, path: Path):
        """Read and check the manifest. Raises BundleError, with the reason."""
        self.path = path
        try:
            self.content = self._bytes(MANIFEST, MOST_BYTES)  # of the manifest
        except OSError as error:
            reason = f"no {MANIFEST} that can be read ({error.strerror}); is this a bundle?"
            raise BundleError(path, reason) from error
        self.manifest = self._parse()
        self.fingerprint = hashlib.sha256(self.content).hexdigest()

    def read(self, name: str) -> bytes:
        """The bytes of one file, after its size and hash have been checked.

        Raises:
            BundleError: not part of the bundle, missing, or altered.
        """
        entry = self.manifest.files.get(name)
        if entry is None:
            raise BundleError(self.path, f"{name} is not in its manifest")
        try:
            content = self._bytes(name, entry.size)
        except OSError as error:
            if error.errno == errno.EFBIG:
                content = b""
            else:
                raise BundleError(self.path, f"{name} cannot be read: {error.strerror}") from error
        if len(content) != entry.size or hashlib.sha256(content).hexdigest() != entry.sha256:
            reason = f"{name} was altered: its size or SHA-256 is not the one in the manifest"
            raise BundleError(self.path, reason)
        return content

    def verify(self) -> None:
        """Check every file. Raises BundleError at the first that does not match."""
        for name in self.manifest.files:
            self.read(name)

    def signature(self) -> bytes:
        """The detached signature of the manifest, not checked. Raises BundleError."""
        try:
            return self._bytes(SIGNATURE, SIGNATURE_BYTES)
        except OSError as error:
            reason = f"no {SIGNATURE} that can be read ({error.strerror})"
            raise BundleError(self.path, reason) from error

    def _bytes(self, name: str, most: int) -> bytes:
        """What a file holds, up to `most` bytes. Raises OSError."""
        return read_file(self.path, name, most)

    def _parse(self) -> Manifest:
        try:
            fields = read_json(self.content)
            if not isinstance(fields, dict):
                begins = self.content[:20].decode(errors="replace")
                reason = f"{MANIFEST} holds no object, it begins {begins!r}: make it anew"
                raise BundleError(self.path, reason)
            schema = fields.get("schema_version")
            if type(schema) is not int or schema not in (OLD_SCHEMA, SCHEMA):
                known = f"{OLD_SCHEMA} and {SCHEMA}"
                reason = f"schema version {schema!r}; this program reads {known}: make it anew"
                raise BundleError(self.path, reason)
            if not self._proves_itself(fields):
                reason = f"{MANIFEST} was altered: it is not what its own SHA-256 says"
                raise BundleError(self.path, reason)
            manifest = Manifest.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or MANIFEST
            raise BundleError(self.path, f"{where[:200]}: {first['msg']}") from error
        except (ValueError, RecursionError) as error:
            raise BundleError(self.path, f"{MANIFEST} is not JSON: {error}") from error
        if schema == OLD_SCHEMA:
            _warn_of_age(self.path)
        return manifest

    def _proves_itself(self, fields: dict[str, Any]) -> bool:
        """Whether the manifest, its own hash taken for zeros, has that hash."""
        if fields["schema_version"] == OLD_SCHEMA:
            return "sha256" not in fields  # else it was a newer one
        digest = str(fields.get("sha256"))
        plain = self.content.replace(digest.encode(), UNSEALED.encode(), 1)
        return hashlib.sha256(plain).hexdigest() == digest


@functools.cache  # once for each bundle
def _warn_of_age(path: Path) -> None:
    log.warning(
        "bundle %s has schema %d, whose manifest has no hash of its own, so that a damaged one "
        "may go unnoticed; it is read: make it anew to be safe",
        path,
        OLD_SCHEMA,
    )


@contextmanager
def new_bundle(target: Path) -> Iterator[Path]:
    """A folder to fill beside `target`; it becomes `target` when the block ends well.

    Write files into it, then `seal` it. An earlier bundle at `target` is replaced; on any
    error or interrupt it stays as it was and nothing else is left behind.

    Raises:
        StorageError: the place cannot be written, is full, or holds something else.
    """
    check_target(target)
    with new_folder(target) as folder:
        yield folder


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill beside `target`, whatever it is to hold; it takes its place likewise.

    Raises:
        StorageError: the place cannot be written, or is full.
    """
    with writing(target):
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with writing(target):
            yield folder
            folder.chmod(0o755)
            _swap(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_target(target: Path) -> None:
    """See that a bundle could be written at `target`, before hours of work. Raises StorageError."""
    if not re.fullmatch(NAME, target.name):
        raise StorageError(
            f"{target.name!r} cannot name a bundle: use letters, digits, '.', '_' and '-'"
        )
    with writing(target):
        taken = target.is_symlink() or target.is_file()
        full = target.is_dir() and any(target.iterdir()) and not (target / MANIFEST).is_file()
        if taken or full:
            raise StorageError(f"{target} exists and is not a bundle: choose another --out")
        target.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=target.parent).close()


def seal(folder: Path, manifest: Manifest, target: Path) -> Manifest:
    """Write the manifest, with every file's size and hash; the last file to be written.

    The version is one more than that of the bundle it replaces at `target`.
    """
    files = {
        path.relative_to(folder).as_posix(): _entry(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path not in (folder / MANIFEST, folder / SIGNATURE)
    }
    update = {"schema_version": SCHEMA, "sha256": UNSEALED}
    update |= {"files": files, "version": _next_version(target)}
    sealed = manifest.model_copy(update=update)
    text = sealed.model_dump_json(indent=2) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    with (folder / MANIFEST).open("w", encoding="utf-8") as file:
        file.write(text.replace(UNSEALED, digest, 1))  # the first is the field `sha256`
        file.flush()
        os.fsync(file.fileno())
    return sealed.model_copy(update={"sha256": digest})


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what the file system says into a StorageError about `place`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"no space left to write {place}: free some, or choose another place"
        else:
            reason = f"cannot write {place}: {error.strerror or error}; choose another place"
        raise StorageError(reason) from error


def _entry(path: Path) -> FileEntry:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    return FileEntry(size=path.stat().st_size, sha256=digest)


def _next_version(target: Path) -> str:
    try:
        return str(int(Bundle(target).manifest.version) + 1)
    except (BundleError, ValueError):
        return "1"


def _swap(folder: Path, target: Path) -> None:
    """Put `folder` in the place of `target`; the old one comes back if that fails.

    Linux and macOS exchange the two names: at every instant there is a whole bundle at
    `target`. Where the disk cannot do that, two renames leave it empty for microseconds.
    """
    if not target.exists():
        folder.rename(target)
        return
    if exchange(folder, target):
        return  # the old one is in `folder` now, and goes with it
    old = folder.with_name(folder.name + ".old")
    target.rename(old)
    try:
        folder.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)

"""A bundle whose bytes nobody can change any more.

What the service may need of it is copied into one file without a name, in memory where the
system has such files (Linux), else on the temporary disk. It can be handed to other processes
as a descriptor, and stays whole whatever happens to the folder it came from.
"""

import errno
import fcntl
import os
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

from models.bundle import Bundle
from models.bundles.nameless import new_file
from models.bundles.names import MANIFEST

NOT_SERVED = ("model.keras",)  # verified, but not copied: only training reads it
UNREAD: dict[str, Any] = {"head": {}, "training": {}}  # of a manifest, likewise
_LENGTH = 8  # bytes in front, which say how long the manifest is


def pin(bundle: Bundle, number: int) -> None:
    """Copy a bundle into an empty file, each of its files verified on the way.

    Raises:
        BundleError: a file does not match the manifest. OSError: no space.
    """
    with open(os.dup(number), "wb") as file:
        file.write(len(bundle.content).to_bytes(_LENGTH, "little") + bundle.content)
        for name in bundle.manifest.files:
            content = bundle.read(name)
            if name not in NOT_SERVED:
                file.write(content)
    if hasattr(fcntl, "F_ADD_SEALS"):
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        with suppress(OSError):  # a file on a disk has no seals
            fcntl.fcntl(number, fcntl.F_ADD_SEALS, seals)


def is_sealed(number: int) -> bool:
    """Whether nobody can write to the file any more, who wrote it included."""
    if not hasattr(fcntl, "F_GET_SEALS"):
        return False
    try:
        return bool(fcntl.fcntl(number, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE)
    except OSError:  # a file on a disk
        return False


class PinnedBundle(Bundle):
    """A bundle in a file that `pin` filled. Owns the descriptor."""

    def __init__(
        self, path: Path, number: int, name: str | None = None, version: str | None = None
    ):
        """Open it.

        Args:
            path: where it came from; only named in errors.
            number: the descriptor; closed with this object.
            name, version: what it is to be called instead of what its manifest says.

        Raises:
            BundleError: the manifest is not as expected.
        """
        self._number = number
        self._places: dict[str, tuple[int, int]] = {}  # name -> offset, size
        weakref.finalize(self, os.close, number)
        length = int.from_bytes(os.pread(number, _LENGTH, 0), "little")
        self._places[MANIFEST] = (_LENGTH, length)
        super().__init__(path)
        offset = _LENGTH + length
        for file, entry in self.manifest.files.items():
            if file not in NOT_SERVED:
                self._places[file] = (offset, entry.size)
                offset += entry.size
        called = {"name": name or self.manifest.name, "version": version or self.manifest.version}
        self.manifest = self.manifest.model_copy(update=called | UNREAD)

    def verify(self) -> None:
        """Check every file that was copied, where one can have changed. Raises BundleError."""
        if is_sealed(self._number):
            return  # `pin` read each with its hash, and sealed what it had written
        for name in self.manifest.files:
            if name not in NOT_SERVED:
                self.read(name)

    def _bytes(self, name: str, most: int) -> bytes:
        if name not in self._places:
            raise OSError(errno.ENOENT, "it is not kept in memory")
        offset, size = self._places[name]
        parts = []
        while size and (part := os.pread(self._number, size, offset)):
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)


def pinned(bundle: Bundle) -> PinnedBundle:
    """A copy of `bundle` that stays as it is. Raises BundleError."""
    number = new_file()
    try:
        pin(bundle, number)
    except BaseException:
        os.close(number)
        raise
    return PinnedBundle(bundle.path, number)

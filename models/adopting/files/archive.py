"""The members of a `.keras` file: checked by the archive's directory before one is read.

Keras 3, and Keras 2.13 to 2.15, write exactly three. Anything else has no use here, and what
has been found elsewhere was an attack: a pickle, or a second file of weights.
"""

import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.errors import AdoptError

METADATA, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
LARGEST = {METADATA: 1_000_000, CONFIG: 50_000_000, WEIGHTS: 4_000_000_000}  # bytes, unpacked
MOST_MEMBERS = 64
RATIO = 100  # unpacked bytes for each packed one; weights hardly pack at all
SMALL = 1_000_000  # bytes; below, no ratio is too large
CHUNK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """The text of a `.keras` file."""

    metadata: bytes
    config: bytes


def unpack(path: Path, weights: Path) -> Archive:
    """Check a `.keras` file, copy its weights to `weights` and return its text.

    Raises:
        AdoptError: a member is missing, too much, too large, linked or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _check(archive.infolist())
            with weights.open("wb") as file:
                for piece in _pieces(archive, members[WEIGHTS]):
                    file.write(piece)
            return Archive(
                b"".join(_pieces(archive, members[METADATA])),
                b"".join(_pieces(archive, members[CONFIG])),
            )
    except AdoptError:
        raise
    except Exception as error:  # zipfile raises BadZipFile, zlib.error, EOFError, OSError and more
        raise AdoptError(f"the archive is damaged: {error}; was its download finished?") from error


def _check(found: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Index the members by name. Raises AdoptError."""
    if len(found) > MOST_MEMBERS:
        raise AdoptError(f"the archive has {len(found):,} members; a .keras file has three")
    members: dict[str, zipfile.ZipInfo] = {}
    for member in found:
        name = member.orig_filename
        if name.startswith(("/", "\\")) or ".." in name or ":" in name or "\\" in name:
            raise AdoptError(f"the archive has a member {name[:80]!r} outside itself: an attack")
        if name not in LARGEST:
            raise AdoptError(_unexpected(name, {one.filename for one in found}))
        if name in members:
            raise AdoptError(f"the archive has {name} twice: which one counts cannot be told")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise AdoptError(f"{name} in the archive is a link or a folder, not a file")
        if member.flag_bits & 1:
            raise AdoptError(f"{name} in the archive is encrypted: save it without a password")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise AdoptError(f"{name} is packed by method {member.compress_type}; expected deflate")
        if member.file_size > LARGEST[name]:
            size = f"{member.file_size:,} bytes; the limit is {LARGEST[name]:,}"
            raise AdoptError(f"{name} in the archive has {size}")
        if member.file_size > SMALL + RATIO * member.compress_size:
            size = f"{member.compress_size:,} bytes claim to be {member.file_size:,}"
            raise AdoptError(f"{name} in the archive is a bomb: {size}")
        members[name] = member
    missing = [name for name in LARGEST if name not in members]
    if missing:
        raise AdoptError(f"the archive has no {missing[0]}: it is no model that Keras saved")
    return members


def _unexpected(name: str, names: set[str]) -> str:
    """Say what an archive is that has a member of another name."""
    if name.endswith(("data.pkl", "/version")) or "archive/data.pkl" in names:
        return "the archive is a model of PyTorch, which holds pickles; expected one of Keras"
    if name.endswith((".pkl", ".pickle", ".npy", ".npz", ".joblib")):
        return f"the archive has a member {name[:80]!r}, which can run code: it is refused"
    if name.startswith("assets/"):
        return f"the archive has {name[:80]!r}: vocabularies belong to models of text or tables"
    return f"the archive has a member {name[:80]!r}; expected {', '.join(LARGEST)} alone"


def _pieces(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield a member piece by piece, no more than its header says it holds."""
    left = member.file_size
    with archive.open(member) as file:
        while piece := file.read(min(CHUNK, left + 1)):
            left -= len(piece)
            if left < 0:
                raise AdoptError(f"{member.filename} in the archive is larger than it says")
            yield piece

"""WebDataset's tar: members of one key stand together, `KEY.jpg` and `KEY.cls`.

Nothing is unpacked. Headers are stepped through, a label is read where it is short, and of a
photo only its place is kept. A tar is hostile: its headers may claim any size, or lead in circles.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from training.photos.shards.packed import Packed, RangeFile, Sample, pack, stamp
from training.photos.table import PHOTO_ENDS, SYNONYMS
from training.places.place import Fact, read_range

BLOCK = 4_000_000  # bytes of one request while headers are read: photos lie close to each other
MOST_HEADER = 1_000_000  # bytes of a long name or of extended headers
MOST_LABEL = 100_000  # bytes of a label's member; JSON may hold more than the label
LONGEST = 200  # characters of a label: longer ones are captions
_KEY = re.compile(r"((?:.*/)?[^/.]*)\.([^/]*)", re.DOTALL)  # as WebDataset divides names
_BROKEN = (tarfile.TarError, ValueError, RecursionError, OverflowError, EOFError)


@dataclass(frozen=True, slots=True)
class Slice:
    """Some bytes of a file."""

    shard: Path
    start: int
    end: int

    def read(self) -> bytes:
        """Read them in one request. Raises OSError."""
        return read_range(self.shard, self.start, self.end)


class _Headers(io.BufferedReader):
    """A tar's bytes for tarfile, which trusts sizes, and some versions of it any way back."""

    def __init__(self, raw: RangeFile):
        super().__init__(raw, BLOCK)
        self._left = 8 + raw.size // 128  # a header is 512 bytes, and takes a few reads

    def read(self, size: int | None = -1, /) -> bytes:
        """Read some bytes. Raises ReadError for more than headers have."""
        self._left -= 1
        if size is None or not 0 <= size <= MOST_HEADER or self._left < 0:
            raise tarfile.ReadError("its headers claim what no tar of photos has")
        return super().read(size)


def list_tar(shard: Path) -> Iterator[Sample]:
    """Yield every photo of a tar, in its order.

    Raises:
        ValueError: it is no tar, or damaged; what came before is whole.
        OSError: it cannot be read.
    """
    key: str | None = None
    photos: list[Packed] = []
    labels: dict[str, bytes] = {}
    try:
        for member, file in _members(shard):
            found = _KEY.fullmatch(member.name)
            if not found:
                continue
            if found[1] != key:
                yield from _samples(photos, labels)
                key, photos, labels = found[1], [], {}
            end, start = found[2].lower(), member.offset_data
            if f".{end}" in PHOTO_ENDS:
                fact = Fact(member.size, stamp(shard, str(start)))
                place = Slice(shard, start, start + member.size)
                photos.append(pack(shard, member.name, place, fact))
            elif end in ("cls", "json", "txt") and member.size <= MOST_LABEL:
                file.seek(start)
                labels[end] = file.read(member.size)
    except ValueError:
        yield from _samples(photos, labels)
        raise
    yield from _samples(photos, labels)


def _members(shard: Path) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    """Yield the plain files of a tar, and the tar itself. Raises ValueError, OSError."""
    try:
        with (
            _Headers(RangeFile(shard)) as file,
            tarfile.open(fileobj=file, mode="r:") as tar,
        ):
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined] # it would keep every one
                if member.isreg() and not member.issparse():
                    yield member, file
    except _BROKEN as error:
        raise ValueError(f"it is no whole tar: {error}") from error


def _samples(photos: list[Packed], labels: dict[str, bytes]) -> Iterator[Sample]:
    label = _label(labels)
    for photo in photos:
        yield Sample(photo, label)


def _label(members: dict[str, bytes]) -> str | None:
    """Read the label of a key: of its class, of its JSON, or its text."""
    try:
        if "json" in members and "cls" not in members:
            fields = json.loads(members["json"])
            known = {str(name).lower(): value for name, value in fields.items()}
            found = [known[name] for name in SYNONYMS["label"].split() if name in known]
            if found and isinstance(found[0], str | int) and not isinstance(found[0], bool):
                return str(found[0]).strip() or None
        text = members.get("cls", members.get("txt", b"")).decode("utf-8").strip()
    except (ValueError, AttributeError, RecursionError):
        return None
    return text if 0 < len(text) <= LONGEST else None

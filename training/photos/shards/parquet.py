"""A table with a column of images: bytes, or a struct of bytes and path, as Hugging Face writes.

Labels are read when photos are listed, images when they are wanted: the row group of one is
decoded, and the last ones are kept, since photos are read in their order.
"""

import errno
import importlib.util
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from models.errors import PhotosError, SettingError
from training.photos.shards.packed import RangeFile, Sample, pack, stamp
from training.photos.table import SYNONYMS
from training.places.place import Fact

MOST_GROUP = 1_000_000_000  # bytes of images in a row group: one is held whole
KEPT = 4  # row groups
_reading = Lock()  # threads that want the same group wait for it, instead of reading it twice


@dataclass(frozen=True, slots=True)
class Row:
    """A cell of a column of images."""

    shard: Path
    token: int  # of the shard
    column: str
    group: int
    number: int  # within the group

    def read(self) -> bytes:
        """Read the image, with its row group where that is not at hand. Raises OSError."""
        with _reading:
            cells = _images(self.shard, self.token, self.column, self.group)
        cell = cells[self.number].as_py()
        data = cell["bytes"] if isinstance(cell, dict) else cell
        if data is None:
            raise FileNotFoundError(errno.ENOENT, "the table has no bytes of it", self.column)
        return bytes(data)


@dataclass(frozen=True)
class _Columns:
    """Names of the columns that matter."""

    image: str
    bytes: str  # where the bytes are
    path: str  # of the image, in its struct; empty: none
    label: str
    class_names: list[str]  # of a label that is a number; none: the number is the name
    split: str
    group: str


def list_parquet(shard: Path) -> Iterator[Sample]:
    """Yield every photo of a table, in the order of rows.

    Raises:
        PhotosError: it has no column of images, or no label.
        SettingError: the package that reads Parquet is not installed.
        ValueError: it is damaged.
        OSError: it cannot be read.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise SettingError(
            f"{shard}: Parquet needs a package that is not installed (pyarrow): "
            "pip install -r requirements-scale.txt"
        )
    import pyarrow

    try:
        yield from _rows(shard)
    except pyarrow.ArrowException as error:
        raise ValueError(f"it is no whole Parquet file: {error}") from error


def _rows(shard: Path) -> Iterator[Sample]:
    with _open(shard) as file:
        columns = _columns(shard, file.schema_arrow)
        wanted = [columns.path, columns.label, columns.split, columns.group]
        token, row = stamp(shard, ""), 0
        for group in range(file.metadata.num_row_groups):
            _check_size(file.metadata.row_group(group), columns)
            table = file.read_row_group(group, columns=[name for name in wanted if name])
            cells = {name: table[name].to_pylist() for name in table.column_names}
            for number in range(table.num_rows):
                cell = {name: values[number] for name, values in cells.items()}
                inner = cell.get(columns.image)
                name = Path((inner.get("path") if isinstance(inner, dict) else None) or "").name
                yield Sample(
                    pack(
                        shard,
                        f"{row:09}-{name}" if name else f"{row:09}",
                        Row(shard, token, columns.bytes, group, number),
                        Fact(0, stamp(shard, str(row))),  # its size is known when it is read
                    ),
                    _label(cell[columns.label], columns.class_names),
                    str(cell.get(columns.split) or ""),
                    str(cell.get(columns.group) or ""),
                )
                row += 1


def _open(shard: Path) -> Any:
    """Open a table; it is read by ranges."""
    from pyarrow.parquet import ParquetFile

    return ParquetFile(io.BufferedReader(RangeFile(shard), 64_000), pre_buffer=False)


@lru_cache(maxsize=KEPT)
def _images(shard: Path, token: int, column: str, group: int) -> Any:
    """Read the images of a row group. Raises OSError."""
    import pyarrow

    try:
        with _open(shard) as file:
            return file.read_row_group(group, columns=[column]).column(0)
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # of the place itself
            raise
        reason = f"row group {group} cannot be read: {type(error).__name__}"
        raise OSError(errno.EIO, reason, str(shard)) from error


def _columns(shard: Path, schema: Any) -> _Columns:
    """Find the columns of images and labels. Raises PhotosError."""
    images = [field for field in schema if _holds_images(field.type)]
    image = _pick("image", [field.name for field in images])
    label = _pick("label", [field.name for field in schema if field.name != image])
    if not image or not label:
        shown = ", ".join(f"{field.name} ({str(field.type)[:40]})" for field in schema)
        raise PhotosError(
            f"{shard}: expected a column image, of bytes or a struct with bytes, and a column "
            f"label; found {shown}"
        )
    kind = schema.field(image).type
    inside = {kind.field(at).name for at in range(kind.num_fields)}
    return _Columns(
        image=image,
        bytes=f"{image}.bytes" if inside else image,
        path=f"{image}.path" if "path" in inside else "",
        label=label,
        class_names=_class_names(schema.metadata or {}, label),
        split=_pick("split", schema.names),
        group=_pick("group", schema.names),
    )


def _holds_images(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        names = {kind.field(at).name: kind.field(at).type for at in range(kind.num_fields)}
        return "bytes" in names and _holds_images(names["bytes"])
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _pick(wanted: str, names: list[str]) -> str:
    """Choose the column that means `wanted`, the likeliest name first; empty: there is none."""
    known = {name.lower(): name for name in names}
    return next((known[name] for name in SYNONYMS[wanted].split() if name in known), "")


def _class_names(metadata: dict[bytes, bytes], label: str) -> list[str]:
    """Read the names of classes that Hugging Face keeps beside a table."""
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError):
        return []
    return [str(name) for name in names] if isinstance(names, list) else []


def _label(cell: object, class_names: list[str]) -> str | None:
    """Name the class; a number that has no name where others have one means: not labelled."""
    if isinstance(cell, int) and class_names:
        return class_names[cell] if 0 <= cell < len(class_names) else None
    return None if cell is None else str(cell).strip() or None


def _check_size(group: Any, columns: _Columns) -> None:
    """Refuse a row group that cannot be held. Raises ValueError."""
    chunks = [group.column(at) for at in range(group.num_columns)]
    size = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema == columns.bytes)
    if size > MOST_GROUP:
        raise ValueError(
            f"a row group has {size / 1e6:,.0f} MB of images, and is held whole; the limit is "
            f"{MOST_GROUP / 1e6:,.0f} MB: write it with fewer rows in a group"
        )

"""Folders of photos as shards: tar as WebDataset writes it, Parquet as Hugging Face does."""

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from training.photos.find import find_photos


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    """A tar of names and contents, in this order."""
    with tarfile.open(path, "w") as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def write_parquet(path, images, labels, names=None, rows=2, **columns):
    """A table as Hugging Face writes it, a few rows to a group."""
    arrow = pytest.importorskip("pyarrow", reason="needs requirements-scale.txt")
    from pyarrow import parquet as pq

    table = arrow.table({"image": images, "label": labels, **columns})
    if names:
        features = {"label": {"names": names, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
        known = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": known})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows)
    return path


def packed(folder: Path, form: str, place: Path) -> Path:
    """The photos of a folder as a shard."""
    photos = find_photos(folder).photos
    contents = [photo.path.read_bytes() for photo in photos]
    names = sorted({photo.label for photo in photos})
    if form == "tar":
        members = []
        for photo, content in zip(photos, contents, strict=True):
            key = f"{photo.label}/{photo.path.stem}"
            members += [(f"{key}.png", content), (f"{key}.cls", photo.label.encode())]
        return write_tar(place / "000.tar", members)
    cells: list[object] = list(contents)
    if form == "structs":
        files = [photo.path.name for photo in photos]
        cells = [{"bytes": b, "path": n} for b, n in zip(contents, files, strict=True)]
    labels = [names.index(photo.label) for photo in photos]
    return write_parquet(place / "photos.parquet", cells, labels, names)

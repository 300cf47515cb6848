"""A shard, or a folder of them -> labelled photos; sides by the names of files and folders."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.errors import PhotosError
from training.photos.labels import composed
from training.photos.listing import Listing, Photo, Skipped
from training.photos.shards.packed import Sample
from training.photos.shards.parquet import list_parquet
from training.photos.shards.tar import list_tar
from training.photos.side_names import side_of, sides_of
from training.photos.system_files import is_document, system_name
from training.places.place import Place

_KINDS = {".parquet": list_parquet, ".tar": list_tar}
_DEEPEST = 3  # folders: `default/train/0000.parquet`
# `train-00000-of-00010-4ab0c1d2e3f40516`: what numbers the shards of one side
_NUMBERS = re.compile(r"(?:[-_.]?(?:\d+|of|[0-9a-f]{16}))+$")


def find_shards(source: Path) -> list[Path]:
    """List the shards of a source that has photos in shards only, in order of name.

    Returns:
        None of them, where it holds any photo beside.
    """
    if source.is_file():
        return [source] if source.suffix.lower() in _KINDS else []
    return sorted(_collect(source, _DEEPEST) or [])


def _collect(folder: Path, deepest: int) -> list[Path] | None:
    """List the shards below a folder; None at the first file that may be a photo."""
    found, folders = [], []
    for path, is_folder in _inside(folder):
        if system_name(path.name):
            continue
        if is_folder:
            folders.append(path)
        elif path.suffix.lower() in _KINDS:
            found.append(path)
        elif not is_document(path):
            return None
    for inner in folders:
        below = _collect(inner, deepest - 1) if deepest else None
        if below is None:
            return None
        found += below
    return found


def _inside(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield what lies in a folder, and whether it is a folder; nothing of one that is closed."""
    if isinstance(folder, Place):
        yield from ((child, child.is_dir()) for child in folder.children())
        return
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                yield folder / entry.name, entry.is_dir()
    except OSError:  # whoever lists it says so
        return


def find_in_shards(shards: Sequence[Path], source: Path) -> Listing:
    """List the labelled photos of some shards.

    Raises:
        PhotosError: a table has no column of images or labels, or a split that is no side.
    """
    listing, sides = Listing(), _sides(shards, source)
    for shard in shards:
        for item in _samples(shard):
            if isinstance(item, Skipped):
                listing.skipped.append(item)
            elif item.label is None:
                listing.skipped.append(Skipped(item.photo, "it has no label", kind="bad-row"))
            else:
                side = _side(item, shard) or sides[shard]
                listing.photos.append(Photo(item.photo, composed(item.label), side, item.group))
    if len(shards) > 1 or sides[shards[0]]:
        counts = [f"{shard.name} is {side}" for shard, side in sides.items() if side]
        more = f" and {len(counts) - 5:,} more" if len(counts) > 5 else ""
        told = f": {', '.join(counts[:5])}{more}" if counts else ""
        listing.notes.append(f"{len(shards):,} shards{told}")
    return listing


def list_packed(shards: Sequence[Path]) -> tuple[list[Path], list[Skipped]]:
    """List every photo of some shards, labelled or not; and the shards that are not whole."""
    photos: list[Path] = []
    skipped: list[Skipped] = []
    for shard in shards:
        for item in _samples(shard):
            if isinstance(item, Skipped):
                skipped.append(item)
            else:
                photos.append(item.photo)
    return photos, skipped


def _samples(shard: Path) -> Iterator[Sample | Skipped]:
    """Yield the photos of one shard, and at its end why there are no more, if it is not whole."""
    try:
        yield from _KINDS[shard.suffix.lower()](shard)
    except OSError as error:
        yield Skipped(shard, error.strerror or str(error), kind="unreadable")
    except ValueError as error:
        yield Skipped(shard, str(error), kind="unreadable")


def _side(sample: Sample, shard: Path) -> str | None:
    """Return the side that a column says. Raises PhotosError where it is none."""
    side = side_of(sample.side) if sample.side else None
    if sample.side and side is None:
        raise PhotosError(f"{shard}: split is {sample.side!r}; expected train, validation or test")
    return side


def _sides(shards: Sequence[Path], source: Path) -> dict[Path, str | None]:
    """Shard -> the side that its name says, or the folder that it lies in."""
    stems = {shard: _NUMBERS.sub("", shard.stem) for shard in shards}
    named = sides_of({stem for stem in stems.values() if stem})
    found: dict[Path, str | None] = {}
    for shard, stem in stems.items():
        above = [folder for folder in shard.parents if folder != source]
        inside = [f for f in above if f.is_relative_to(source)]
        folders = (side_of(folder.name) for folder in inside)
        found[shard] = named.get(stem) or next((side for side in folders if side), None)
    return found

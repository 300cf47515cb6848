"""Folders or a CSV -> a list of labelled photos, and what was left out and why.

The only finder: every command looks at a folder through it. Layouts: class folders;
`train/ validation/ test/`, each with class folders; or a CSV with the columns image,label and
perhaps split and group; or shards, files that hold many photos. Nothing is decoded here.
"""

import stat
from collections.abc import Sequence
from pathlib import Path

from models.errors import PhotosError, StorageError
from training.photos.folders import find_in_folders
from training.photos.labels import join_labels
from training.photos.listing import Listing, Skipped
from training.photos.rows import find_in_table
from training.photos.shards.find import find_in_shards, find_shards, list_packed
from training.photos.system_files import ARCHIVES, system_name
from training.photos.walk import walk
from training.places.address import Url
from training.places.place import real


def find_photos(source: Path, merge_names: bool = False) -> Listing:
    """Find every labelled photo of `source`.

    Args:
        merge_names: join labels that look alike.

    Raises:
        PhotosError: no such place, folders or a CSV that cannot be understood, or no photo at all.
    """
    table = stat.S_ISREG(_mode(source))
    if shards := find_shards(source):
        listing = find_in_shards(shards, source)
        if not listing.photos:
            reason = listing.skipped[0].reason if listing.skipped else "it is empty"
            raise PhotosError(f"{source} holds no labelled photo in shards; the first: {reason}")
    else:
        listing = find_in_table(source) if table else find_in_folders(source)
    if not listing.photos and table:
        reason = listing.skipped[0].reason if listing.skipped else "it has no rows"
        raise PhotosError(f"{source} names no photo that is there: {reason}")
    if not listing.photos:
        loose = sum(item.kind == "no-class" for item in listing.skipped)
        held = f" ({loose:,} files lie in none)" if loose else ""
        name = source.name or "photos"
        raise PhotosError(
            f"{source} holds no photos in class folders{held}: make one folder for each class, "
            f"such as {name}/cat/ and {name}/dog/{_advice(listing.skipped)}"
        )
    listing.photos, notes = join_labels(listing.photos, merge_names)
    listing.notes += notes
    listing.source = source
    return listing


def find_files(source: Path, without: Path) -> tuple[list[Path], list[Skipped]]:
    """Find every file below `source`, or the one file, labelled or not; and what was left out.

    Of shards it is the photos in them.

    Args:
        without: a file that is being written: it is no photo, though it may lie among them.

    Raises:
        PhotosError: no such place, or it cannot be read.
    """
    mode = _mode(source, " and so holds no files: give a folder of photos, or one photo")
    if shards := find_shards(source):
        return list_packed(shards)
    if stat.S_ISREG(mode):
        return [source], []
    try:
        found = walk(source, source)
    except OSError as error:
        raise PhotosError(f"{source} cannot be read: {error.strerror}") from error
    own = real(without)
    return [path for path in found.files if real(path) != own], found.skipped


def refuse_among_photos(place: Path, source: Path, option: str) -> None:
    """Refuse a place below the folder of photos: the next run would take it for photos.

    Raises:
        StorageError: `place` is `source`, or inside it.
    """
    base, wanted = real(source), real(place)
    if not wanted.is_relative_to(base) or not source.is_dir():
        return
    if not any(system_name(part) for part in wanted.relative_to(base).parts):  # seen by nobody
        raise StorageError(
            f"{option} {place} lies among the photos of {source}, and the next run would find it "
            f"there: choose a place outside, such as {base.parent / place.name}"
        )


def _mode(source: Path, advice: str = ": give a folder of class folders, or a CSV") -> int:
    """The kind of a place. Raises PhotosError if it is neither a folder nor a file."""
    try:
        mode = source.stat().st_mode
    except FileNotFoundError:
        raise PhotosError(f"{source} does not exist{advice}") from None
    except (OSError, ValueError) as error:
        reason = str(error)
        if isinstance(source, Url) and isinstance(error, OSError):
            reason = f"{error.strerror}; credentials are taken from {source.environment}"
        raise PhotosError(f"{source} cannot be read: {reason}") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise PhotosError(f"{source} is a pipe or a device: give a folder, or a CSV on disk")
    return mode


def _advice(skipped: Sequence[Skipped]) -> str:
    """Say what else lies there, that may be what was meant."""
    empty = [item.path.name for item in skipped if item.kind in ("empty-class", "no-photos")]
    packed = [item.path.name for item in skipped if item.path.suffix.lower() in ARCHIVES]
    lists = [i.path.name for i in skipped if i.path.suffix.lower() in (".csv", ".tsv")]
    told = f"; {', '.join(empty[:5])}: no photos inside" if empty else ""
    told += f"; unpack {', '.join(packed[:5])}" if packed else ""
    return f"{told}; or give the list of labels, such as {lists[0]}" if lists else told
